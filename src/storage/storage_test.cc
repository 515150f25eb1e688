// Listing, opening, and what became of files, on local disk and in a bucket.
#include "storage/storage.h"

#include <arrow/filesystem/mockfs.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace::storage {
namespace {

using headrace::testing::Check;
using headrace::testing::TempDir;
using headrace::testing::WriteFile;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A storage, and the path that it takes for a URI.
struct Opened {
  std::shared_ptr<Storage> storage;
  std::string path;
};

Opened OpenUri(const std::string& uri,
               const std::map<std::string, std::string>& options = {}) {
  Opened opened;
  opened.storage = Check(Storage::FromUri(uri, options, &opened.path));
  return opened;
}

void Touch(const TempDir& dir, const std::vector<std::string>& names) {
  for (const std::string& name : names) WriteFile(dir / name, name);
}

std::vector<std::string> Listed(const std::string& uri) {
  const Opened opened = OpenUri(uri);
  std::vector<std::string> names;
  for (const FileEntry& file : Check(opened.storage->List(opened.path))) {
    names.push_back(file.relative_path);
  }
  return names;
}

Status ListRefused(const std::string& uri) {
  const Opened opened = OpenUri(uri);
  return opened.storage->List(opened.path).status();
}

FileEntry OneFile(const std::string& path) {
  return Check(OpenUri(path).storage->List(path)).at(0);
}

TEST(FromUri, ALocalPathIsTakenAsItIs) {
  EXPECT_EQ(OpenUri("/data/a b/ü#?%41.parquet").path, "/data/a b/ü#?%41.parquet");
}

TEST(FromUri, AFileUriIsAPath) {
  EXPECT_EQ(OpenUri("file:///data/x").path, "/data/x");
  EXPECT_EQ(OpenUri("file:///data/a%20b").path, "/data/a b");
}

TEST(FromUri, ARelativePathIsOfTheFolderOfToday) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(OpenUri("lake").path, here + "/lake");
  EXPECT_EQ(OpenUri("./a/../lake").path, here + "/lake");
  EXPECT_EQ(OpenUri(".").path, here);
}

TEST(FromUri, SlashesAtTheEndDoNotCount) {
  EXPECT_EQ(OpenUri("/data/x/").path, "/data/x");
  EXPECT_EQ(OpenUri("/data//x//").path, "/data/x");
  EXPECT_EQ(OpenUri("/").path, "/");
}

TEST(FromUri, ABucketIsAPathBeginning) {
  const Opened gcs = OpenUri("gs://bucket/a/b.parquet", {{"anonymous", "true"}});
  EXPECT_EQ(gcs.path, "bucket/a/b.parquet");
  EXPECT_EQ(gcs.storage->Display(gcs.path), "gs://bucket/a/b.parquet");
  const Opened azure = OpenUri("abfs://container@account.dfs.core.windows.net/a/b",
                               {{"account_key", "SFVTSA=="}});
  EXPECT_EQ(azure.path, "container/a/b");
  const Opened az =
      OpenUri("az://container/a/b", {{"account_name", "account"}, {"anonymous", "true"}});
  EXPECT_EQ(az.path, "container/a/b");
}

TEST(FromUri, ASchemeMayBeInCapitals) {
  EXPECT_EQ(OpenUri("FILE:///data/x").path, "/data/x");
  EXPECT_EQ(OpenUri("GS://bucket/x", {{"anonymous", "true"}}).path, "bucket/x");
  EXPECT_EQ(
      OpenUri("ABFS://c@account.dfs.core.windows.net/X", {{"account_key", "SFVTSA=="}})
          .path,
      "c/X");
}

TEST(FromUri, TheSameSystemTwiceIsTheSame) {
  EXPECT_TRUE(OpenUri("/a").storage->SameSystem(*OpenUri("/b").storage));
  EXPECT_FALSE(OpenUri("/a").storage->SameSystem(
      *OpenUri("gs://b/x", {{"anonymous", "true"}}).storage));
}

TEST(List, AFileIsItselfByItsName) {
  const TempDir dir;
  WriteFile(dir / "a/b.parquet", "12345");
  const FileEntry file = OneFile(dir / "a/b.parquet");
  EXPECT_EQ(file.path, dir.path() + "/a/b.parquet");
  EXPECT_EQ(file.relative_path, "b.parquet");
  EXPECT_EQ(file.size, 5);
}

