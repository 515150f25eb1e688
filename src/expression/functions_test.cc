#include "expression/functions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expression/filter.h"
#include "expression/test_rows.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using ::testing::HasSubstr;

double Key(const std::shared_ptr<arrow::DataType>& type, const std::string& json,
           uint64_t seed = 7) {
  const auto values = arrow::json::ArrayFromJSONString(type, "[" + json + "]");
  return SplitKeyOf(*(**values).GetScalar(0).ValueOrDie(), seed).ValueOrDie();
}

std::string TextOf(const std::string& filter, const std::shared_ptr<arrow::DataType>& x) {
  const auto parsed = ParseFilter(filter);
  if (!parsed.ok()) return parsed.status().message();
  const auto bound = Filter::Bind(*parsed, *arrow::schema({arrow::field("x", x)}));
  return bound.ok() ? bound->text() : bound.status().message();
}

// Members of splits are named by these numbers: nobody may change them.
TEST(SplitKey, GoldenValues) {
  EXPECT_EQ(Key(arrow::int64(), "0", 0), 0.7792240817648507);
  EXPECT_EQ(Key(arrow::int64(), "1", 0), 0.1864677195888883);
  EXPECT_EQ(Key(arrow::int64(), "-1", 18446744073709551615U), 0.8537516381673086);
  EXPECT_EQ(Key(arrow::utf8(), "\"\"", 7), 0.5673046426951326);
  EXPECT_EQ(Key(arrow::utf8(), "\"user-42\"", 7), 0.1257707374759418);
  EXPECT_EQ(Key(arrow::boolean(), "true", 7), 0.6512094882628526);
  EXPECT_EQ(Key(arrow::int64(), "null", 7), 0.23983738581879432);
}

TEST(SplitKey, IsTheSameForAValueInAnyTypeThatHoldsIt) {
  const double seven = Key(arrow::int64(), "7");
  for (const auto& type :
       {arrow::int8(), arrow::uint8(), arrow::int16(), arrow::uint16(), arrow::int32(),
        arrow::uint32(), arrow::uint64(), arrow::date32(),
        arrow::time32(arrow::TimeUnit::SECOND), arrow::timestamp(arrow::TimeUnit::MICRO),
        arrow::duration(arrow::TimeUnit::NANO)}) {
    EXPECT_EQ(Key(type, "7"), seven) << type->ToString();
  }
  EXPECT_EQ(Key(arrow::int8(), "-3"), Key(arrow::int64(), "-3"));
  EXPECT_EQ(Key(arrow::boolean(), "true"), Key(arrow::int32(), "1"));
  const double text = Key(arrow::utf8(), "\"abc\"");
  for (const auto& type : {arrow::large_utf8(), arrow::binary(), arrow::large_binary()}) {
    EXPECT_EQ(Key(type, "\"abc\""), text) << type->ToString();
  }
  EXPECT_EQ(Key(arrow::fixed_size_binary(3), "\"abc\""), text);
  EXPECT_EQ(Key(arrow::utf8(), "null"), Key(arrow::int32(), "null"));
  EXPECT_NE(Key(arrow::utf8(), "null"), Key(arrow::utf8(), "\"\""));
  EXPECT_NE(Key(arrow::int64(), "7", 8), seven);
}

TEST(SplitKey, IsEvaluatedOnSlicesNullsAndDictionariesAsOnValues) {
  const auto words = arrow::json::ArrayFromJSONString(
      arrow::utf8(), R"(["a", null, "b", "", "a", "longer than a few bytes", null])");
  const auto coded = cp::DictionaryEncode(*words).ValueOrDie().make_array();
  const auto flags = arrow::json::ArrayFromJSONString(
      arrow::boolean(), "[true, false, null, true, true, false, null]");
  const auto fixed = arrow::json::ArrayFromJSONString(
      arrow::fixed_size_binary(2), R"(["ab", "cd", null, "ef", "ab", "gh", null])");
  const std::vector<std::shared_ptr<arrow::Array>> all = {*words, coded, *flags, *fixed};
  for (const auto& values : all) {
    for (int64_t from : {0, 1, 3}) {
      const auto slice = values->Slice(from);
      std::string expected;
      for (int64_t i = 0; i < slice->length(); ++i) {
        auto scalar = slice->GetScalar(i).ValueOrDie();
        if (scalar->type->id() == arrow::Type::DICTIONARY) {
          scalar = words->get()->Slice(from)->GetScalar(i).ValueOrDie();
        }
        expected += SplitKeyOf(*scalar, 3).ValueOrDie() < 0.5 ? '1' : '0';
      }
      EXPECT_EQ(Passes("split_key(x, 3) < 0.5", {{"x", slice}}), expected)
          << values->type()->ToString() << " from " << from;
    }
  }
}

