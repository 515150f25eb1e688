// Small objects: written whole or not at all, and names that stay below their folder.
#include <headrace/objects.h>

#include <arrow/buffer.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using headrace::testing::Check;
using headrace::testing::TempDir;
using headrace::testing::WriteFile;

class Objects : public ::testing::Test {
 protected:
  std::string Text(const std::string& name) const {
    return Check(folder_->Read(name))->ToString();
  }

  TempDir dir_;
  std::shared_ptr<ObjectFolder> folder_ =
      Check(ObjectFolder::Open((dir_ / "store") + "/"));
};

TEST_F(Objects, OpeningWritesNothing) {
  EXPECT_EQ(Check(folder_->List()), std::vector<ObjectEntry>());
  EXPECT_FALSE(std::filesystem::exists(dir_ / "store"));
  EXPECT_EQ(folder_->Display(), dir_ / "store");
}

TEST_F(Objects, APutIsReadBackAndReplacedByTheNext) {
  const std::string bytes("a\0b", 3);
  Check(folder_->Put("runs/7/model.pt", bytes));
  EXPECT_EQ(Text("runs/7/model.pt"), bytes);
  Check(folder_->Put("runs/7/model.pt", ""));
  EXPECT_EQ(Text("runs/7/model.pt"), "");
}

TEST_F(Objects, AreListedByNameBelowAPrefix) {
  Check(folder_->Put("runs/7/b", "22"));
  Check(folder_->Put("runs/7/a/x", "1"));
  Check(folder_->Put("runs/70/c", "333"));
  const std::vector<ObjectEntry> seven = {{"runs/7/a/x", 1}, {"runs/7/b", 2}};
  EXPECT_EQ(Check(folder_->List("runs/7")), seven);
  EXPECT_EQ(Check(folder_->List()).size(), 3U);
}

TEST_F(Objects, RemovingIsForAllThatIsThere) {
  Check(folder_->Put("a", "1"));
  Check(folder_->Remove("a"));
  Check(folder_->Remove("a"));
  const Status gone = folder_->Read("a").status();
  EXPECT_EQ(KindOf(gone), ErrorKind::kNotFound) << gone;
  EXPECT_NE(gone.message().find(dir_ / "store/a"), std::string::npos) << gone;
}

TEST_F(Objects, APutThatFailsLeavesTheOldBytes) {
  Check(folder_->Put("a", "old"));
  // What it writes to cannot be opened.
  std::filesystem::create_directory(dir_ / "store/a.tmp");
  EXPECT_FALSE(folder_->Put("a", "new").ok());
  EXPECT_EQ(Text("a"), "old");
}

TEST_F(Objects, WhatAKilledWriterLeftIsNotListed) {
  Check(folder_->Put("a", "old"));
  WriteFile(dir_ / "store/a.tmp", "ha");
  EXPECT_EQ(Check(folder_->List()), (std::vector<ObjectEntry>{{"a", 3}}));
  Check(folder_->Put("a", "new"));
  EXPECT_EQ(Text("a"), "new");
}

TEST_F(Objects, NamesThatLeaveTheFolderAreRefused) {
  for (const std::string name :
       {"", "/a", "a/", "a//b", "..", "a/../b", "./a", "a/.", "a.tmp"}) {
    for (const Status& status :
         {folder_->Put(name, "x"), folder_->Read(name).status(), folder_->Remove(name)}) {
      EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << name << ": " << status;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(dir_ / "store"));
}

}  // namespace
}  // namespace headrace