TEST(List, ADirectoryIsAllFilesBelowIt) {
  const TempDir dir;
  Touch(dir, {"b.parquet", "a/x.parquet", "a/b/y.parquet", "z.txt"});
  EXPECT_THAT(Listed(dir.path()),
              ElementsAre("a/b/y.parquet", "a/x.parquet", "b.parquet", "z.txt"));
  EXPECT_THAT(Listed(dir.path() + "/"), ::testing::SizeIs(4));
  EXPECT_THAT(Listed("file://" + dir.path()), ::testing::SizeIs(4));
}

TEST(List, KnowsSizesAndTimes) {
  const TempDir dir;
  WriteFile(dir / "a", "123");
  const auto time = std::filesystem::file_time_type::clock::now() - std::chrono::hours(5);
  std::filesystem::last_write_time(dir / "a", time);
  const Opened opened = OpenUri(dir.path());
  const auto files = Check(opened.storage->List(opened.path));
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files[0].size, 3);
  const auto since = std::chrono::file_clock::to_sys(time).time_since_epoch();
  EXPECT_EQ(files[0].modified_ns, std::chrono::nanoseconds(since).count());
}

TEST(List, IsBytewise) {
  const TempDir dir;
  Touch(dir, {"a/x", "a-b", "a.b", "aB", "ab", "a0", "B", "a10", "a2", "ü", "z", "a b"});
  EXPECT_THAT(Listed(dir.path()), ElementsAre("B", "a b", "a-b", "a.b", "a/x", "a0",
                                              "a10", "a2", "aB", "ab", "z", "ü"));
}

TEST(List, LeavesHiddenFilesAndDirectoriesOut) {
  const TempDir dir;
  Touch(dir,
        {"_SUCCESS", ".a.parquet.crc", "_delta_log/0.json", ".cache/x", "k=1/_metadata",
         "k=1/.hidden", "k=1/_temporary/0/x", "k=1/x_y.parquet", "k=1/.git/a/b"});
  EXPECT_THAT(Listed(dir.path()), ElementsAre("k=1/x_y.parquet"));
}

TEST(List, HiddenNamesAboveTheRootDoNotCount) {
  const TempDir dir;
  Touch(dir, {".cache/_lake/a.parquet"});
  EXPECT_THAT(Listed(dir / ".cache/_lake"), ElementsAre("a.parquet"));
  EXPECT_THAT(Listed((dir / ".cache/_lake/") + "*.parquet"), ElementsAre("a.parquet"));
  EXPECT_THAT(Listed(dir / ".cache/_lake/a.parquet"), ElementsAre("a.parquet"));
}

TEST(List, AHiddenFileThatIsNamedIsTaken) {
  const TempDir dir;
  Touch(dir, {"_a.parquet"});
  EXPECT_THAT(Listed(dir / "_a.parquet"), ElementsAre("_a.parquet"));
}

TEST(List, AGlobIsItsFilesBelowTheFirstWildcard) {
  const TempDir dir;
  Touch(dir, {"l/k=1/a.parquet", "l/k=1/b.txt", "l/k=2/c.parquet", "l/k=20/d.parquet",
              "l/e.parquet", "l/k=1/s/f.parquet"});
  auto listed = [&](const std::string& glob) { return Listed(dir.path() + glob); };
  EXPECT_THAT(listed("/l/k=?/*.parquet"), ElementsAre("k=1/a.parquet", "k=2/c.parquet"));
  EXPECT_THAT(listed("/l/k=[2-9]*/*"), ElementsAre("k=2/c.parquet", "k=20/d.parquet"));
  EXPECT_THAT(listed("/l/k=1/*"), ElementsAre("a.parquet", "b.txt"));
  EXPECT_THAT(listed("/l/**/*.parquet"),
              ElementsAre("e.parquet", "k=1/a.parquet", "k=1/s/f.parquet",
                          "k=2/c.parquet", "k=20/d.parquet"));
  EXPECT_THAT(listed("/*/e.parquet"), ElementsAre("l/e.parquet"));
}

TEST(List, AGlobLeavesHiddenNamesOut) {
  const TempDir dir;
  Touch(dir, {"_x.parquet", ".y.parquet", "_d/z.parquet", "a.parquet"});
  EXPECT_THAT(Listed(dir.path() + "/**"), ElementsAre("a.parquet"));
  EXPECT_THAT(Listed(dir.path() + "/?*.parquet"), ElementsAre("a.parquet"));
}

