#include <arrow/compute/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "expression/test_rows.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using ::testing::HasSubstr;

struct Case {
  const char* filter;
  const char* passes;
};

void Check(const std::vector<NamedColumn>& columns, const std::vector<Case>& cases) {
  for (const auto& [filter, passes] : cases) {
    EXPECT_EQ(Passes(filter, columns), passes) << filter;
  }
}

// What is null passes neither a filter nor its negation.
TEST(FilterEvaluate, FollowsSqlOnNulls) {
  Check({Column("x", arrow::int64(), "[1, 2, null, 4]"),
         Column("y", arrow::int64(), "[1, null, null, 3]"),
         Column("flag", arrow::boolean(), "[true, false, null, true]")},
        {{"x = 1", "1000"},
         {"not x = 1", "0101"},
         {"x != 1", "0101"},
         {"x = y", "1000"},
         {"not x = y", "0001"},
         {"x = null", "0000"},
         {"not x = null", "0000"},
         {"x is null", "0010"},
         {"x is not null", "1101"},
         {"flag", "1001"},
         {"not flag", "0100"},
         {"flag = true", "1001"},
         {"flag and y = 1", "1000"},
         {"x = 2 or y = 1", "1100"},
         {"not (x = 2 and y = 1)", "1001"},
         {"x = 4 or null", "0001"},
         {"not (x = 4 and null)", "1100"},
         {"x in (1, 2)", "1100"},
         {"x not in (1, 2)", "0001"},
         {"x in (1, null)", "1000"},
         {"x not in (1, null)", "0000"},
         {"x in (null)", "0000"},
         {"x not in (null)", "0000"},
         {"x in (y, 4)", "1001"},
         {"x not in (y, 5)", "0001"},
         {"x between 2 and 4", "0101"},
         {"x not between 2 and 4", "1000"},
         {"x between y and 10", "1001"},
         {"x + y > 1", "1001"},
         {"not x + y > 2", "1000"},
         {"true", "1111"},
         {"false", "0000"},
         {"null", "0000"},
         {"not null", "0000"},
         {"1 = 1", "1111"},
         {"null in (1)", "0000"},
         {"1 in (1, 2) and x = 1", "1000"}});
}

TEST(FilterEvaluate, ComparesExactlyAcrossTypes) {
  Check({Column("i8", arrow::int8(), "[-128, 0, 127, null]"),
         Column("u64", arrow::uint64(),
                "[0, 9007199254740993, 18446744073709551615, null]"),
         Column("i64", arrow::int64(),
                "[-9223372036854775808, 9007199254740993, "
                "9223372036854775807, null]"),
         Column("f64", arrow::float64(), "[-0.0, 9007199254740992, 0.1, null]"),
         Column("f32", arrow::float32(), "[0.1, 16777216, -0.0, null]"),
         Column("d", arrow::decimal128(6, 2), R"(["-1.25", "0.10", "9999.99", null])")},
        {{"i8 < 1000", "1110"},
         {"i8 > 1000", "0000"},
         {"not i8 > 1000", "1110"},
         {"i8 >= -128.5", "1110"},
         {"i8 = 0.5", "0000"},
         {"i8 != 0.5", "1110"},
         {"i8 > -0.5", "0110"},
         {"i8 < 1e300 and i8 > -1e300", "1110"},
         {"i8 in (127, 1000, -0.0)", "0110"},
         {"u64 > -1", "1110"},
         {"u64 = 18446744073709551615", "0010"},
         {"u64 > 9007199254740992", "0110"},
         {"u64 > 9007199254740992.0", "0110"},
         {"u64 >= 1.8446744073709552e19", "0000"},
         {"i64 = 9007199254740993", "0100"},
         {"i64 = 9007199254740992.0", "0000"},
         {"i64 < 9223372036854775807.0", "1110"},
         {"i64 < 9223372036854775807", "1100"},
         {"i64 >= -9223372036854775808", "1110"},
         {"f64 < 9007199254740993", "1110"},
         {"f64 = 9007199254740993", "0000"},
         {"f64 = 9007199254740992", "0100"},
         {"f64 = 0", "1000"},
         {"f64 in (0)", "1000"},
         {"f64 not in (0, 0.1)", "0100"},
         {"f64 = 0.1", "0010"},
         {"f32 = 0.1", "0000"},
         {"f32 > 0.1", "1100"},
         {"f32 = 16777217", "0000"},
         {"f32 < 16777217", "1110"},
         {"f32 in (0, 0.1)", "0010"},
         {"f32 < 1e300", "1110"},
         {"d = 0.1", "0100"},
         {"d = '0.1'", "0100"},
         {"d < 0.105", "1100"},
         {"d < 10000", "1110"},
         {"d > -1.255", "1110"},
         {"d in (0.1, 9999.99, 0.001)", "0110"},
         {"i8 < i64", "0110"},
         {"i8 * 100 > 12000", "0010"},
         {"i8 + i8 = 254", "0010"},
         {"i8 * 0.5 = 63.5", "0010"},
         {"-i8 = 128", "1000"},
         {"i8 / 2 = 63", "0010"},
         {"i8 % 5 = -3", "1000"}});
}

