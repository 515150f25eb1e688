#include "table/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "table/forged_footer.h"
#include "tests/cpp/lake.h"

namespace headrace::table {
namespace {

using arrow::field;
using headrace::testing::Check;
using headrace::testing::Numbers;
using headrace::testing::ReadWholeFile;
using headrace::testing::TableFromJson;
using headrace::testing::TempDir;
using headrace::testing::WriteFile;
using headrace::testing::WriteParquet;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using TablePtr = std::shared_ptr<const Table>;

Result<TablePtr> TryOpen(const std::vector<std::string>& uris,
                         const TableOptions& options = {}) {
  base::InlineExecutor executor;
  return Table::Open(uris, options, executor);
}

TablePtr Open(const std::vector<std::string>& uris, const TableOptions& options = {}) {
  return Check(TryOpen(uris, options));
}

std::vector<std::string> PathsOf(const Table& table) {
  std::vector<std::string> paths;
  for (const Fragment& fragment : table.fragments())
    paths.push_back(fragment.relative_path);
  return paths;
}

void WriteNumbers(const TempDir& dir, const std::vector<std::string>& names) {
  for (const std::string& name : names) WriteParquet(dir / name, Numbers(0, 3));
}

void WriteRows(const std::string& path, const arrow::FieldVector& fields,
               const std::string& rows = "[]") {
  WriteParquet(path, TableFromJson(arrow::schema(fields), rows));
}

void ExpectCorrupt(const std::string& path) {
  const Status status = TryOpen({path}).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt) << status.ToString();
  EXPECT_THAT(status.message(), HasSubstr(path));
}

// The same bytes at another time.
void SetTime(const std::string& path, int hours) {
  std::filesystem::last_write_time(
      path, std::filesystem::last_write_time(path) + std::chrono::hours(hours));
}

TEST(Table, KnowsRowsRowGroupsAndBytesOfAllFiles) {
  const TempDir dir;
  WriteParquet(dir / "a.parquet", Numbers(0, 25), {.row_group_rows = 10});
  WriteParquet(dir / "b.parquet", Numbers(25, 7), {.row_group_rows = 10});
  const auto table = Open({dir.path()});
  EXPECT_EQ(table->rows(), 32);
  std::vector<int64_t> rows;
  for (const RowGroup& group : table->row_groups()) rows.push_back(group.rows);
  EXPECT_THAT(rows, ElementsAre(10, 10, 5, 7));
  EXPECT_EQ(table->fragments()[0].rows, 25);
  EXPECT_EQ(table->fragments()[0].row_group_count, 3);
  EXPECT_EQ(table->fragments()[1].first_row_group, 3);
  EXPECT_EQ(table->fragments()[1].row_group_count, 1);
  EXPECT_EQ(table->bytes(),
            static_cast<int64_t>(ReadWholeFile(dir / "a.parquet").size() +
                                 ReadWholeFile(dir / "b.parquet").size()));
}

TEST(Table, StoredBytesAreUncompressedAndOfAllColumns) {
  const TempDir dir;
  WriteParquet(dir / "a.parquet", Numbers(0, 10000),
               {.row_group_rows = 5000, .dictionary = false});
  const auto table = Open({dir.path()});
  EXPECT_GE(table->stored_bytes(), 80000);
  EXPECT_LT(table->stored_bytes(), 82000);
  EXPECT_EQ(table->stored_bytes(),
            table->row_groups()[0].stored_bytes + table->row_groups()[1].stored_bytes);
}

TEST(Table, KnowsWhetherRowGroupsHaveOffsetIndexes) {
  const TempDir dir;
  WriteParquet(dir / "a.parquet", Numbers(0, 10), {.page_index = true});
  WriteParquet(dir / "b.parquet", Numbers(0, 10), {.page_index = false});
  const auto table = Open({dir.path()});
  EXPECT_EQ(table->row_groups()[0].has_offset_index, 1U);
  EXPECT_EQ(table->row_groups()[1].has_offset_index, 0U);
}

TEST(Table, FilesOfNoRowsCountAsFiles) {
  const TempDir dir;
  WriteParquet(dir / "a.parquet", Numbers(0, 0));
  WriteParquet(dir / "b.parquet", Numbers(0, 5));
  const auto table = Open({dir.path()});
  EXPECT_EQ(table->rows(), 5);
  EXPECT_EQ(table->fragments()[0].rows, 0);
  EXPECT_EQ(table->fragments()[1].rows, 5);
  EXPECT_EQ(Open({dir / "a.parquet"})->rows(), 0);
}

TEST(Table, FilesAreInTheOrderOfTheirPathsBytewise) {
  const TempDir dir;
  WriteNumbers(dir, {"b", "a10", "a2", "B", "a/x", "a-x", "ü", "z"});
  EXPECT_THAT(PathsOf(*Open({dir.path()})),
              ElementsAre("B", "a-x", "a/x", "a10", "a2", "b", "z", "ü"));
}

TEST(Table, FilesOfAListAreInItsOrder) {
  const TempDir dir;
  WriteNumbers(dir, {"b", "a", "c/y", "c/x"});
  EXPECT_THAT(PathsOf(*Open({dir / "b", dir / "a"})), ElementsAre("b", "a"));
  EXPECT_THAT(PathsOf(*Open({dir / "b", dir / "c", dir / "a"})),
              ElementsAre("b", "c/x", "c/y", "a"));
}

TEST(Table, PathsOfAListAreBelowWhatTheyHaveInCommon) {
  const TempDir dir;
  WriteNumbers(dir, {"l/y=2013/a", "l/y=2014/a", "l/y=2013/b"});
  EXPECT_THAT(PathsOf(*Open({dir / "l/y=2014/a", dir / "l/y=2013/a"})),
              ElementsAre("y=2014/a", "y=2013/a"));
  EXPECT_THAT(PathsOf(*Open({dir / "l/y=2013/b", dir / "l/y=2013/a"})),
              ElementsAre("b", "a"));
}

TEST(Table, AFileNamedTwiceIsRefusedByItsName) {
  const TempDir dir;
  WriteNumbers(dir, {"a", "b"});
  for (const std::vector<std::string>& uris :
       {std::vector<std::string>{dir / "a", dir / "a"},
        {dir.path(), dir / "b"},
        {dir / "a", dir.path() + "/*"}}) {
    const Status status = TryOpen(uris).status();
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("named twice"));
  }
}

