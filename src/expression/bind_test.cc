#include <arrow/compute/api.h>
#include <arrow/compute/cast.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>

#include "expression/test_rows.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<arrow::Schema> Flights() {
  return arrow::schema(
      {arrow::field("year", arrow::int32()), arrow::field("month", arrow::int8()),
       arrow::field("carrier", arrow::dictionary(arrow::int32(), arrow::utf8())),
       arrow::field("delay", arrow::float64()), arrow::field("ratio", arrow::float32()),
       arrow::field("day", arrow::date32()),
       arrow::field("local", arrow::timestamp(arrow::TimeUnit::MILLI)),
       arrow::field("utc", arrow::timestamp(arrow::TimeUnit::MICRO, "UTC")),
       arrow::field("price", arrow::decimal128(10, 2)),
       arrow::field("flag", arrow::boolean()), arrow::field("id", arrow::uint64()),
       arrow::field("blob", arrow::binary()),
       arrow::field("clock", arrow::time32(arrow::TimeUnit::SECOND)),
       arrow::field("at",
                    arrow::struct_({arrow::field("lat", arrow::float64()),
                                    arrow::field("x.y", arrow::int64()),
                                    arrow::field("deep", arrow::struct_({arrow::field(
                                                             "z", arrow::int64())}))})),
       arrow::field("dotted.name", arrow::int64())});
}

/// The canonical text, or "KIND: message".
std::string Text(const cp::Expression& expression) {
  const auto filter = Filter::Bind(expression, *Flights());
  if (filter.ok()) return filter->text();
  return std::string(KindName(KindOf(filter.status()))) + ": " +
         filter.status().message();
}

std::string Text(const std::string& text) {
  const auto expression = ParseFilter(text);
  return expression.ok() ? Text(*expression) : expression.status().message();
}

TEST(FilterBind, ListsItsColumnsOnceInOrderOfAppearance) {
  const auto filter =
      Filter::Bind(
          *ParseFilter("month = 1 or at.lat > 2 and (year < month or at.deep.z = 1)"),
          *Flights())
          .ValueOrDie();
  EXPECT_THAT(filter.columns(), ElementsAre("month", "at.lat", "year", "at.deep.z"));
  EXPECT_TRUE(filter.input_schema()->Equals(arrow::schema(
      {arrow::field("month", arrow::int8()), arrow::field("at.lat", arrow::float64()),
       arrow::field("year", arrow::int32()),
       arrow::field("at.deep.z", arrow::int64())})));
}

TEST(FilterBind, FindsColumnsByAnyKindOfReference) {
  EXPECT_EQ(Text("at.lat = 1.5"), "at.lat = 1.5");
  EXPECT_EQ(Text("at.\"lat\" = 1.5"), "at.lat = 1.5");
  EXPECT_EQ(Text("dotted.name = 1"), "dotted.name = 1");
  EXPECT_EQ(Text("at.x.y = 1"), "at.x.y = 1");
  EXPECT_EQ(Text("at.\"x.y\" = 1"), "at.x.y = 1");
  const auto one = cp::literal(int64_t{1});
  EXPECT_EQ(Text(cp::equal(cp::field_ref(arrow::FieldRef("at", "deep", "z")), one)),
            "at.deep.z = 1");
  EXPECT_EQ(Text(cp::equal(cp::field_ref(arrow::FieldRef(1)), one)), "month = 1");
  EXPECT_EQ(
      Text(cp::equal(cp::field_ref(arrow::FieldRef(arrow::FieldPath({13, 2, 0}))), one)),
      "at.deep.z = 1");
  EXPECT_EQ(Text(cp::equal(cp::field_ref(arrow::FieldRef(13, "deep", 0)), one)),
            "at.deep.z = 1");
}

