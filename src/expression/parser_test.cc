#include <arrow/compute/api_scalar.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expression/filter.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string Parsed(std::string_view text) {
  const auto expression = ParseFilter(text);
  return expression.ok() ? expression->ToString() : expression.status().message();
}

TEST(ParseFilter, ReadsEveryRuleOfTheGrammar) {
  const std::pair<const char*, const char*> kCases[] = {
      {"a = 1", "(a == 1)"},
      {"a == 1", "(a == 1)"},
      {"a <> 1", "(a != 1)"},
      {"a != 1", "(a != 1)"},
      {"a<1", "(a < 1)"},
      {"a <= -1", "(a <= -1)"},
      {"1 >= a", "(1 >= a)"},
      {"a > -9223372036854775808", "(a > -9223372036854775808)"},
      {"a > 18446744073709551615", "(a > 18446744073709551615)"},
      {"a > 1.5", "(a > 1.5)"},
      {"a > .5", "(a > 0.5)"},
      {"a > 1e3", "(a > 1000)"},
      {"a > -2.5E-1", "(a > -0.25)"},
      {"flag", "flag"},
      {"NOT flag", "invert(flag)"},
      {"not not flag", "invert(invert(flag))"},
      {"a = 1 or b = 2 and c = 3", "((a == 1) or ((b == 2) and (c == 3)))"},
      {"(a = 1 or b = 2) AND c = 3", "(((a == 1) or (b == 2)) and (c == 3))"},
      {"not a = 1 and b", "(invert((a == 1)) and b)"},
      {"a + b * c - d > 0",
       "(subtract_checked(add_checked(a, multiply_checked(b, c)), d) > 0)"},
      {"a / 2 % 3 = 1", "(remainder(divide(a, 2), 3) == 1)"},
      {"-a < - -1", "(negate_checked(a) < negate_checked(-1))"},
      {"a -1 = 0", "(subtract_checked(a, 1) == 0)"},
      {"(a + b) * 2 = 4", "(multiply_checked(add_checked(a, b), 2) == 4)"},
      {"a between 1 and 2 and b", "(((a >= 1) and (a <= 2)) and b)"},
      {"a not between 1 and 2", "invert(((a >= 1) and (a <= 2)))"},
      {"a is null", "is_null(a, {nan_is_null=false})"},
      {"a IS NOT NULL", "is_valid(a)"},
      {"a like 'x%'", "match_like(a, {pattern=\"x%\", ignore_case=false})"},
      {"a ilike 'x%'", "match_like(a, {pattern=\"x%\", ignore_case=true})"},
      {"a not like 'x%'", "invert(match_like(a, {pattern=\"x%\", ignore_case=false}))"},
      {"a = 'it''s'", "(a == \"it's\")"},
      {"a = ''", "(a == \"\")"},
      {"a = true or a = FALSE", "((a == true) or (a == false))"},
      {"a = null", "(a == null[null])"},
      {"a.b.c = 1", "(a.b.c == 1)"},
      {"\"odd name\" = 1", "(odd name == 1)"},
      {"`a``b` = 1", "(a`b == 1)"},
      {"\"and\" = 1", "(and == 1)"},
      {"a.\"b c\" = 1", "(FieldRef.Nested(FieldRef.Name(a) FieldRef.Name(b c)) == 1)"},
      {"größe = 1", "(größe == 1)"},
      {"date = date '2013-01-02'", "(date == 2013-01-02)"},
      {"t = timestamp '2013-01-02 10:00:00'", "(t == 2013-01-02 10:00:00.000000)"},
      {"t = timestamp '2013-01-02T10:00:00.5Z'", "(t == 2013-01-02 10:00:00.500000Z)"},
      {"t = timestamp '2013-01-02 10:00:00+02:00'", "(t == 2013-01-02 08:00:00.000000Z)"},
      {"t = timestamp '2013-01-02 10:00:00.123456789'",
       "(t == 2013-01-02 10:00:00.123456789)"},
      {"a in (1, b)", "((a == 1) or (a == b))"},
      {"a in (1, 2.5)", "((a == 1) or (a == 2.5))"},
      {"a in (1)",
       "is_in(a, {value_set=int64:[\n  1\n], null_matching_behavior=INCONCLUSIVE})"},
      {"a not in (1)",
       "invert(is_in(a, {value_set=int64:[\n  1\n], "
       "null_matching_behavior=INCONCLUSIVE}))"},
  };
  for (const auto& [text, tree] : kCases) EXPECT_EQ(Parsed(text), tree) << text;
}