TEST(Table, AListAcrossStorageSystemsIsRefused) {
  const TempDir dir;
  WriteNumbers(dir, {"a"});
  // The second system is told by its options before anything is asked of it.
  const Status status = TryOpen({dir / "a", "gs://bucket/x"}).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("gs://bucket/x"), HasSubstr("storage")));
}

TEST(Table, WhatIsNotThereIsNotFound) {
  const TempDir dir;
  EXPECT_EQ(KindOf(TryOpen({dir / "none.parquet"}).status()), ErrorKind::kNotFound);
  WriteNumbers(dir, {"a"});
  EXPECT_EQ(KindOf(TryOpen({dir / "a", dir / "none"}).status()), ErrorKind::kNotFound);
}

TEST(Table, DamagedFilesAreCorruptByTheirName) {
  const TempDir dir;
  WriteFile(dir / "empty", "");
  WriteFile(dir / "text", "hello, this is no table");
  WriteParquet(dir / "sound", Numbers(0, 10));
  const std::string sound = ReadWholeFile(dir / "sound");
  WriteFile(dir / "short", sound.substr(0, sound.size() - 3));
  for (const char* name : {"empty", "text", "short"}) ExpectCorrupt(dir / name);
}

TEST(Table, OneDamagedFileOfManyIsNamed) {
  const TempDir dir;
  WriteNumbers(dir, {"l/a", "l/b", "l/d"});
  WriteFile(dir / "l/c", "no table at all");
  const Status status = TryOpen({dir / "l"}).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt);
  EXPECT_THAT(status.message(), HasSubstr(dir / "l/c"));
}

TEST(Table, AbsurdRowCountsAreCorrupt) {
  const TempDir dir;
  for (int64_t rows : {int64_t{1} << 60, int64_t{-1}}) {
    WriteFile(dir / "x", forged::FileOf({}, rows));
    ExpectCorrupt(dir / "x");
  }
}

TEST(Table, AFileOfTwoColumnsOfOneNameIsASchemaMismatch) {
  const TempDir dir;
  WriteRows(dir / "a", {field("x", arrow::int32()), field("x", arrow::int32())});
  const Status status = TryOpen({dir / "a"}).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kSchemaMismatch);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(dir / "a"), HasSubstr("\"x\"")));
}

TEST(Table, SchemasUnifyOverAllFiles) {
  const TempDir dir;
  WriteRows(dir / "a", {field("x", arrow::int8(), false), field("y", arrow::utf8())});
  WriteRows(dir / "b", {field("x", arrow::int8(), false), field("y", arrow::utf8())});
  WriteRows(dir / "c", {field("z", arrow::float32(), false), field("x", arrow::int64())});
  WriteRows(dir / "d", {field("x", arrow::int16(), false), field("y", arrow::utf8())});
  EXPECT_EQ(Open({dir.path()})->schema()->ToString(), "x: int64\ny: string\nz: float");
}

