#include "catalog/hive/partition_filter.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/cpp/lake.h"

namespace headrace::catalog {
namespace {

using testing::Check;

std::string Asked(const std::string& where) {
  static const std::map<std::string, std::string> keys = {
      {"day", "date"}, {"hour", "int"}, {"city", "string"}, {"rate", "double"}};
  return Check(PartitionFilter(where, keys));
}

TEST(PartitionFilter, ComparesKeysWithLiterals) {
  EXPECT_EQ(Asked("hour = 1"), "hour = 1");
  EXPECT_EQ(Asked("3 < hour"), "hour > 3");
  EXPECT_EQ(Asked("Hour >= -2"), "hour >= -2");
  EXPECT_EQ(Asked("city != 'New York'"), "city != \"New York\"");
  EXPECT_EQ(Asked("day = date '2026-11-02'"), "day = 2026-11-02");
  EXPECT_EQ(Asked("day > '2026-11-02'"), "day > 2026-11-02");
  EXPECT_EQ(Asked("hour in (1, 2)"), "(hour = 1 or hour = 2)");
}

TEST(PartitionFilter, AsksOfAConjunctionWhatItCan) {
  EXPECT_EQ(Asked("hour = 1 and fare > 2 and city = 'a'"), "hour = 1 and city = \"a\"");
  EXPECT_EQ(Asked("hour = 1 or city = 'a'"), "((hour = 1) or (city = \"a\"))");
  EXPECT_EQ(Asked("hour between 1 and 3"), "hour >= 1 and hour <= 3");
}

TEST(PartitionFilter, AsksNothingThatTheFilterDoesNotRuleOut) {
  for (const char* where :
       {"fare = 1", "hour = 1 or fare = 1", "not (hour = 1 and fare = 1)", "rate = 1.5",
        "hour = 1.5", "hour + 1 = 2", "city = 'it''s'", "city = 'a\"b'", "city = 'a\\b'",
        "city > 5", "day = 'yesterday'", "day = '2026-11-2'", "hour is null",
        "city like 'a%'", "hour = fare", ""}) {
    EXPECT_EQ(Asked(where), "") << where;
  }
}

TEST(PartitionFilter, RefusesWhatDoesNotParse) {
  const Status refused = PartitionFilter("hour = ", {{"hour", "int"}}).status();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(KindOf(refused), ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace headrace::catalog