TEST(ParseFilter, ShowsWhatItFoundWhereAndWhatItExpected) {
  const std::pair<const char*, const char*> kCases[] = {
      {"year = )",
       "the filter does not parse at column 8: found ')', expected a value\n"
       "  year = )\n"
       "         ^"},
      {"", "the filter is empty, expected a condition such as \"year = 2013\""},
      {"  \n ", "the filter is empty, expected a condition such as \"year = 2013\""},
      {"year =",
       "the filter does not parse at column 7: found the end, expected a value\n"
       "  year =\n"
       "        ^"},
      {"a = 1 b = 2",
       "the filter does not parse at column 7: found 'b', expected an operator, 'and', "
       "'or' "
       "or the end\n"
       "  a = 1 b = 2\n"
       "        ^"},
      {"a = 1 and and",
       "the filter does not parse at column 11: found the keyword 'and', expected a "
       "value\n"
       "  a = 1 and and\n"
       "            ^"},
      {"a = 1\nand b =\n  or c",
       "the filter does not parse at line 3, column 3: found the keyword 'or', expected "
       "a "
       "value\n"
       "    or c\n"
       "    ^"},
      {"größe = 'ä' oder",
       "the filter does not parse at column 13: found 'oder', expected an operator, "
       "'and', "
       "'or' or the end\n"
       "  größe = 'ä' oder\n"
       "              ^"},
      {"day = date '2013-13-01'",
       "the filter does not parse at column 12: '2013-13-01' is no date, expected "
       "'YYYY-MM-DD'\n"
       "  day = date '2013-13-01'\n"
       "             ^"},
  };
  for (const auto& [text, message] : kCases) {
    EXPECT_EQ(Parsed(text), message);
    EXPECT_EQ(KindOf(ParseFilter(text).status()), ErrorKind::kInvalidArgument);
  }
}

TEST(ParseFilter, NamesWhatIsWrong) {
  const std::pair<const char*, const char*> kCases[] = {
      {"a & b", "column 3: found '&', expected an operator (write 'and')"},
      {"a || b", "column 3: found '|', expected an operator (write 'or')"},
      {"!a", "column 1: found '!', expected an operator (write 'not' or '!=')"},
      {"a = #", "column 5: found '#', which means nothing here"},
      {"a = 'x",
       "column 5: found a string that is not closed, expected ' before the end"},
      {"\"a", "column 1: found a name that is not closed, expected \" before the end"},
      {"\"\" = 1", "column 1: found an empty name, expected a column"},
      {"12ab = 1", "column 1: found '12ab', expected a number"},
      {"a = 99999999999999999999",
       "column 5: '99999999999999999999' does not fit 64 bits"},
      {"a = -9223372036854775809",
       "column 6: '-9223372036854775809' does not fit 64 bits"},
      {"a = 1e999", "column 5: '1e999' is out of the range of double"},
      {"a in 1", "column 6: found '1', expected '(' and the values of 'in'"},
      {"a in ()", "column 7: found ')', expected a value"},
      {"a in (1 2)", "column 9: found '2', expected ',' or ')'"},
      {"a between 1 or 2",
       "column 13: found the keyword 'or', expected 'and' and the upper"},
      {"a is 1", "column 6: found '1', expected 'null' or 'not'"},
      {"a is not 1", "column 10: found '1', expected 'null'"},
      {"a not 1", "column 7: found '1', expected 'in', 'between' or 'like'"},
      {"a like b", "column 8: found 'b', expected a pattern such as 'AB%'"},
      {"(a = 1", "column 7: found the end, expected an operator, 'and', 'or' or ')'"},
      {"a = 1 = 2", "column 7: found '=', expected an operator, 'and', 'or' or the end"},
      {"a.1", "column 2: found '.1', expected an operator"},
      {"a. = 1", "column 4: found '=', expected the name of a nested column"},
      {"interval '3'", "column 10: found the string '3', expected an operator"},
      {"t = timestamp '10:00'",
       "column 15: '10:00' is no timestamp, expected 'YYYY-MM-DD"},
  };
  for (const auto& [text, message] : kCases) {
    EXPECT_THAT(Parsed(text), HasSubstr(message)) << text;
  }
}

TEST(ParseFilter, ShowsTheSurroundingsOfAnErrorInALongLine) {
  std::string list = "a = 1";
  for (int i = 0; i < 100; ++i) list += " or a = 1";
  const std::string message = Parsed(list + " or or" + std::string(200, ' ') + "or x");
  EXPECT_THAT(message, HasSubstr("\n  ... 1 or a = 1 or "));
  const size_t caret = message.size() - message.rfind('\n') - 2;
  const std::string shown = message.substr(0, message.rfind('\n'));
  EXPECT_EQ(shown.substr(shown.rfind('\n') + 1 + caret, 2), "or");
  EXPECT_THAT(shown, EndsWith("..."));
}

TEST(ParseFilter, RefusesTextThatIsNotUtf8) {
  EXPECT_EQ(Parsed("a = '\xff'"), "the filter is not valid UTF-8");
}

TEST(ParseFilter, BoundsTheDepthButNotTheLength) {
  const auto repeated = [](const std::string& part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += part;
    return text;
  };
  EXPECT_TRUE(ParseFilter(repeated("(", 150) + "a" + repeated(")", 150)).ok());
  for (const std::string& deep :
       {repeated("(", 100000), repeated("not ", 100000) + "a",
        repeated("- ", 100000) + "a", "a = 0" + repeated(" + a", 100000),
        repeated("(", 100) + "a" + repeated(repeated("+a", 100) + ")", 100)}) {
    EXPECT_THAT(Parsed(deep), HasSubstr("the filter is nested deeper than 200 levels"))
        << deep.size();
  }
  EXPECT_TRUE(ParseFilter("a = 0" + repeated(" or a = 1 and b = 2", 50000)).ok());
  EXPECT_TRUE(ParseFilter("a in (1.5" + repeated(", 2, 'x'", 50000) + ")").ok());
}

}  // namespace
}  // namespace headrace::expression