TEST(FilterBind, SaysWhatIsWrongWithAColumn) {
  EXPECT_EQ(
      Text("yaer = 2013"),
      "NotFound: the filter names column yaer, which is not there; there are: year, "
      "day, at, carrier, ratio, utc, flag, id, blob, month and 9 more");
  EXPECT_THAT(Text("AT.LAT = 1"),
              HasSubstr("NotFound: the filter names column AT.LAT, which "
                        "is not there; there are: at.lat, "));
  EXPECT_THAT(Text("year.x = 1"), HasSubstr("NotFound: the filter names column year.x"));
  EXPECT_THAT(Text(cp::field_ref(arrow::FieldRef(99))), HasSubstr("NotFound: "));
  const auto twice = arrow::schema(
      {arrow::field("a", arrow::int64()), arrow::field("a", arrow::int64())});
  EXPECT_EQ(
      Filter::Bind(*ParseFilter("a = 1"), *twice).status().message(),
      "the filter names column a, which is there 2 times; rename the columns to tell "
      "them apart");
  const auto hidden = arrow::schema(
      {arrow::field("a.b", arrow::int64()),
       arrow::field("a", arrow::struct_({arrow::field("b", arrow::int64())}))});
  EXPECT_EQ(
      Filter::Bind(cp::is_valid(cp::field_ref(arrow::FieldRef("a", "b"))), *hidden)
          .status()
          .message(),
      "the filter means a nested column a.b, but that is another column's name; rename "
      "one of them");
}

TEST(FilterBind, SaysWhichTypesDoNotGoTogether) {
  EXPECT_EQ(
      Text("year = '2013'"),
      "InvalidArgument: the filter compares year (int32): a value of type int32 cannot "
      "be compared with '2013' of type string; write numbers without quotes");
  EXPECT_EQ(Text("day = 'yesterday'"),
            "InvalidArgument: the filter compares day (date32[day]): a value of type "
            "date32[day] cannot be compared with 'yesterday' of type string; write date "
            "'2013-01-31'");
  EXPECT_THAT(Text("day = 15"),
              HasSubstr("date32[day] cannot be compared with 15 of type"));
  EXPECT_THAT(Text("carrier = 1"), HasSubstr("write strings in single quotes"));
  EXPECT_THAT(Text("flag = 1"),
              HasSubstr("bool cannot be compared with 1 of type int64"));
  EXPECT_THAT(Text("local = timestamp '2013-01-02 10:00:00Z'"), HasSubstr("(no zone)"));
  EXPECT_THAT(Text("local = '2013-01-02 10:00:00Z'"), HasSubstr("(no zone)"));
  EXPECT_THAT(Text("year in (1, 2) or month in ('x')"),
              HasSubstr("the filter looks up month (int8): a value of type int8 cannot"));
  EXPECT_THAT(
      Text("year < carrier"),
      HasSubstr("the filter calls less on year (int32) and carrier (string), which"));
  EXPECT_EQ(Text("year like 'a%'"),
            "InvalidArgument: 'like' needs a string, found year (int32)");
  EXPECT_THAT(Text("year + carrier > 1"),
              HasSubstr("the filter calls add_checked on year"));
  EXPECT_THAT(Text("1 / 0 = 1"), HasSubstr("the filter calls divide on 1 (int64) and 0 "
                                           "(int64), which fails: divide by zero"));
}

TEST(FilterBind, WantsACondition) {
  EXPECT_EQ(Text("year + 1"),
            "InvalidArgument: the filter needs a condition that is true or false, found "
            "cast(year as int64) + 1 (int64)");
  EXPECT_EQ(Text("year and flag"),
            "InvalidArgument: 'and' needs a condition that is true or false, found year "
            "(int32)");
  EXPECT_THAT(Text("not 'x'"),
              HasSubstr("'not' needs a condition that is true or false"));
  EXPECT_EQ(Text("null"), "null");
}

TEST(FilterBind, RefusesWhatIsNoFunctionOfARow) {
  const auto year = cp::field_ref("year");
  EXPECT_THAT(Text(cp::call("no_such", {year})),
              HasSubstr("the filter calls no_such, which is no function of Arrow"));
  EXPECT_THAT(
      Text(cp::greater(cp::call("random", {}, cp::RandomOptions()), cp::literal(0.5))),
      HasSubstr("random, which gives other values each time"));
  EXPECT_THAT(Text(cp::greater(cp::call("sum", {year}), cp::literal(1))),
              HasSubstr("sum, which does not work row by row"));
  EXPECT_THAT(Text(cp::call("cumulative_sum", {year})),
              HasSubstr("does not work row by row"));
  EXPECT_THAT(Text(cp::Expression()), HasSubstr("the filter is an empty expression"));
}