TEST(List, AFileWhoseNameLooksLikeAGlobIsThatFile) {
  const TempDir dir;
  Touch(dir, {"a[1].parquet", "a1.parquet", "d*/x", "dd/y"});
  EXPECT_THAT(Listed(dir / "a[1].parquet"), ElementsAre("a[1].parquet"));
  EXPECT_THAT(Listed(dir.path() + "/d*"), ElementsAre("x"));
}

TEST(List, WhatIsNotThereIsNotFoundByItsPath) {
  const TempDir dir;
  const Status status = ListRefused(dir / "nothing.parquet");
  EXPECT_EQ(KindOf(status), ErrorKind::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(dir.path() + "/nothing.parquet"));
}

TEST(List, AGlobThatMatchesNoFileIsNotFound) {
  const TempDir dir;
  Touch(dir, {"a.txt"});
  std::filesystem::create_directory(dir / "b.parquet");
  for (const char* glob : {"/*.parquet", "/none/*.parquet", "/*/x", "/a.txt/*"}) {
    const Status status = ListRefused(dir.path() + glob);
    EXPECT_EQ(KindOf(status), ErrorKind::kNotFound) << status.ToString();
    EXPECT_THAT(status.message(), HasSubstr(dir.path()));
  }
}

TEST(List, ADirectoryOfHiddenFilesIsNotFoundAndSaysWhy) {
  const TempDir dir;
  Touch(dir, {"l/_SUCCESS", "l/.x"});
  const Status status = ListRefused(dir / "l");
  EXPECT_EQ(KindOf(status), ErrorKind::kNotFound);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(dir / "l"), HasSubstr("begin with _")));
}

TEST(List, AnEmptyDirectoryIsNotFound) {
  const TempDir dir;
  EXPECT_EQ(KindOf(ListRefused(dir.path())), ErrorKind::kNotFound);
}

TEST(List, FollowsLinksAndLeavesBrokenOnesOut) {
  const TempDir dir;
  Touch(dir, {"data/x"});
  std::filesystem::create_directory(dir / "l");
  std::filesystem::create_symlink(dir / "data/x", dir / "l/link");
  std::filesystem::create_symlink(dir / "nowhere", dir / "l/broken");
  EXPECT_THAT(Listed(dir / "l"), ElementsAre("link"));
}

// Buckets have no directories, and paths without a slash in front.
class BucketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"bucket/l/b", "bucket/l/_x", "bucket/l/a/c", "bucket/m"}) {
      Check(filesystem_->CreateDir(std::filesystem::path(name).parent_path().string(),
                                   true));
      Check(filesystem_->CreateFile(name, name));
    }
  }

  std::vector<std::string> Listed(const std::string& path) {
    std::vector<std::string> names;
    for (const auto& file : Check(storage_.List(path))) {
      names.push_back(file.path + " " + file.relative_path);
    }
    return names;
  }

  std::shared_ptr<arrow::fs::internal::MockFileSystem> filesystem_ =
      std::make_shared<arrow::fs::internal::MockFileSystem>(arrow::fs::TimePoint{});
  Storage storage_{{.filesystem = filesystem_, .display_prefix = "s3://"}, {}};
};

TEST_F(BucketTest, ListsBelowAKey) {
  EXPECT_THAT(Listed("bucket/l"), ElementsAre("bucket/l/a/c a/c", "bucket/l/b b"));
  EXPECT_THAT(Listed("bucket"),
              ElementsAre("bucket/l/a/c l/a/c", "bucket/l/b l/b", "bucket/m m"));
  EXPECT_THAT(Listed("bucket/m"), ElementsAre("bucket/m m"));
}

TEST_F(BucketTest, ListsGlobs) {
  EXPECT_THAT(Listed("bucket/l/*"), ElementsAre("bucket/l/b b"));
  EXPECT_THAT(Listed("bucket/**/c"), ElementsAre("bucket/l/a/c l/a/c"));
  EXPECT_THAT(Listed("buck*/m"), ElementsAre("bucket/m bucket/m"));
}

TEST_F(BucketTest, ErrorsHaveTheUriThatUsersKnow) {
  EXPECT_THAT(storage_.List("bucket/none").status().message(),
              HasSubstr("s3://bucket/none"));
  EXPECT_THAT(storage_.List("bucket/x*").status().message(), HasSubstr("s3://bucket/x*"));
}