TEST(FilterEvaluate, KnowsNan) {
  const std::vector<NamedColumn> columns = {
      Column("x", arrow::float64(), "[NaN, Inf, -Inf, 1, null]"),
      Column("i", arrow::int64(), "[1, 2, 3, 4, null]")};
  Check(columns, {{"x = x", "01110"},
                  {"x != x", "10000"},
                  {"x < 5", "00110"},
                  {"not x < 5", "11000"},
                  {"x >= 1", "01010"},
                  {"not (x >= 1 or x < 1)", "10000"},
                  {"x in (1, 2)", "00010"},
                  {"x not in (1, 2)", "11100"},
                  {"x > 1e308", "01000"}});
  const auto nan = cp::literal(std::numeric_limits<double>::quiet_NaN());
  const auto i = cp::field_ref("i");
  EXPECT_EQ(Passes(cp::equal(i, nan), Rows(columns)), "00000");
  EXPECT_EQ(Passes(cp::not_equal(i, nan), Rows(columns)), "11110");
  EXPECT_EQ(Passes(cp::not_(cp::less(i, nan)), Rows(columns)), "11110");
  EXPECT_EQ(Passes(cp::less(i, cp::literal(std::numeric_limits<double>::infinity())),
                   Rows(columns)),
            "11110");
}

TEST(FilterEvaluate, KnowsDatesAndTimes) {
  Check({Column("day", arrow::date32(), "[0, 15706, null]"),
         Column("local", arrow::timestamp(arrow::TimeUnit::MILLI),
                R"(["1970-01-01", "2013-01-01 10:30:00.5", null])"),
         Column("utc", arrow::timestamp(arrow::TimeUnit::NANO, "UTC"),
                R"(["1969-12-31 23:59:59", "2013-01-01 10:30:00", null])"),
         Column("clock", arrow::time64(arrow::TimeUnit::MICRO),
                "[36000000000, 86399500000, null]")},
        {{"day = '2013-01-01'", "010"},
         {"day < date '2013-01-01'", "100"},
         {"day >= timestamp '2012-12-31 10:00:00'", "010"},
         {"day = timestamp '2013-01-01 00:00:00'", "010"},
         {"day = timestamp '2013-01-01 00:00:01'", "000"},
         {"day in ('1970-01-01', '2013-01-01 12:00:00')", "100"},
         {"local > '2013-01-01'", "010"},
         {"local = '2013-01-01 10:30:00.5'", "010"},
         {"local <= '2013-01-01 10:30:00.5004'", "110"},
         {"local < timestamp '2013-01-01 10:30:00.4999'", "100"},
         {"local between date '1970-01-01' and date '2013-01-01'", "100"},
         {"utc < '1970-01-01'", "100"},
         {"utc = '2013-01-01 11:30:00+01:00'", "010"},
         {"utc > timestamp '2013-01-01 10:29:59.999999999Z'", "010"},
         {"local > day", "010"},
         {"local < '9999-12-31'", "110"},
         {"utc < '9999-12-31'", "110"},
         {"clock > '10:00'", "010"},
         {"clock < '23:59:59.50000001'", "110"}});
}

TEST(FilterEvaluate, KnowsStringsOfEveryKind) {
  const std::string json = R"(["AA", "UA", "a_b%", "", null])";
  for (const auto& type :
       {arrow::utf8(), arrow::large_utf8(), arrow::utf8_view(), arrow::binary(),
        arrow::dictionary(arrow::int8(), arrow::utf8())}) {
    SCOPED_TRACE(type->ToString());
    if (type->id() == arrow::Type::BINARY) continue;
    Check({Column("s", type, json)}, {{"s = 'UA'", "01000"},
                                      {"s != 'UA'", "10110"},
                                      {"s < 'B'", "10010"},
                                      {"s in ('AA', 'x', '')", "10010"},
                                      {"s not in ('AA', 'x')", "01110"},
                                      {"s like '%A'", "11000"},
                                      {"s like 'U%'", "01000"},
                                      {"s like '_A'", "11000"},
                                      {"s like '%'", "11110"},
                                      {"s like ''", "00010"},
                                      {"s not like '%A'", "00110"},
                                      {"s ilike '%a'", "11000"},
                                      {R"(s like '%\_b\%')", "00100"},
                                      {R"(s like 'a\_%')", "00100"},
                                      {R"(s like 'A\A')", "10000"},
                                      {R"(s like '%\\%')", "00000"},
                                      {"s is null", "00001"}});
  }
  const std::vector<NamedColumn> fixed = {
      Column("b", arrow::fixed_size_binary(2), R"(["ab", "ac", "zz", null])")};
  Check(fixed, {{"b = 'ab'", "1000"},
                {"b = 'a'", "0000"},
                {"b > 'a'", "1110"},
                {"b < 'abc'", "1000"},
                {"b >= 'abc'", "0110"},
                {"b < 'zzz'", "1110"},
                {"b in ('ac', 'acc')", "0100"}});
}