// Arrow casts options to the type that it expects without looking.
TEST(FilterBind, RefusesOptionsOfAnotherFunction) {
  const auto carrier = cp::field_ref("carrier");
  EXPECT_EQ(Text(cp::call("is_in", {carrier}, cp::NullOptions())),
            "InvalidArgument: the filter calls is_in with NullOptions, expected "
            "SetLookupOptions");
  EXPECT_THAT(Text(cp::call("match_like", {carrier})),
              HasSubstr("with no options, expected"));
  EXPECT_THAT(Text(cp::call("cast", {carrier})), HasSubstr("with no options, expected"));
  EXPECT_THAT(Text(cp::call("cast", {carrier}, cp::CastOptions())),
              HasSubstr("without a type to cast to"));
  EXPECT_THAT(Text(cp::call("is_in", {carrier}, cp::SetLookupOptions())),
              HasSubstr("a value set that is no array"));
  EXPECT_THAT(Text(cp::call("equal", {carrier})), HasSubstr("1 arguments, expected 2"));
  EXPECT_THAT(Text(cp::call("invert", {})), HasSubstr("0 arguments, expected 1"));
  EXPECT_THAT(Text(cp::call("is_null", {})), HasSubstr("which fails"));
}

TEST(FilterBind, RefusesARegularExpressionThatDoesNotParse) {
  EXPECT_THAT(Text(cp::call("match_substring_regex", {cp::field_ref("carrier")},
                            cp::MatchSubstringOptions("("))),
              HasSubstr("InvalidArgument: "));
}

TEST(FilterBind, BoundsTheDepth) {
  cp::Expression deep = cp::field_ref("flag");
  for (int i = 0; i < 900; ++i) deep = cp::or_(deep, cp::field_ref("flag"));
  EXPECT_THAT(Text(deep), HasSubstr("flag or flag or flag"));
  for (int i = 0; i < 100000; ++i) deep = cp::not_(deep);
  EXPECT_THAT(Text(deep), HasSubstr("the filter is nested deeper than 1000 levels"));
}

TEST(FilterText, GivesLiteralsTheColumnsType) {
  const std::pair<const char*, const char*> kCases[] = {
      {"year = 2013", "year = 2013"},
      {"2013 <= year", "year >= 2013"},
      {"year = 2013.0", "year = 2013"},
      {"year < 2013.5", "year <= 2013"},
      {"year >= 2013.5", "year >= 2014"},
      {"year = 2013.5", "year is null and null"},
      {"year != 2013.5", "year is not null or null"},
      {"month < 1000", "month is not null or null"},
      {"month > 1000", "month is null and null"},
      {"id > -1", "id is not null or null"},
      {"delay > 15", "delay > 15.0"},
      {"delay < 9007199254740993", "delay <= 9007199254740992.0"},
      {"ratio < 0.1", "ratio <= 0.09999999403953552"},
      {"ratio > 0.5", "ratio > 0.5"},
      {"price = 0.1", "price = 0.10"},
      {"price < 0.125", "price <= 0.12"},
      {"price >= '1.005'", "price >= 1.01"},
      {"day > '2013-01-02'", "day > date '2013-01-02'"},
      {"day >= timestamp '2013-01-02 10:00:00'", "day >= date '2013-01-03'"},
      {"local = '2013-01-02'", "local = timestamp '2013-01-02 00:00:00.000'"},
      {"local < timestamp '2013-01-02 10:00:00.0005'",
       "local <= timestamp '2013-01-02 10:00:00.000'"},
      {"utc = date '2013-01-02'", "utc = timestamp '2013-01-02 00:00:00.000000Z'"},
      {"utc = timestamp '2013-01-02 10:00:00+01:00'",
       "utc = timestamp '2013-01-02 09:00:00.000000Z'"},
      {"clock < '14:30:00.5'", "clock <= 14:30:00"},
      {"blob = 'AB'", "blob = x'4142'"},
      {"carrier in ('UA', 'AA', 'UA')", "carrier in ('AA', 'UA')"},
      {"month in (1000, 2, null, 1)", "month in (1, 2, null)"},
      {"delay in (0)", "delay in (0.0, -0.0)"},
      {"day in ('2013-01-02')", "day in (date '2013-01-02')"},
      {"month + 1 = 2", "cast(month as int64) + 1 = 2"},
      {"month * 0.5 = 2", "cast(month as double, "},
      {"id - 1 = 0", "id - cast(1 as uint64) = 0"},
      {"1 + 1 = 2", "true"},
      {"1 < 1.5 and flag", "true and flag"},
      {"year = null", "null"},
      {"carrier like 'U%'", "carrier like 'U%'"},
      {"carrier = 'it''s'", "carrier = 'it''s'"},
      {"not (flag or year = 1) and flag", "not (flag or year = 1) and flag"},
      {"flag or flag and flag or flag", "flag or flag and flag or flag"},
      {"(flag or flag) and flag", "(flag or flag) and flag"},
      {"delay - (delay - 1) > delay - 1 - delay",
       "delay - (delay - 1.0) > delay - 1.0 - delay"},
  };
  for (const auto& [text, canonical] : kCases) {
    EXPECT_THAT(Text(text), ::testing::StartsWith(canonical)) << text;
  }
}