TEST(SplitKey, SpreadsEvenly) {
  int64_t below = 0;
  for (int64_t i = 0; i < 100000; ++i) {
    const double key = SplitKeyOf(arrow::Int64Scalar(i), 0).ValueOrDie();
    ASSERT_GE(key, 0);
    ASSERT_LT(key, 1);
    below += key < 0.25 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(below), 25000, 600);  // over four deviations
}

TEST(SplitKey, HasOneCanonicalText) {
  EXPECT_EQ(TextOf("Split_Key(x, 7) < 0.25", arrow::int32()), "split_key(x, 7) < 0.25");
  EXPECT_EQ(TextOf("0.25 > split_key(x, 007)", arrow::utf8()), "split_key(x, 7) < 0.25");
  const std::string large = "split_key(x, 18446744073709551615) >= 0.5";
  EXPECT_EQ(TextOf(large, arrow::int64()), large);
  const auto schema = arrow::schema({arrow::field("x", arrow::int64())});
  for (const auto& seed :
       {cp::literal(int64_t{7}), cp::literal(uint64_t{7}), cp::literal(int8_t{7})}) {
    const auto filter =
        cp::less(cp::call(kSplitKey, {cp::field_ref("x"), seed}), cp::literal(0.25));
    EXPECT_EQ(Filter::Bind(filter, *schema)->text(), "split_key(x, 7) < 0.25");
  }
}

TEST(SplitKey, IsSerializedAsOtherFiltersAre) {
  const auto filter = *ParseFilter("split_key(x, 18446744073709551615) >= 0.5");
  const auto back = DeserializeExpression(*SerializeExpression(filter));
  EXPECT_TRUE(back->Equals(filter));
}

TEST(SplitKey, AColumnMayHaveItsName) {
  EXPECT_EQ(Passes("split_key = 1", {Column("split_key", arrow::int64(), "[1, 2]")}),
            "10");
}

TEST(SplitKey, RefusesWhatHasNoKeyByName) {
  for (const auto& type : {arrow::float64(), arrow::float16(), arrow::decimal128(9, 2),
                           arrow::list(arrow::int32()), arrow::null()}) {
    EXPECT_THAT(TextOf("split_key(x, 7) < 0.5", type),
                ::testing::AllOf(HasSubstr("split_key on x"),
                                 HasSubstr("integers, booleans, text, bytes")))
        << type->ToString();
  }
}

TEST(SplitKey, RefusesSeedsThatAreNone) {
  EXPECT_THAT(TextOf("split_key(x) < 1", arrow::int32()),
              HasSubstr("expected ',' and the seed of split_key"));
  EXPECT_THAT(TextOf("split_key(x, 1.5) < 1", arrow::int32()),
              HasSubstr("a seed such as 7"));
  EXPECT_THAT(TextOf("split_key(x, 7, 8) < 1", arrow::int32()),
              HasSubstr("')' after the seed"));
  const auto schema = arrow::schema({arrow::field("x", arrow::int64())});
  for (const auto& seed : {cp::literal(int64_t{-1}), cp::literal(1.5), cp::field_ref("x"),
                           cp::literal(arrow::MakeNullScalar(arrow::int64()))}) {
    const auto filter =
        cp::less(cp::call(kSplitKey, {cp::field_ref("x"), seed}), cp::literal(0.25));
    const auto bound = Filter::Bind(filter, *schema);
    ASSERT_FALSE(bound.ok());
    EXPECT_THAT(bound.status().message(), HasSubstr("from 0 to 2^64 - 1"));
  }
  const auto one = cp::less(cp::call(kSplitKey, {cp::field_ref("x")}), cp::literal(0.25));
  EXPECT_THAT(Filter::Bind(one, *schema).status().message(),
              HasSubstr("with 1 arguments, expected 2"));
}

TEST(SplitKey, OfOneValueIsDecidedWithoutRows) {
  const auto filter = Filter::Bind(*ParseFilter("split_key(x, 7) < 0.5"),
                                   *arrow::schema({arrow::field("x", arrow::int32())}));
  const auto decide = [&](int low, int high, std::optional<int64_t> nulls) {
    ColumnBounds bounds;
    bounds.rows = 10;
    bounds.min = arrow::MakeScalar(int32_t{low});
    bounds.max = arrow::MakeScalar(int32_t{high});
    bounds.null_count = nulls;
    return filter->Decide([&](int) { return bounds; }).ValueOrDie();
  };
  for (int i = 0; i < 20; ++i) {
    const bool passes = Key(arrow::int32(), std::to_string(i)) < 0.5;
    EXPECT_EQ(decide(i, i, 0), passes ? Verdict::kAll : Verdict::kNone) << i;
    EXPECT_EQ(decide(i, i, 1), Verdict::kSome);
    EXPECT_EQ(decide(i, i, std::nullopt), Verdict::kSome);
    EXPECT_EQ(decide(i, i + 1, 0), Verdict::kSome);
  }
}

}  // namespace
}  // namespace headrace::expression