TEST(FilterEvaluate, KnowsColumnsThatKernelsDoNot) {
  const auto halves =
      cp::Cast(*Column("", arrow::float32(), "[0.5, 1, null]").values, arrow::float16())
          .ValueOrDie();
  Check({{"h", halves},
         Column("n", arrow::null(), "[null, null, null]"),
         Column("d", arrow::dictionary(arrow::int8(), arrow::int64()), "[7, 8, null]")},
        {{"h = 0.5", "100"},
         {"h in (1, 2)", "010"},
         {"h is null", "001"},
         {"h * 2 > 1.5", "010"},
         {"n = 1", "000"},
         {"not n = 1", "000"},
         {"n in (1)", "000"},
         {"n is null", "111"},
         {"n", "000"},
         {"d > 7", "010"},
         {"d in (7, 9)", "100"}});
}

TEST(FilterEvaluate, ReachesIntoStructs) {
  Check({Column("s", arrow::struct_({arrow::field("x", arrow::int64())}),
                R"([{"x": 1}, {"x": null}, null])")},
        {{"s.x = 1", "100"}, {"s.x is null", "011"}, {"s is null", "001"}});
}

TEST(FilterEvaluate, TakesSlicesAndNoRows) {
  const auto all =
      Column("flag", arrow::boolean(), "[true, false, null, true, true]").values;
  EXPECT_EQ(Passes("flag", {{"flag", all->Slice(1, 3)}}), "001");
  EXPECT_EQ(Passes("flag", {{"flag", all->Slice(3, 2)}}), "11");
  EXPECT_EQ(Passes("flag", {{"flag", all->Slice(0, 0)}}), "");
  EXPECT_EQ(Passes("flag in (true)", {{"flag", all->Slice(2, 2)}}), "01");
}

TEST(FilterEvaluate, FailsWithTheFiltersName) {
  EXPECT_EQ(Passes("10 / x > 1", {Column("x", arrow::int64(), "[1, 0]")}),
            "InvalidArgument: the filter \"10 / x > 1\" fails: divide by zero");
  EXPECT_THAT(Passes("x + 1 > 0", {Column("x", arrow::int64(), "[9223372036854775807]")}),
              HasSubstr("fails: overflow"));
}

TEST(FilterEvaluate, RefusesABatchOfOtherColumns) {
  const auto filter = Filter::Bind(*ParseFilter("x = 1"),
                                   *arrow::schema({arrow::field("x", arrow::int64())}))
                          .ValueOrDie();
  auto* pool = arrow::default_memory_pool();
  EXPECT_EQ(filter.Evaluate(*Rows({}), pool).status().message(),
            "the filter \"x = 1\" was given 0 columns, expected 1");
  EXPECT_EQ(filter.Evaluate(*Rows({Column("x", arrow::int32(), "[1]")}), pool)
                .status()
                .message(),
            "the filter \"x = 1\" was given column x as int32, expected int64");
}

TEST(FilterEvaluate, RunsInManyThreadsAtOnce) {
  const auto rows = Rows({Column("s", arrow::utf8(), R"(["ab", "b", null, "abc"])"),
                          Column("x", arrow::int64(), "[1, 2, 3, null]")});
  const auto filter =
      Filter::Bind(*ParseFilter("s like 'a%c' or s like '%b' or x in (2, 3)"),
                   *rows->schema())
          .ValueOrDie();
  std::vector<int> passed(4, 0);
  {
    std::vector<std::jthread> threads;
    for (int& count : passed) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          count += static_cast<int>(filter.Evaluate(*rows, arrow::default_memory_pool())
                                        .ValueOrDie()
                                        ->true_count());
        }
      });
    }
  }
  for (const int count : passed) EXPECT_EQ(count, 800);
}

}  // namespace
}  // namespace headrace::expression