TEST(FilterText, IsTheSameForTextAndExpression) {
  const auto year = cp::field_ref("year");
  EXPECT_EQ(Text(cp::equal(year, cp::literal(int64_t{2013}))), Text("year = 2013"));
  EXPECT_EQ(Text(cp::equal(year, cp::literal(2013))), Text("year = 2013"));
  EXPECT_EQ(Text(cp::greater(cp::literal(1.0), cp::field_ref("delay"))),
            Text("delay < 1"));
  const auto flag = cp::field_ref("flag");
  EXPECT_EQ(Text(cp::and_({flag, flag, flag, cp::is_null(year)})),
            Text("flag and flag and flag and year is null"));
  EXPECT_EQ(Text(cp::not_(cp::is_valid(year))), Text("not year is not null"));
}

TEST(FilterText, TellsFiltersApart) {
  const auto is_in = [](const std::string& json,
                        cp::SetLookupOptions::NullMatchingBehavior n) {
    return Text(cp::call(
        "is_in", {cp::field_ref("year")},
        cp::SetLookupOptions(
            arrow::json::ArrayFromJSONString(arrow::int32(), json).ValueOrDie(), n)));
  };
  std::string many = "[0";
  for (int i = 2; i < 1000; ++i) many += "," + std::to_string(i);
  const std::string long_text = "carrier = '" + std::string(1000, 'x');
  const std::vector<std::string> texts = {
      is_in("[1]", cp::SetLookupOptions::MATCH),
      is_in("[1]", cp::SetLookupOptions::SKIP),
      is_in("[1]", cp::SetLookupOptions::EMIT_NULL),
      is_in("[1]", cp::SetLookupOptions::INCONCLUSIVE),
      is_in(many + ",2001]", cp::SetLookupOptions::MATCH),
      is_in(many + ",2002]", cp::SetLookupOptions::MATCH),
      Text(long_text + "a'"),
      Text(long_text + "b'"),
      Text(cp::equal(cp::field_ref("blob"),
                     cp::literal(std::make_shared<arrow::BinaryScalar>(
                         arrow::Buffer::FromString("\x01"))))),
      Text(cp::equal(cp::field_ref("blob"),
                     cp::literal(std::make_shared<arrow::BinaryScalar>(
                         arrow::Buffer::FromString("\x02"))))),
      Text(cp::call("starts_with", {cp::field_ref("carrier")},
                    cp::MatchSubstringOptions("a"))),
      Text(cp::call("starts_with", {cp::field_ref("carrier")},
                    cp::MatchSubstringOptions("a", true))),
      Text(cp::is_null(cp::field_ref("delay"), /*nan_is_null=*/true)),
      Text("delay is null"),
  };
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_THAT(texts[i], ::testing::Not(HasSubstr("InvalidArgument")));
    EXPECT_LT(texts[i].size(), 600u);
    for (size_t j = 0; j < i; ++j) EXPECT_NE(texts[i], texts[j]);
  }
}

TEST(FilterText, ParsesToItself) {
  for (const char* text :
       {"year = 2013 and not (flag or carrier in ('AA', 'UA')) and delay / 2.5 > 1.0",
        "at.lat is null or price >= 1.01 or utc > timestamp '2013-01-02 "
        "09:00:00.000000Z'",
        "carrier like 'U_%' and not (carrier ilike 'x''y%')"}) {
    EXPECT_EQ(Text(Text(text)), Text(text));
  }
}

}  // namespace
}  // namespace headrace::expression