TEST_F(BucketTest, OpensAndReadsRanges) {
  const auto file = Check(storage_.Open({"bucket/l/b", "b", 10}));
  EXPECT_EQ(Check(file->ReadAt(7, 2))->ToString(), "l/");
}

TEST(ListDirectory, HasWhatLiesInItAndNothingBelow) {
  const TempDir dir;
  Touch(dir, {"b.parquet", "a/deep/x", "c=1/x", "_SUCCESS", ".git/x", "a.parquet"});
  const Opened opened = OpenUri(dir.path());
  const DirectoryListing listing = Check(opened.storage->ListDirectory(opened.path));
  std::vector<std::string> files, directories;
  for (const auto& file : listing.files) files.push_back(file.relative_path);
  for (const auto& found : listing.directories) {
    directories.push_back(found.name);
    EXPECT_EQ(found.path, dir.path() + "/" + found.name);
    EXPECT_TRUE(Check(opened.storage->IsDirectory(found.path)));
  }
  EXPECT_THAT(files, ElementsAre("a.parquet", "b.parquet"));
  EXPECT_THAT(directories, ElementsAre("a", "c=1"));
  EXPECT_FALSE(Check(opened.storage->IsDirectory(listing.files[0].path)));
  EXPECT_FALSE(Check(opened.storage->IsDirectory(dir.path() + "/none")));
  const auto none = Check(opened.storage->ListDirectory(dir.path() + "/none"));
  EXPECT_TRUE(none.files.empty() && none.directories.empty());
}

TEST(Open, ReadsRangesOfAFileInAnyOrder) {
  const TempDir dir;
  WriteFile(dir / "x", "0123456789");
  const Opened opened = OpenUri(dir / "x");
  const auto file = Check(opened.storage->Open(OneFile(dir / "x")));
  EXPECT_EQ(Check(file->ReadAt(7, 3))->ToString(), "789");
  EXPECT_EQ(Check(file->ReadAt(0, 2))->ToString(), "01");
  EXPECT_EQ(Check(file->ReadAt(3, 0))->ToString(), "");
  EXPECT_EQ(Check(file->ReadAt(8, 100))->ToString(), "89");
  EXPECT_EQ(Check(file->GetSize()), 10);
}

TEST(Open, AFileThatIsGoneIsNotFoundByItsName) {
  const TempDir dir;
  WriteFile(dir / "x", "1");
  const FileEntry file = OneFile(dir / "x");
  std::filesystem::remove(dir / "x");
  const Status status = OpenUri(dir / "x").storage->Open(file).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(dir / "x"));
}

TEST(ChangeOf, AFileThatIsLeftAloneHasNone) {
  const TempDir dir;
  WriteFile(dir / "x", "1");
  EXPECT_EQ(Check(OpenUri(dir / "x").storage->ChangeOf(OneFile(dir / "x"))),
            FileChange::kNone);
}

TEST(ChangeOf, AnotherTimeIsToldFromAnotherSize) {
  const TempDir dir;
  WriteFile(dir / "x", "1");
  const FileEntry file = OneFile(dir / "x");
  const auto storage = OpenUri(dir / "x").storage;
  std::filesystem::last_write_time(
      dir / "x", std::filesystem::last_write_time(dir / "x") + std::chrono::hours(1));
  EXPECT_EQ(Check(storage->ChangeOf(file)), FileChange::kTime);
  WriteFile(dir / "x", "12");
  EXPECT_EQ(Check(storage->ChangeOf(file)), FileChange::kReplaced);
}

TEST(ChangeOf, ADirectoryInItsPlaceIsAReplacement) {
  const TempDir dir;
  WriteFile(dir / "x", "1");
  const FileEntry file = OneFile(dir / "x");
  std::filesystem::remove(dir / "x");
  std::filesystem::create_directory(dir / "x");
  EXPECT_EQ(Check(OpenUri(dir / "x").storage->ChangeOf(file)), FileChange::kReplaced);
}

TEST(ChangeOf, AFileThatIsGoneIsNotFoundByItsName) {
  const TempDir dir;
  WriteFile(dir / "x", "1");
  const FileEntry file = OneFile(dir / "x");
  std::filesystem::remove(dir / "x");
  const Status status = OpenUri(dir / "x").storage->ChangeOf(file).status();
  EXPECT_EQ(KindOf(status), ErrorKind::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(dir / "x"));
}

}  // namespace
}  // namespace headrace::storage
