// Writing on local disk: whole files, and files only where none are.
#include "storage/local/durable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "storage/storage.h"
#include "tests/cpp/lake.h"

namespace headrace::storage {
namespace {

using testing::Check;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;

std::shared_ptr<Storage> Local(const TempDir& dir) {
  std::string path;
  return Check(Storage::FromUri(dir.path(), {}, &path));
}

std::vector<std::string> NamesIn(const Storage& storage, const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& file : Check(storage.ListAll(folder, /*recursive=*/true))) {
    names.push_back(file.relative_path);
  }
  return names;
}

TEST(Create, WritesAFileInFoldersThatItMakes) {
  const TempDir dir;
  const auto storage = Local(dir);
  auto stream = Check(storage->Create(dir.path() + "/a/b/x"));
  Check(stream->Write("0123", 4));
  Check(stream->Write("45", 2));
  EXPECT_EQ(Check(stream->Tell()), 6);
  EXPECT_FALSE(stream->closed());
  Check(stream->Close());
  EXPECT_TRUE(stream->closed());
  Check(stream->Close());
  EXPECT_EQ(Check(storage->ReadAll(dir.path() + "/a/b/x"))->ToString(), "012345");
  stream = Check(storage->Create(dir.path() + "/a/b/x"));
  Check(stream->Write("6", 1));
  Check(stream->Close());
  EXPECT_EQ(Check(storage->ReadAll(dir.path() + "/a/b/x"))->ToString(), "6");
}

TEST(Create, AFileInPlaceOfAFolderIsAnErrorByName) {
  const TempDir dir;
  testing::WriteFile(dir / "a", "x");
  const Status status = Local(dir)->Create(dir.path() + "/a/b").status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr(dir / "a"));
}

TEST(PutIfAbsent, IsTrueOnceAndThenSparesWhatIsThere) {
  const TempDir dir;
  const auto storage = Local(dir);
  EXPECT_TRUE(Check(storage->PutIfAbsent(dir.path() + "/log/0", "first")));
  EXPECT_FALSE(Check(storage->PutIfAbsent(dir.path() + "/log/0", "second")));
  EXPECT_EQ(Check(storage->ReadAll(dir.path() + "/log/0"))->ToString(), "first");
  EXPECT_TRUE(Check(storage->PutIfAbsent(dir.path() + "/log/1", "")));
  EXPECT_EQ(Check(storage->ReadAll(dir.path() + "/log/1"))->size(), 0);
  EXPECT_THAT(NamesIn(*storage, dir.path()), ElementsAre("log/0", "log/1"));
}

TEST(PutIfAbsent, OfManyAtOnceExactlyOneIsTrue) {
  const TempDir dir;
  const auto storage = Local(dir);
  for (int round = 0; round < 20; ++round) {
    const std::string path = dir.path() + "/log/" + std::to_string(round);
    std::atomic<int> winners{0};
    std::atomic<int> winner{-1};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        if (!Check(storage->PutIfAbsent(path, std::to_string(i)))) return;
        ++winners;
        winner = i;
      });
    }
    threads.clear();
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(Check(storage->ReadAll(path))->ToString(), std::to_string(winner));
  }
  EXPECT_EQ(NamesIn(*storage, dir.path()).size(), 20U);
}

TEST(PutIfAbsent, AFolderInItsPlaceIsSpared) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "x");
  EXPECT_FALSE(Check(Local(dir)->PutIfAbsent(dir / "x", "1")));
}

TEST(PutIfAbsent, IsRefusedWhereItCannotBePromised) {
  const TempDir dir;
  Storage storage(
      {.filesystem = nullptr, .display_prefix = "odd://", .put_needs = "a key"}, {});
  const Status status = storage.PutIfAbsent("b/x", "1").status();
  EXPECT_EQ(KindOf(status), ErrorKind::kUnsupported);
  EXPECT_THAT(status.message(), HasSubstr("odd://b/x"));
  EXPECT_THAT(status.message(), HasSubstr("give it a key"));
}

}  // namespace
}  // namespace headrace::storage
