// A filesystem of the caller's own, opened by a scheme of its own.
#include <arrow/filesystem/mockfs.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/filesystem.h>

#include <memory>
#include <string>

#include "storage/storage.h"
#include "tests/cpp/lake.h"

namespace headrace::storage {
namespace {

using testing::Check;
using ::testing::HasSubstr;

std::shared_ptr<arrow::fs::internal::MockFileSystem> Filesystem() {
  auto filesystem =
      std::make_shared<arrow::fs::internal::MockFileSystem>(arrow::fs::TimePoint{});
  Check(filesystem->CreateDir("lake", true));
  Check(filesystem->CreateFile("lake/a?b", "0123"));
  return filesystem;
}

TEST(AddFilesystem, GivesItsPathsAScheme) {
  Check(AddFilesystem("own-1", Filesystem(), "memory://"));
  std::string path;
  const auto storage = Check(Storage::FromUri("own-1://lake/", {}, &path));
  EXPECT_EQ(path, "lake");
  const auto files = Check(storage->List(path));
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files[0].path, "lake/a?b");
  EXPECT_EQ(Check(Check(storage->Open(files[0]))->ReadAt(1, 2))->ToString(), "12");
  EXPECT_THAT(storage->List("lake/absent").status().message(),
              HasSubstr("memory://lake/absent"));
}

TEST(AddFilesystem, CommitsAndOptionsAreRefused) {
  Check(AddFilesystem("own-2", Filesystem(), "memory://"));
  std::string path;
  const auto storage = Check(Storage::FromUri("own-2://lake", {}, &path));
  EXPECT_EQ(KindOf(storage->PutIfAbsent("lake/x", "1").status()),
            ErrorKind::kUnsupported);
  EXPECT_EQ(KindOf(Storage::FromUri("own-2://lake", {{"region", "eu"}}, &path).status()),
            ErrorKind::kInvalidArgument);
}

TEST(AddFilesystem, SchemesThatMeanSomethingElseAreRefused) {
  for (const char* scheme : {"", "s3", "file", "Own", "a/b", "a b"}) {
    EXPECT_EQ(KindOf(AddFilesystem(scheme, Filesystem(), "")),
              ErrorKind::kInvalidArgument)
        << scheme;
  }
}

}  // namespace
}  // namespace headrace::storage