// The middle file is as the last, and not as the first.
TEST(Table, AColumnThatAnyFileLacksIsNullable) {
  const TempDir dir;
  const auto x = field("x", arrow::int8(), false), y = field("y", arrow::int8(), false);
  WriteRows(dir / "a", {x, y});
  WriteRows(dir / "b", {x});
  WriteRows(dir / "c", {x});
  WriteRows(dir / "d", {x, y});
  EXPECT_EQ(Open({dir.path()})->schema()->ToString(), "x: int8 not null\ny: int8");
}

TEST(Table, AMismatchNamesFileAndColumn) {
  const TempDir dir;
  WriteRows(dir / "a", {field("x", arrow::int32())});
  WriteRows(dir / "b", {field("x", arrow::int64())});
  WriteRows(dir / "c", {field("x", arrow::utf8())});
  const Status status = TryOpen({dir.path()}).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kSchemaMismatch);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(dir / "c"), HasSubstr("\"x\""),
                                      HasSubstr("string"), HasSubstr("int64")));
}

TEST(Table, PartitionsAreColumnsAfterTheFiles) {
  const TempDir dir;
  WriteNumbers(dir, {"y=2013/c=S%C3%A3o%20Paulo/a", "y=2014/c=Rio/a",
                     "y=__HIVE_DEFAULT_PARTITION__/c=Rio/a"});
  const auto table = Open({dir.path()});
  EXPECT_EQ(table->schema()->ToString(), "x: int64\ny: int32\nc: string");
  ASSERT_EQ(table->partition_fields().size(), 2U);
  std::vector<std::string> values;
  for (const Fragment& fragment : table->fragments()) {
    for (const auto& value : fragment.partition_values) {
      values.push_back(value->is_valid ? value->ToString() : "<null>");
    }
  }
  EXPECT_THAT(values, ElementsAre("2013", "São Paulo", "2014", "Rio", "<null>", "Rio"));
}

TEST(Table, PartitionTypesMayBeGiven) {
  const TempDir dir;
  WriteNumbers(dir, {"y=2013/a"});
  EXPECT_EQ(Open({dir.path()}, {.partition_types = {{"y", "int16"}}})
                ->schema()
                ->field(1)
                ->type()
                ->ToString(),
            "int16");
  EXPECT_EQ(KindOf(TryOpen({dir.path()}, {.partition_types = {{"y", "int8"}}}).status()),
            ErrorKind::kInvalidArgument);
}

TEST(Table, APartitionStandsForAColumnOfItsName) {
  const TempDir dir;
  WriteRows(dir / "x=7/a", {field("x", arrow::utf8()), field("y", arrow::utf8())});
  EXPECT_EQ(Open({dir.path()})->schema()->ToString(), "y: string\nx: int32");
}

TEST(Table, FilesOfOtherPartitionKeysAreASchemaMismatch) {
  const TempDir dir;
  WriteNumbers(dir, {"y=1/a", "z=1/a"});
  EXPECT_EQ(KindOf(TryOpen({dir.path()}).status()), ErrorKind::kSchemaMismatch);
}

class FingerprintTest : public ::testing::Test {
 protected:
  void SetUp() override { WriteNumbers(dir_, {"l/a", "l/b"}); }
  std::string Fingerprint(const std::string& path = "l") {
    return Open({dir_ / path})->fingerprint();
  }
  TempDir dir_;
  std::string before_;
};

TEST_F(FingerprintTest, Is32HexadecimalDigits) {
  EXPECT_THAT(Fingerprint(), ::testing::MatchesRegex("[0-9a-f]{32}"));
}

TEST_F(FingerprintTest, IsTheSameForTheSameFiles) {
  EXPECT_EQ(Fingerprint(), Fingerprint());
  EXPECT_EQ(Open({dir_.path() + "/l/*"})->fingerprint(), Fingerprint());
}

TEST_F(FingerprintTest, DoesNotDependOnTimesOrHiddenFiles) {
  const std::string before = Fingerprint();
  SetTime(dir_ / "l/a", 3);
  WriteFile(dir_ / "l/_SUCCESS", "x");
  WriteFile(dir_ / "l/.a.crc", "x");
  EXPECT_EQ(Fingerprint(), before);
}

TEST_F(FingerprintTest, DoesNotDependOnWhereTheTableLies) {
  const std::string before = Fingerprint();
  std::filesystem::rename(dir_ / "l", dir_ / "elsewhere");
  EXPECT_EQ(Fingerprint("elsewhere"), before);
}

