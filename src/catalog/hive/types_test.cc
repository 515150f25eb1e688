#include "catalog/hive/types.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "tests/cpp/lake.h"

namespace headrace::catalog {
namespace {

using nlohmann::json;
using testing::Check;

std::string Text(const std::shared_ptr<arrow::DataType>& type) {
  return type == nullptr ? "unknown" : type->ToString();
}

TEST(HiveTypes, AreReadFromSparksSchemas) {
  EXPECT_EQ(Text(TypeOfSpark("integer")), "int32");
  EXPECT_EQ(Text(TypeOfSpark("timestamp")), "timestamp[us, tz=UTC]");
  EXPECT_EQ(Text(TypeOfSpark("timestamp_ntz")), "timestamp[us]");
  EXPECT_EQ(Text(TypeOfSpark("decimal(12,3)")), "decimal128(12, 3)");
  EXPECT_EQ(Text(TypeOfSpark("interval")), "unknown");
  EXPECT_EQ(Text(TypeOfSpark(json::parse(
                R"({"type":"array","elementType":{"type":"struct","fields":[)"
                R"({"name":"a","type":"long","nullable":true,"metadata":{}}]},)"
                R"("containsNull":true})"))),
            "list<element: struct<a: int64>>");
  EXPECT_EQ(Text(TypeOfSpark(json::parse(
                R"({"type":"map","keyType":"string","valueType":"double"})"))),
            "map<string, double>");
  EXPECT_EQ(Text(TypeOfSpark(json::parse(
                R"({"type":"array","elementType":"interval","containsNull":true})"))),
            "unknown");
}

TEST(HiveTypes, AreReadFromHivesText) {
  EXPECT_EQ(Text(TypeOfHive("bigint")), "int64");
  EXPECT_EQ(Text(TypeOfHive("varchar(10)")), "string");
  EXPECT_EQ(Text(TypeOfHive("decimal(5,1)")), "decimal128(5, 1)");
  EXPECT_EQ(Text(TypeOfHive("array<int>")), "unknown");
}

TEST(HiveTypes, AreWrittenAsSparkReadsParquet) {
  const std::pair<std::shared_ptr<arrow::DataType>, const char*> scalars[] = {
      {arrow::uint8(), "short"},
      {arrow::uint32(), "long"},
      {arrow::uint64(), "decimal(20,0)"},
      {arrow::large_utf8(), "string"},
      {arrow::dictionary(arrow::int8(), arrow::utf8()), "string"},
      {arrow::timestamp(arrow::TimeUnit::MILLI), "timestamp_ntz"},
      {arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"), "timestamp"},
      {arrow::decimal128(9, 2), "decimal(9,2)"}};
  for (const auto& [type, name] : scalars) {
    EXPECT_EQ(Check(ToSpark(*type)), name) << type->ToString();
  }
  const auto nested = arrow::list(arrow::struct_(
      {arrow::field("a", arrow::int16()), arrow::field("b", arrow::float32())}));
  EXPECT_EQ(Check(ToHive(*nested)), "array<struct<a:smallint,b:float>>");
  // There and back again.
  EXPECT_EQ(Text(TypeOfSpark(Check(ToSpark(*nested)))),
            "list<element: struct<a: int16, b: float>>");
  EXPECT_EQ(Check(ToHive(*arrow::map(arrow::utf8(), arrow::int64()))),
            "map<string,bigint>");
}

TEST(HiveTypes, AreRefusedWhereSparkHasNone) {
  for (const auto& type :
       {arrow::float16(), arrow::timestamp(arrow::TimeUnit::NANO),
        arrow::duration(arrow::TimeUnit::SECOND), arrow::time64(arrow::TimeUnit::MICRO),
        arrow::list(arrow::float16())}) {
    const Status refused = ToSpark(*type).status();
    ASSERT_FALSE(refused.ok()) << type->ToString();
    EXPECT_EQ(KindOf(refused), ErrorKind::kUnsupported);
    EXPECT_FALSE(ToHive(*type).ok());
  }
}

TEST(HiveTypes, OfPartitionColumnsAreThoseThatOpenTakes) {
  EXPECT_EQ(PartitionTypeOf(*arrow::int64()), "int64");
  EXPECT_EQ(PartitionTypeOf(*arrow::date32()), "date32");
  EXPECT_EQ(PartitionTypeOf(*arrow::float64()), "float64");
  EXPECT_EQ(PartitionTypeOf(*arrow::decimal128(3, 1)), "");
}

}  // namespace
}  // namespace headrace::catalog
