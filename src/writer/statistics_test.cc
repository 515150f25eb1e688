#include "writer/statistics.h"

#include <gtest/gtest.h>
#include <parquet/file_reader.h>

#include <nlohmann/json.hpp>

#include "tests/cpp/lake.h"
#include "writer/value_text.h"

namespace headrace::writer {
namespace {

using nlohmann::json;
using testing::Check;

// Statistics of a table in row groups of two rows.
std::string TextOf(const std::shared_ptr<arrow::Table>& table) {
  testing::TempDir dir;
  testing::WriteParquet(dir / "a.parquet", table, {.row_group_rows = 2});
  const auto reader = parquet::ParquetFileReader::OpenFile(dir / "a.parquet");
  return DeltaStatistics(*table->schema(), *reader->metadata());
}

json Of(const arrow::FieldVector& fields, const std::string& rows) {
  return json::parse(TextOf(testing::TableFromJson(arrow::schema(fields), rows)));
}

TEST(DeltaStatistics, CountsRecordsAndNullsAndBoundsValuesOverRowGroups) {
  const auto found =
      Of({arrow::field("x", arrow::int64()), arrow::field("s", arrow::utf8()),
          arrow::field("b", arrow::boolean())},
         R"([[5, "b", true], [null, null, null], [-3, "a", false]])");
  EXPECT_EQ(found["numRecords"], 3);
  EXPECT_EQ(found["nullCount"], (json{{"x", 1}, {"s", 1}, {"b", 1}}));
  EXPECT_EQ(found["minValues"], (json{{"x", -3}, {"s", "a"}}));
  EXPECT_EQ(found["maxValues"], (json{{"x", 5}, {"s", "b"}}));
}

TEST(DeltaStatistics, NestsStructsAndLeavesOutListsAndBytes) {
  const auto inner = arrow::struct_({arrow::field("y", arrow::int32())});
  const auto found =
      Of({arrow::field("s", arrow::struct_({arrow::field("t", inner)})),
          arrow::field("l", arrow::list(arrow::int32())),
          arrow::field("b", arrow::binary()), arrow::field("after", arrow::int32())},
         R"([[[[1]], [1, 2], "q", 7], [null, [], "r", 8]])");
  EXPECT_EQ(found["minValues"], (json{{"s", {{"t", {{"y", 1}}}}}, {"after", 7}}));
  EXPECT_EQ(found["maxValues"], (json{{"s", {{"t", {{"y", 1}}}}}, {"after", 8}}));
  EXPECT_EQ(found["nullCount"],
            (json{{"s", {{"t", {{"y", 1}}}}}, {"b", 0}, {"after", 0}}));
}

TEST(DeltaStatistics, WritesDatesTimestampsAndDecimalsAsDeltaDoes) {
  const auto table = testing::TableFromJson(
      arrow::schema({arrow::field("d", arrow::date32()),
                     arrow::field("t", arrow::timestamp(arrow::TimeUnit::MICRO, "UTC")),
                     arrow::field("n", arrow::timestamp(arrow::TimeUnit::MICRO)),
                     arrow::field("m", arrow::decimal128(22, 2))}),
      R"([[0, 1001, -1, "12345678901234567890.25"]])");
  const std::string text = TextOf(table);
  const json found = json::parse(text);
  EXPECT_EQ(found["minValues"]["d"], "1970-01-01");
  EXPECT_EQ(found["minValues"]["t"], "1970-01-01T00:00:00.001Z");
  EXPECT_EQ(found["maxValues"]["t"], "1970-01-01T00:00:00.002Z");
  EXPECT_EQ(found["minValues"]["n"], "1969-12-31T23:59:59.999");
  EXPECT_EQ(found["maxValues"]["n"], "1970-01-01T00:00:00.000");
  EXPECT_NE(text.find("\"m\":12345678901234567890.25"), std::string::npos) << text;
}

TEST(DeltaStatistics, CutsTextOutwards) {
  const std::string text(40, 'a');
  const auto found = Of({arrow::field("s", arrow::utf8())}, R"([[")" + text + R"("]])");
  EXPECT_EQ(found["minValues"]["s"], std::string(32, 'a'));
  EXPECT_EQ(found["maxValues"]["s"], std::string(32, 'a') + "\xF4\x8F\xBF\xBF");
  EXPECT_GE(found["maxValues"]["s"].get<std::string>(), text);
}

TEST(DeltaStatistics, NeverHaveNanOrInfinities) {
  const auto found =
      Of({arrow::field("x", arrow::float64()), arrow::field("y", arrow::float64()),
          arrow::field("z", arrow::float32())},
         "[[NaN, NaN, Inf], [1.5, NaN, 2]]");
  EXPECT_EQ(found["minValues"], (json{{"x", 1.5}, {"z", 2}}));
  EXPECT_EQ(found["maxValues"], (json{{"x", 1.5}}));
}

TEST(DeltaStatistics, StopAfter32Leaves) {
  arrow::FieldVector fields;
  std::string row = "[[";
  for (int i = 0; i < 40; ++i) {
    fields.push_back(arrow::field("c" + std::to_string(i), arrow::int32()));
    row += (i == 0 ? "1" : ", 1");
  }
  const auto found = Of(fields, row + "]]");
  EXPECT_EQ(found["minValues"].size(), 32u);
  EXPECT_FALSE(found["nullCount"].contains("c32"));
}

TEST(ValueText, WritesPartitionValuesAsDeltaDoes) {
  auto text = [](const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
    return ValueText(*Check(
        Check(arrow::json::ArrayFromJSONString(type, "[" + json + "]"))->GetScalar(0)));
  };
  EXPECT_EQ(text(arrow::int32(), "-7"), "-7");
  EXPECT_EQ(text(arrow::boolean(), "true"), "true");
  EXPECT_EQ(text(arrow::float64(), "1.5"), "1.5");
  EXPECT_EQ(text(arrow::date32(), "-1"), "1969-12-31");
  EXPECT_EQ(text(arrow::timestamp(arrow::TimeUnit::MICRO), "-1"),
            "1969-12-31 23:59:59.999999");
  EXPECT_EQ(text(arrow::timestamp(arrow::TimeUnit::SECOND, "UTC"), "61"),
            "1970-01-01 00:01:01.000000");
  EXPECT_EQ(text(arrow::decimal128(5, 2), "\"1.20\""), "1.20");
  EXPECT_EQ(text(arrow::utf8(), "null"), std::nullopt);
  EXPECT_EQ(text(arrow::binary(), "\"x\""), std::nullopt);
}

}  // namespace
}  // namespace headrace::writer