TEST_F(FingerprintTest, ChangesWithAPath) {
  const std::string before = Fingerprint();
  std::filesystem::rename(dir_ / "l/a", dir_ / "l/a2");
  EXPECT_NE(Fingerprint(), before);
}

TEST_F(FingerprintTest, ChangesWithAFileMoreOrLess) {
  std::set<std::string> seen = {Fingerprint()};
  WriteNumbers(dir_, {"l/c"});
  seen.insert(Fingerprint());
  std::filesystem::remove(dir_ / "l/a");
  seen.insert(Fingerprint());
  EXPECT_EQ(seen.size(), 3U);
}

TEST_F(FingerprintTest, ChangesWithAFooterOfTheSameSize) {
  WriteParquet(dir_ / "l/a", Numbers(10, 3));
  const std::string before = Fingerprint();
  const auto size = std::filesystem::file_size(dir_ / "l/a");
  WriteParquet(dir_ / "l/a", Numbers(20, 3));
  ASSERT_EQ(std::filesystem::file_size(dir_ / "l/a"), size);
  EXPECT_NE(Fingerprint(), before);
}

TEST_F(FingerprintTest, ChangesWithASizeAlone) {
  const std::string before = Fingerprint();
  // A hole before the footer: the footer itself stays as it is.
  std::string bytes = ReadWholeFile(dir_ / "l/a");
  uint32_t length;
  std::memcpy(&length, bytes.data() + bytes.size() - 8, 4);
  bytes.insert(bytes.size() - 8 - length, "hole");
  WriteFile(dir_ / "l/a", bytes);
  EXPECT_NE(Fingerprint(), before);
}

TEST_F(FingerprintTest, OfAListChangesWithItsOrder) {
  EXPECT_NE(Open({dir_ / "l/a", dir_ / "l/b"})->fingerprint(),
            Open({dir_ / "l/b", dir_ / "l/a"})->fingerprint());
}

TEST_F(FingerprintTest, DoesNotDependOnPartitionTypes) {
  WriteNumbers(dir_, {"p/k=1/a"});
  EXPECT_EQ(Open({dir_ / "p"}, {.partition_types = {{"k", "int64"}}})->fingerprint(),
            Fingerprint("p"));
}

TEST(Table, FootersAreHeldWithinABudget) {
  const TempDir dir;
  for (int i = 0; i < 20; ++i) {
    WriteParquet(dir / std::to_string(i), Numbers(i, 40), {.row_group_rows = 2});
  }
  const int64_t all = Open({dir.path()})->footer_cache_bytes_used();
  const auto table = Open({dir.path()}, {.footer_cache_bytes = all / 4});
  EXPECT_GT(table->footer_cache_bytes_used(), 0);
  for (int round = 0; round < 2; ++round) {
    for (int64_t f = 0; f < 20; ++f) {
      EXPECT_EQ(Check(table->Footer(f))->num_rows(), 40);
      EXPECT_LE(table->footer_cache_bytes_used(), all / 4);
    }
  }
}

TEST(Table, FootersThatWereDroppedAreReadAgain) {
  const TempDir dir;
  WriteParquet(dir / "a", Numbers(0, 3));
  WriteParquet(dir / "b", Numbers(0, 4));
  const auto table = Open({dir.path()}, {.footer_cache_bytes = 0});
  EXPECT_EQ(Check(table->Footer(0))->num_rows(), 3);
  EXPECT_EQ(Check(table->Footer(1))->num_rows(), 4);
}

TEST(Table, AFooterReadAgainThatIsAnotherIsAConflict) {
  const TempDir dir;
  WriteParquet(dir / "a", Numbers(0, 3));
  const auto table = Open({dir.path()}, {.footer_cache_bytes = 0});
  std::string damaged = ReadWholeFile(dir / "a");
  damaged[damaged.size() - 20] ^= 1;
  for (const std::string& other :
       {std::string("short"), damaged, forged::FileOf({}, int64_t{1} << 60)}) {
    WriteFile(dir / "a", other);
    const Status status = table->Footer(0).status();
    EXPECT_EQ(KindOf(status), ErrorKind::kConflict) << status.ToString();
    EXPECT_THAT(status.message(), HasSubstr(dir / "a"));
  }
}

TEST(Table, AFileThatIsLeftAloneOpens) {
  const TempDir dir;
  WriteParquet(dir / "a", Numbers(0, 3));
  const auto table = Open({dir.path()});
  EXPECT_TRUE(table->CheckUnchanged(0).ok());
  EXPECT_EQ(Check(Check(table->OpenFile(0))->ReadAt(0, 4))->ToString(), "PAR1");
}

