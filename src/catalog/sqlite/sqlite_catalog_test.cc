#include "catalog/sqlite/sqlite_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using testing::Check;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::TempDir;

CatalogEntry Flights() {
  CatalogEntry entry;
  entry.name = "prod.flights";
  entry.uri = "s3://lake/flights";
  entry.description = "Departures of New York, São Paulo";
  entry.owner = "ana";
  entry.columns = {{"dep_delay", "double", "minutes, negative if early"},
                   {"month", "int32", ""}};
  entry.partition_columns = {"month"};
  entry.format = "delta";
  entry.rows = 2400;
  entry.bytes = 0;
  entry.version = 7;
  entry.last_writer = "spark";
  entry.storage_options = {{"region", "eu-west-1"}};
  entry.partition_types = {{"month", "int8"}};
  return entry;
}

CatalogEntry Trips() {
  CatalogEntry entry;
  entry.name = "test.trips";
  entry.uri = "/lake/trips";
  entry.owner = "ben";
  entry.columns = {{"Fare", "float", ""}};
  return entry;
}

std::vector<std::string> Names(const Catalog& catalog, const CatalogQuery& query) {
  std::vector<std::string> names;
  for (const auto& entry : Check(catalog.Find(query))) names.push_back(entry.name);
  return names;
}

ErrorKind KindOfError(const Status& status) {
  EXPECT_FALSE(status.ok());
  return status.ok() ? ErrorKind::kInternal : KindOf(status);
}

class SqliteCatalogTest : public ::testing::Test {
 protected:
  std::shared_ptr<Catalog> Open() { return Check(Catalog::Open(path_)); }
  void Sql(const std::string& text) {
    sqlite3* connection = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &connection), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(connection, text.c_str(), nullptr, nullptr, nullptr),
              SQLITE_OK)
        << sqlite3_errmsg(connection);
    sqlite3_close(connection);
  }
  void Put(const std::string& bytes) {
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    testing::WriteFile(path_, bytes);
  }

  TempDir dir_;
  std::string path_ = dir_.path() + "/folders/of/catalog.db";
};

TEST_F(SqliteCatalogTest, GivesBackAllThatWasAdded) {
  const CatalogEntry given = Flights();
  ASSERT_TRUE(Open()->Add(given).ok());
  CatalogEntry found = Check(Open()->Show(given.name));
  EXPECT_GT(found.created_us, 0);
  EXPECT_EQ(found.updated_us, found.created_us);
  found.created_us = found.updated_us = 0;
  EXPECT_EQ(found.ToJson(), given.ToJson());
  EXPECT_FALSE(found.files.has_value());
  EXPECT_EQ(found.bytes, 0);
}

