#include "cache/records.h"

#include <gtest/gtest.h>

#include <string>

namespace headrace::cache {
namespace {

constexpr int64_t kTime = 1'795'860'930'000;  // 2026-11-28T10:15:30Z

TEST(DirectoryName, SaysWhenAndForWhom) {
  const std::string name = DirectoryName({"trainer", "local-17"}, kTime);
  EXPECT_EQ(name.substr(0, 32), "20261128101530-trainer-local-17-");
  EXPECT_EQ(name.size(), 32 + 36);
  EXPECT_TRUE(IsDirectoryName(name));
  EXPECT_NE(name, DirectoryName({"trainer", "local-17"}, kTime));
}

TEST(DirectoryName, IsSafeForPathsAndUrisWhateverTheApplicationIsCalled) {
  for (const std::string& application :
       {std::string("../../etc"), std::string("a b?c=d&e#f%2F"),
        std::string("São\n\0x", 8), std::string(), std::string(500, 'x')}) {
    const std::string name = DirectoryName({application, application}, kTime);
    EXPECT_EQ(
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789._-"),
        std::string::npos)
        << name;
    EXPECT_LE(name.size(), 255U);
    EXPECT_TRUE(IsDirectoryName(name)) << name;
  }
}

TEST(DirectoryName, IsToldFromOthers) {
  const std::string name = DirectoryName({"a", "b"}, kTime);
  for (const std::string& other :
       {std::string(), std::string("_keys"), std::string("flights"), name + "/x",
        "x" + name, name.substr(1), name + "0", name.substr(0, name.size() - 1) + "G",
        name.substr(0, 15) + name.substr(19)}) {
    EXPECT_FALSE(IsDirectoryName(other)) << other;
  }
}

TEST(Records, ComeBackFromJson) {
  const LeaseRecord lease{
      {"trainer", "local-1"}, {"host", 12, "345", "boot", "pid:[1]"}, kTime};
  const auto lease_again = LeaseRecord::Parse(lease.ToJson(), "x").ValueOrDie();
  EXPECT_EQ(lease_again.owner, lease.owner);
  EXPECT_EQ(lease_again.process, lease.process);
  EXPECT_EQ(lease_again.heartbeat_ms, kTime);
  const TableRecord table{{"trainer", "local-1"}, kTime};
  const auto table_again = TableRecord::Parse(table.ToJson(), "x").ValueOrDie();
  EXPECT_EQ(table_again.owner, table.owner);
  EXPECT_EQ(table_again.created_ms, kTime);
  KeyRecord key{std::string(64, 'a'), DirectoryName({"a", "b"}, kTime), 7, 8};
  for (const std::optional<int64_t> rows :
       {std::optional<int64_t>(7), std::optional<int64_t>()}) {
    key.rows = rows;
    const auto again = KeyRecord::Parse(key.ToJson(), "x").ValueOrDie();
    EXPECT_EQ(again.key, key.key);
    EXPECT_EQ(again.directory, key.directory);
    EXPECT_EQ(again.rows, rows);
    EXPECT_EQ(again.bytes, 8);
  }
}

TEST(Records, ThatAreNoneAreCorruptByTheirName) {
  for (const char* text : {"", "{", "[]", "{}", R"({"format": "1"})", "\xff"}) {
    const auto status = LeaseRecord::Parse(text, "lake/x.json").status();
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt) << text;
    EXPECT_EQ(MessageOf(status).find("lake/x.json"), 0U) << status;
  }
  // A key must not lead out of the cache directory.
  EXPECT_EQ(
      KindOf(KeyRecord::Parse(R"({"format": 1, "directory": "../x"})", "x").status()),
      ErrorKind::kCorrupt);
}

TEST(Records, OfALaterFormatAreUnsupported) {
  const auto status = KeyRecord::Parse(R"({"format": 2})", "x").status();
  EXPECT_EQ(KindOf(status), ErrorKind::kUnsupported) << status;
}

}  // namespace
}  // namespace headrace::cache