TEST(Table, AFileThatWasOnlyTouchedOpens) {
  const TempDir dir;
  WriteParquet(dir / "a", Numbers(0, 3));
  const auto table = Open({dir.path()});
  SetTime(dir / "a", 1);
  EXPECT_TRUE(table->CheckUnchanged(0).ok());
  EXPECT_TRUE(table->OpenFile(0).ok());
}

TEST(Table, AFileThatWasReplacedIsAConflictThatSaysWhatToDo) {
  const TempDir dir;
  WriteParquet(dir / "a", Numbers(0, 3));
  const auto table = Open({dir.path()});
  WriteParquet(dir / "a", Numbers(0, 1000));
  const Status status = table->OpenFile(0).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kConflict);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(dir / "a"), HasSubstr("open the table")));
}

TEST(Table, AFileOfTheSameSizeAndAnotherFooterIsAConflict) {
  const TempDir dir;
  WriteParquet(dir / "a", Numbers(10, 3));
  const auto table = Open({dir.path()});
  const auto size = std::filesystem::file_size(dir / "a");
  WriteParquet(dir / "a", Numbers(20, 3));
  ASSERT_EQ(std::filesystem::file_size(dir / "a"), size);
  SetTime(dir / "a", 1);
  EXPECT_EQ(KindOf(table->CheckUnchanged(0)), ErrorKind::kConflict);
}

TEST(Table, AFileThatGrewIsAConflict) {
  const TempDir dir;
  WriteParquet(dir / "a", Numbers(0, 3));
  const auto table = Open({dir.path()});
  WriteFile(dir / "a", ReadWholeFile(dir / "a") + "x");
  EXPECT_EQ(KindOf(table->OpenFile(0).status()), ErrorKind::kConflict);
}

TEST(Table, AFileThatIsGoneIsNotFoundByItsName) {
  const TempDir dir;
  WriteParquet(dir / "a", Numbers(0, 3));
  const auto table = Open({dir / "a"});
  std::filesystem::remove(dir / "a");
  EXPECT_EQ(KindOf(table->CheckUnchanged(0)), ErrorKind::kNotFound);
  EXPECT_THAT(table->OpenFile(0).status().message(), HasSubstr(dir / "a"));
}

TEST(Table, AFileThatIsAddedLaterIsNotOfTheTable) {
  const TempDir dir;
  WriteNumbers(dir, {"a"});
  const auto table = Open({dir.path()});
  WriteNumbers(dir, {"b"});
  EXPECT_EQ(table->fragments().size(), 1U);
  EXPECT_EQ(table->rows(), 3);
}

TEST(Table, IsShownByItsFirstUri) {
  const TempDir dir;
  WriteNumbers(dir, {"a", "b", "c"});
  EXPECT_EQ(Open({dir.path()})->DisplayUri(), dir.path());
  EXPECT_EQ(Open({dir / "a"})->DisplayUri(), dir / "a");
  EXPECT_EQ(Open({dir / "b", dir / "a", dir / "c"})->DisplayUri(),
            (dir / "b") + " and 2 more");
  EXPECT_EQ(Open({dir.path()})->DisplayPath(1), dir / "b");
}

TEST(Table, LocalUrisAreKeptAbsolute) {
  const TempDir dir;
  WriteNumbers(dir, {"a"});
  const std::string relative =
      std::filesystem::relative(dir / "a", std::filesystem::current_path()).string();
  EXPECT_THAT(Open({relative})->uris(), ElementsAre(dir / "a"));
}

TEST(Table, OptionsOfStorageAreNotShown) {
  const TempDir dir;
  const Status status =
      TryOpen({dir.path()}, {.storage_options = {{"secret_key", "HUSH"}}}).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
  EXPECT_THAT(status.ToString(), Not(HasSubstr("HUSH")));
}

TEST(Table, ThreadsMayAskForFootersAtOnce) {
  const TempDir dir;
  for (int i = 0; i < 8; ++i) WriteParquet(dir / std::to_string(i), Numbers(0, i + 1));
  const int64_t all = Open({dir.path()})->footer_cache_bytes_used();
  const auto table = Open({dir.path()}, {.footer_cache_bytes = all / 2});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int64_t i = 0; i < 200; ++i) {
        const auto footer = table->Footer(i % 8);
        ASSERT_TRUE(footer.ok()) << footer.status().ToString();
        ASSERT_EQ((*footer)->num_rows(), i % 8 + 1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(table->footer_cache_bytes_used(), all / 2);
}

}  // namespace
}  // namespace headrace::table
