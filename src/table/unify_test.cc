#include "table/unify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace headrace::table {
namespace {

using arrow::field;
using arrow::schema;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Type = std::shared_ptr<arrow::DataType>;

// Both orders give the same.
std::string Common(const Type& a, const Type& b) {
  const Type type = CommonType(a, b), turned = CommonType(b, a);
  const std::string text = type == nullptr ? "none" : type->ToString();
  EXPECT_EQ(turned == nullptr ? "none" : turned->ToString(), text)
      << a->ToString() << " and " << b->ToString();
  return text;
}

std::string Text(const arrow::Schema& schema) {
  std::string text;
  for (const auto& each : schema.fields()) {
    text += (text.empty() ? "" : ", ") + each->name() + " " + each->type()->ToString() +
            (each->nullable() ? "" : "!");
  }
  return text;
}

std::string Unified(const std::shared_ptr<arrow::Schema>& a,
                    const std::shared_ptr<arrow::Schema>& b) {
  const auto unified = UnifySchemas(*a, *b, "lake/b.parquet");
  return unified.ok() ? Text(**unified) : unified.status().ToString();
}

const std::vector<Type> kTypes = {arrow::null(),
                                  arrow::boolean(),
                                  arrow::int8(),
                                  arrow::int16(),
                                  arrow::int32(),
                                  arrow::int64(),
                                  arrow::uint8(),
                                  arrow::uint16(),
                                  arrow::uint32(),
                                  arrow::uint64(),
                                  arrow::float16(),
                                  arrow::float32(),
                                  arrow::float64(),
                                  arrow::decimal128(10, 2),
                                  arrow::decimal256(50, 3),
                                  arrow::utf8(),
                                  arrow::large_utf8(),
                                  arrow::binary(),
                                  arrow::large_binary(),
                                  arrow::fixed_size_binary(4),
                                  arrow::date32(),
                                  arrow::time64(arrow::TimeUnit::MICRO),
                                  arrow::timestamp(arrow::TimeUnit::MILLI),
                                  arrow::timestamp(arrow::TimeUnit::NANO, "UTC"),
                                  arrow::list(arrow::int32()),
                                  arrow::large_list(arrow::int32()),
                                  arrow::fixed_size_list(arrow::int32(), 3),
                                  arrow::struct_({field("a", arrow::int32())}),
                                  arrow::map(arrow::utf8(), arrow::int32()),
                                  arrow::dictionary(arrow::int32(), arrow::utf8())};

TEST(CommonType, OfATypeAndItselfIsThatType) {
  for (const Type& type : kTypes) EXPECT_EQ(Common(type, type), type->ToString());
}

TEST(CommonType, OfNullAndAnyIsTheOther) {
  for (const Type& type : kTypes) {
    EXPECT_EQ(Common(arrow::null(), type), type->ToString());
  }
}

TEST(CommonType, DoesNotDependOnTheOrder) {
  for (const Type& a : kTypes) {
    for (const Type& b : kTypes) Common(a, b);
  }
}

// The matrix of integers: rows and columns are int8 ... int64, uint8 ... uint64.
TEST(CommonType, OfIntegersHoldsBoth) {
  const std::vector<Type> types = {arrow::int8(),   arrow::int16(), arrow::int32(),
                                   arrow::int64(),  arrow::uint8(), arrow::uint16(),
                                   arrow::uint32(), arrow::uint64()};
  const std::vector<std::vector<std::string>> expected = {
      {"int8", "int16", "int32", "int64", "int16", "int32", "int64", "none"},
      {"int16", "int16", "int32", "int64", "int16", "int32", "int64", "none"},
      {"int32", "int32", "int32", "int64", "int32", "int32", "int64", "none"},
      {"int64", "int64", "int64", "int64", "int64", "int64", "int64", "none"},
      {"int16", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"},
      {"int32", "int32", "int32", "int64", "uint16", "uint16", "uint32", "uint64"},
      {"int64", "int64", "int64", "int64", "uint32", "uint32", "uint32", "uint64"},
      {"none", "none", "none", "none", "uint64", "uint64", "uint64", "uint64"}};
  for (size_t a = 0; a < types.size(); ++a) {
    for (size_t b = 0; b < types.size(); ++b) {
      EXPECT_EQ(Common(types[a], types[b]), expected[a][b])
          << types[a]->ToString() << " and " << types[b]->ToString();
    }
  }
}

TEST(CommonType, OfFloatsIsTheWider) {
  EXPECT_EQ(Common(arrow::float16(), arrow::float32()), "float");
  EXPECT_EQ(Common(arrow::float16(), arrow::float64()), "double");
  EXPECT_EQ(Common(arrow::float32(), arrow::float64()), "double");
}

TEST(CommonType, OfDecimalsHoldsAllDigitsOfBoth) {
  using arrow::decimal128, arrow::decimal256;
  EXPECT_EQ(Common(decimal128(5, 2), decimal128(9, 2)), "decimal128(9, 2)");
  EXPECT_EQ(Common(decimal128(5, 2), decimal128(5, 4)), "decimal128(7, 4)");
  EXPECT_EQ(Common(decimal128(38, 0), decimal128(38, 10)), "decimal256(48, 10)");
  EXPECT_EQ(Common(decimal128(5, -2), decimal128(3, 1)), "decimal128(8, 1)");
  EXPECT_EQ(Common(decimal256(76, 0), decimal256(76, 1)), "none");
}

TEST(CommonType, OfTextAndOfBytesIsTheLarge) {
  EXPECT_EQ(Common(arrow::utf8(), arrow::large_utf8()), "large_string");
  EXPECT_EQ(Common(arrow::binary(), arrow::large_binary()), "large_binary");
}

TEST(CommonType, OfADictionaryIsThePlainType) {
  const Type words = arrow::dictionary(arrow::int32(), arrow::utf8());
  EXPECT_EQ(Common(words, arrow::utf8()), "string");
  EXPECT_EQ(Common(words, arrow::large_utf8()), "large_string");
  EXPECT_EQ(Common(words, arrow::dictionary(arrow::int8(), arrow::utf8())), "string");
  EXPECT_EQ(Common(words, arrow::int32()), "none");
  EXPECT_EQ(Common(arrow::dictionary(arrow::int8(), arrow::int32()), arrow::int64()),
            "int64");
}

TEST(CommonType, OfTimestampsIsTheFinerUnit) {
  using arrow::TimeUnit, arrow::timestamp;
  EXPECT_EQ(Common(timestamp(TimeUnit::MILLI), timestamp(TimeUnit::MICRO)),
            "timestamp[us]");
  EXPECT_EQ(Common(timestamp(TimeUnit::MILLI, "UTC"), timestamp(TimeUnit::MICRO, "UTC")),
            "timestamp[us, tz=UTC]");
}

TEST(CommonType, OfInstantsAndLocalTimesIsNone) {
  using arrow::TimeUnit, arrow::timestamp;
  EXPECT_EQ(Common(timestamp(TimeUnit::MICRO), timestamp(TimeUnit::MICRO, "UTC")),
            "none");
}

TEST(CommonType, OfListsIsOfTheirValues) {
  using arrow::large_list, arrow::list;
  EXPECT_EQ(Common(list(arrow::int32()), list(arrow::int64())), "list<item: int64>");
  EXPECT_EQ(Common(list(arrow::int32()), large_list(arrow::int32())),
            "large_list<item: int32>");
  EXPECT_EQ(Common(list(arrow::null()), list(arrow::utf8())), "list<item: string>");
  EXPECT_EQ(Common(list(list(arrow::int8())), list(list(arrow::int16()))),
            "list<item: list<item: int16>>");
  EXPECT_EQ(Common(list(arrow::int32()), list(arrow::utf8())), "none");
  EXPECT_EQ(Common(list(arrow::int32()), arrow::int32()), "none");
}

TEST(CommonType, OfStructsHasTheFieldsOfBothByName) {
  const Type a = arrow::struct_(
      {field("x", arrow::int32(), false), field("y", arrow::utf8(), false)});
  const Type b = arrow::struct_(
      {field("z", arrow::boolean(), false), field("x", arrow::int64(), false)});
  EXPECT_EQ(CommonType(a, b)->ToString(),
            "struct<x: int64 not null, y: string, z: bool>");
  const Type c = arrow::struct_({field("x", arrow::utf8())});
  EXPECT_EQ(Common(a, c), "none");
}

TEST(CommonType, IsNoneWhereSomethingWouldBeLost) {
  const std::vector<std::pair<Type, Type>> pairs = {
      {arrow::int64(), arrow::float64()},
      {arrow::int32(), arrow::utf8()},
      {arrow::boolean(), arrow::int8()},
      {arrow::utf8(), arrow::binary()},
      {arrow::decimal128(10, 2), arrow::float64()},
      {arrow::decimal128(10, 2), arrow::int32()},
      {arrow::date32(), arrow::timestamp(arrow::TimeUnit::MICRO)},
      {arrow::date32(), arrow::int32()},
      {arrow::fixed_size_binary(4), arrow::fixed_size_binary(5)},
      {arrow::fixed_size_list(arrow::int32(), 3),
       arrow::fixed_size_list(arrow::int32(), 4)},
      {arrow::map(arrow::utf8(), arrow::int32()), arrow::list(arrow::utf8())}};
  for (const auto& [a, b] : pairs) {
    EXPECT_EQ(Common(a, b), "none") << a->ToString() << " and " << b->ToString();
  }
}

TEST(UnifySchemas, TheSameIsTheSame) {
  const auto one = schema({field("a", arrow::int32(), false), field("b", arrow::utf8())});
  EXPECT_EQ(Unified(one, one), "a int32!, b string");
}

TEST(UnifySchemas, KeepsTheFirstOrderWhateverTheOrderOfTheFile) {
  EXPECT_EQ(Unified(schema({field("a", arrow::int32()), field("b", arrow::utf8())}),
                    schema({field("b", arrow::utf8()), field("a", arrow::int32())})),
            "a int32, b string");
}

TEST(UnifySchemas, ColumnsThatEitherLacksBecomeNullableAndNewOnesGoToTheEnd) {
  EXPECT_EQ(
      Unified(
          schema({field("a", arrow::int32(), false), field("b", arrow::utf8(), false)}),
          schema({field("c", arrow::int8(), false), field("b", arrow::utf8(), false)})),
      "a int32, b string!, c int8");
}

TEST(UnifySchemas, OneNullableIsEnough) {
  EXPECT_EQ(Unified(schema({field("a", arrow::int32(), false)}),
                    schema({field("a", arrow::int32(), true)})),
            "a int32");
}

TEST(UnifySchemas, TypesWiden) {
  EXPECT_EQ(Unified(schema({field("a", arrow::int32()), field("b", arrow::float64())}),
                    schema({field("a", arrow::int64()), field("b", arrow::float32())})),
            "a int64, b double");
}

TEST(UnifySchemas, NamesAreCaseSensitive) {
  EXPECT_EQ(
      Unified(schema({field("a", arrow::int32())}), schema({field("A", arrow::utf8())})),
      "a int32, A string");
}

TEST(UnifySchemas, AMismatchNamesFileColumnAndBothTypes) {
  const Status status =
      UnifySchemas(*schema({field("a", arrow::int8()), field("b", arrow::int32())}),
                   *schema({field("a", arrow::int8()), field("b", arrow::utf8())}),
                   "s3://lake/b.parquet")
          .status();
  EXPECT_EQ(KindOf(status), ErrorKind::kSchemaMismatch);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("s3://lake/b.parquet"), HasSubstr("\"b\""),
                    HasSubstr("is string"), HasSubstr("expected int32")));
}

TEST(UnifySchemas, AMismatchBelowAColumnNamesTheColumn) {
  const Status status =
      UnifySchemas(*schema({field("s", arrow::struct_({field("x", arrow::int32())}))}),
                   *schema({field("s", arrow::struct_({field("x", arrow::utf8())}))}),
                   "b.parquet")
          .status();
  EXPECT_EQ(KindOf(status), ErrorKind::kSchemaMismatch);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("\"s\""), HasSubstr("b.parquet")));
}

TEST(UnifySchemas, NoColumnsAreNoMismatch) {
  EXPECT_EQ(Unified(schema({}), schema({field("a", arrow::int32(), false)})), "a int32");
  EXPECT_EQ(Unified(schema({field("a", arrow::int32(), false)}), schema({})), "a int32");
}

}  // namespace
}  // namespace headrace::table