TEST_F(SqliteCatalogTest, IsEmptyAndMakesNoFileUntilSomethingIsAdded) {
  const auto catalog = Open();
  EXPECT_THAT(Names(*catalog, {}), IsEmpty());
  EXPECT_EQ(KindOfError(catalog->Show("prod.flights").status()), ErrorKind::kNotFound);
  EXPECT_EQ(KindOfError(catalog->Tag("prod.flights", "a", 1)), ErrorKind::kNotFound);
  EXPECT_EQ(KindOfError(catalog->Remove("prod.flights")), ErrorKind::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/folders"));
}

TEST_F(SqliteCatalogTest, IsReadableByItsOwnerAlone) {
  ASSERT_TRUE(Open()->Add(Flights()).ok());
  struct stat file{};
  struct stat folder{};
  ASSERT_EQ(stat(path_.c_str(), &file), 0);
  ASSERT_EQ(stat((dir_.path() + "/folders").c_str(), &folder), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600U);
  EXPECT_EQ(folder.st_mode & 0777, 0700U);
}

TEST_F(SqliteCatalogTest, RefusesANameThatIsTakenUnlessItIsReplaced) {
  const auto catalog = Open();
  ASSERT_TRUE(catalog->Add(Flights()).ok());
  ASSERT_TRUE(catalog->Tag("prod.flights", "kept", 3).ok());
  const CatalogEntry before = Check(catalog->Show("prod.flights"));
  CatalogEntry next = Flights();
  next.uri = "/elsewhere";
  next.columns = {{"other", "string", ""}};
  EXPECT_EQ(KindOfError(catalog->Add(next)), ErrorKind::kConflict);
  EXPECT_EQ(Check(catalog->Show("prod.flights")).uri, "s3://lake/flights");
  ASSERT_TRUE(catalog->Add(next, /*replace=*/true).ok());
  const CatalogEntry after = Check(catalog->Show("prod.flights"));
  EXPECT_EQ(after.uri, "/elsewhere");
  EXPECT_EQ(after.columns.size(), 1U);
  EXPECT_EQ(after.created_us, before.created_us);
  EXPECT_EQ(after.tags.at("kept"), 3);
  EXPECT_THAT(Names(*catalog, {.text = "dep_delay"}), IsEmpty());
}

TEST_F(SqliteCatalogTest, FindsByWordsColumnTagAndOwner) {
  const auto catalog = Open();
  ASSERT_TRUE(catalog->Add(Trips()).ok());
  ASSERT_TRUE(catalog->Add(Flights()).ok());
  ASSERT_TRUE(catalog->Tag("prod.flights", "train", 3).ok());
  const auto find = [&](const CatalogQuery& query) { return Names(*catalog, query); };
  EXPECT_THAT(find({}), ElementsAre("prod.flights", "test.trips"));
  EXPECT_THAT(find({.text = "FLIGHT"}), ElementsAre("prod.flights"));
  EXPECT_THAT(find({.text = "SÃO york"}), ElementsAre("prod.flights"));
  EXPECT_THAT(find({.text = "negative"}), ElementsAre("prod.flights"));
  EXPECT_THAT(find({.text = "p_delay"}), ElementsAre("prod.flights"));
  EXPECT_THAT(find({.text = "fAr"}), ElementsAre("test.trips"));
  EXPECT_THAT(find({.text = "Ne rk"}), ElementsAre("prod.flights"));
  EXPECT_THAT(find({.text = "york trips"}), IsEmpty());
  EXPECT_THAT(find({.text = "d_"}), IsEmpty());
  EXPECT_THAT(find({.text = "\" OR text:*"}), IsEmpty());
  EXPECT_THAT(find({.column = "fare"}), ElementsAre("test.trips"));
  EXPECT_THAT(find({.column = "far"}), IsEmpty());
  EXPECT_THAT(find({.tag = "train"}), ElementsAre("prod.flights"));
  EXPECT_THAT(find({.owner = "ben"}), ElementsAre("test.trips"));
  EXPECT_THAT(find({.text = "flights", .owner = "ben"}), IsEmpty());
  EXPECT_EQ(KindOfError(catalog->Find({.text = " \t"}).status()),
            ErrorKind::kInvalidArgument);
}

TEST_F(SqliteCatalogTest, ATagStandsForOneVersionUntilItIsReplaced) {
  const auto catalog = Open();
  ASSERT_TRUE(catalog->Add(Flights()).ok());
  ASSERT_TRUE(catalog->Tag("prod.flights", "train-2026-11", 12).ok());
  ASSERT_TRUE(catalog->Tag("prod.flights", "train-2026-11", 12).ok());
  const auto at = [&](const char* address) {
    return catalog->Locate(Check(CatalogAddress::Parse(address)));
  };
  const Status moved = catalog->Tag("prod.flights", "train-2026-11", 13);
  EXPECT_EQ(KindOfError(moved), ErrorKind::kConflict);
  EXPECT_THAT(MessageOf(moved), HasSubstr("stands for version 12, not 13"));
  EXPECT_EQ(Check(at("catalog:prod.flights@train-2026-11")).version, 12);
  ASSERT_TRUE(catalog->Tag("prod.flights", "train-2026-11", 13, true).ok());
  EXPECT_EQ(Check(at("prod.flights@train-2026-11")).version, 13);
  EXPECT_EQ(Check(at("prod.flights@5")).version, 5);
  EXPECT_FALSE(Check(at("prod.flights")).version.has_value());
  const Status missing = at("prod.flights@train-2026-12").status();
  EXPECT_EQ(KindOfError(missing), ErrorKind::kNotFound);
  EXPECT_THAT(MessageOf(missing), HasSubstr("it has train-2026-11"));
  EXPECT_EQ(KindOfError(catalog->Tag("prod.flights", "x", -1)),
            ErrorKind::kInvalidArgument);
}

TEST_F(SqliteCatalogTest, LocatesWithOptionsAndTypes) {
  ASSERT_TRUE(Open()->Add(Flights()).ok());
  const auto location = Check(Open()->Locate({.name = "prod.flights"}));
  EXPECT_THAT(location.uris, ElementsAre("s3://lake/flights"));
  EXPECT_EQ(location.storage_options.at("region"), "eu-west-1");
  EXPECT_EQ(location.partition_types.at("month"), "int8");
}

TEST_F(SqliteCatalogTest, ForgetsTablesAndTags) {
  const auto catalog = Open();
  ASSERT_TRUE(catalog->Add(Flights()).ok());
  ASSERT_TRUE(catalog->Tag("prod.flights", "a", 1).ok());
  ASSERT_TRUE(catalog->Tag("prod.flights", "b", 2).ok());
  ASSERT_TRUE(catalog->Remove("prod.flights@a").ok());
  EXPECT_EQ(Check(catalog->Show("prod.flights")).tags.count("a"), 0U);
  EXPECT_EQ(KindOfError(catalog->Remove("prod.flights@a")), ErrorKind::kNotFound);
  EXPECT_EQ(KindOfError(catalog->Remove("prod.flights@3")), ErrorKind::kInvalidArgument);
  ASSERT_TRUE(catalog->Remove("prod.flights").ok());
  EXPECT_THAT(Names(*catalog, {}), IsEmpty());
  EXPECT_THAT(Names(*catalog, {.text = "flights"}), IsEmpty());
  // Nothing of the old entry comes back with a new one.
  CatalogEntry bare;
  bare.name = "prod.flights";
  bare.uri = "/x";
  ASSERT_TRUE(catalog->Add(bare).ok());
  EXPECT_THAT(Check(catalog->Show("prod.flights")).tags, IsEmpty());
  EXPECT_THAT(Check(catalog->Show("prod.flights")).columns, IsEmpty());
}

TEST_F(SqliteCatalogTest, UpdatesWhatAWriterTellsAndKeepsComments) {
  const auto catalog = Open();
  ASSERT_TRUE(catalog->Add(Flights()).ok());
  CatalogUpdate update;
  update.rows = 4800;
  update.version = 8;
  update.last_writer = "headrace";
  update.columns = {{"dep_delay", "float", ""}, {"new", "int64", ""}};
  ASSERT_TRUE(catalog->Update("prod.flights", update).ok());
  const CatalogEntry found = Check(catalog->Show("prod.flights"));
  EXPECT_EQ(found.rows, 4800);
  EXPECT_EQ(found.bytes, 0);
  EXPECT_EQ(found.version, 8);
  EXPECT_EQ(found.last_writer, "headrace");
  ASSERT_EQ(found.columns.size(), 2U);
  EXPECT_EQ(found.columns[0].type, "float");
  EXPECT_EQ(found.columns[0].comment, "minutes, negative if early");
  EXPECT_GE(found.updated_us, found.created_us);
  EXPECT_THAT(Names(*catalog, {.column = "new"}), ElementsAre("prod.flights"));
  EXPECT_EQ(KindOfError(catalog->Update("prod.other", update)), ErrorKind::kNotFound);
}

TEST_F(SqliteCatalogTest, OffersNamesLikeTheOneThatIsNotThere) {
  const auto catalog = Open();
  ASSERT_TRUE(catalog->Add(Flights()).ok());
  const Status missing = catalog->Show("prod.fligths").status();
  EXPECT_EQ(KindOfError(missing), ErrorKind::kNotFound);
  EXPECT_THAT(MessageOf(missing), HasSubstr("it has prod.flights"));
  EXPECT_THAT(MessageOf(missing), HasSubstr(path_));
}

TEST_F(SqliteCatalogTest, KeepsNoCredentials) {
  const auto catalog = Open();
  CatalogEntry entry = Flights();
  entry.storage_options["secret_key"] = "hunter2";
  Status refused = catalog->Add(entry);
  EXPECT_EQ(KindOfError(refused), ErrorKind::kInvalidArgument);
  EXPECT_THAT(MessageOf(refused), HasSubstr("\"secret_key\" is a credential"));
  EXPECT_THAT(MessageOf(refused), Not(HasSubstr("hunter2")));
  entry = Flights();
  entry.uri = "s3://KEY:hunter2@lake/flights";
  refused = catalog->Add(entry);
  EXPECT_EQ(KindOfError(refused), ErrorKind::kInvalidArgument);
  EXPECT_THAT(MessageOf(refused), Not(HasSubstr("hunter2")));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SqliteCatalogTest, RefusesFilesThatAreNoCatalog) {
  Put("PAR1 and so on, for more than a hundred bytes, so that SQLite reads a whole "
      "header "
      "of it and finds that it is none of its own");
  Status opened = Catalog::Open(path_).status();
  EXPECT_EQ(KindOfError(opened), ErrorKind::kCorrupt);
  EXPECT_THAT(MessageOf(opened), HasSubstr(path_));
  std::filesystem::remove(path_);
  Sql("CREATE TABLE bookmarks (url TEXT)");
  opened = Catalog::Open(path_).status();
  EXPECT_EQ(KindOfError(opened), ErrorKind::kCorrupt);
  EXPECT_THAT(MessageOf(opened), HasSubstr("an SQLite file of something else"));
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_EQ(KindOfError(Catalog::Open(path_).status()), ErrorKind::kInvalidArgument);
}

TEST_F(SqliteCatalogTest, NamesDamageInsideOfTheFile) {
  ASSERT_TRUE(Open()->Add(Flights()).ok());
  Sql("UPDATE entry SET storage_options = 'not JSON'");
  const Status shown = Open()->Show("prod.flights").status();
  EXPECT_EQ(KindOfError(shown), ErrorKind::kCorrupt);
  EXPECT_THAT(MessageOf(shown), HasSubstr("entry prod.flights"));
  // Whole pages of zeros after the first.
  const auto size = std::filesystem::file_size(path_);
  std::string bytes = testing::ReadWholeFile(path_);
  std::fill(bytes.begin() + 4096, bytes.end(), '\0');
  Put(bytes);
  ASSERT_EQ(std::filesystem::file_size(path_), size);
  EXPECT_EQ(KindOfError(Catalog::Open(path_).status()), ErrorKind::kCorrupt);
}

TEST_F(SqliteCatalogTest, RefusesASchemaOfANewerVersionByName) {
  ASSERT_TRUE(Open()->Add(Flights()).ok());
  Sql("INSERT INTO migration VALUES (2, 0)");
  const Status opened = Catalog::Open(path_).status();
  EXPECT_EQ(KindOfError(opened), ErrorKind::kUnsupported);
  EXPECT_THAT(MessageOf(opened), HasSubstr("version 2, expected at most 1"));
}

TEST_F(SqliteCatalogTest, AnEmptyFileBecomesACatalog) {
  Put("");
  EXPECT_THAT(Names(*Open(), {}), IsEmpty());
  ASSERT_TRUE(Open()->Add(Flights()).ok());
  EXPECT_THAT(Names(*Open(), {}), ElementsAre("prod.flights"));
}

// Each child adds tables of its own and tags one of all; the parent counts.
TEST_F(SqliteCatalogTest, LosesNothingOfManyProcessesAtOnce) {
  constexpr int kProcesses = 8;
  constexpr int kTables = 10;
  CatalogEntry shared = Flights();
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child > 0) {
      children.push_back(child);
      continue;
    }
    bool ok = true;
    auto catalog = Catalog::Open(path_);
    ok = catalog.ok() && (*catalog)->Add(shared, /*replace=*/true).ok();
    for (int i = 0; ok && i < kTables; ++i) {
      CatalogEntry own = Trips();
      own.name = "p" + std::to_string(process) + ".t" + std::to_string(i);
      ok = (*catalog)->Add(own).ok() &&
           (*catalog)
               ->Tag(shared.name, "p" + std::to_string(process) + "-" + std::to_string(i),
                     i)
               .ok();
    }
    _exit(ok ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(Check(Open()->Find()).size(), kProcesses * kTables + 1U);
  EXPECT_EQ(Check(Open()->Show(shared.name)).tags.size(),
            static_cast<size_t>(kProcesses * kTables));
}

}  // namespace
}  // namespace headrace
