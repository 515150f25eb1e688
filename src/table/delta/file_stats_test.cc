#include "table/delta/file_stats.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/cpp/lake.h"

namespace headrace::table::delta {
namespace {

using testing::Check;

StatBounds Of(const std::string& value, const std::shared_ptr<arrow::DataType>& type) {
  const std::string path[] = {"x"};
  return BoundsOf(R"({"numRecords":3,"minValues":{"x":)" + value +
                      R"(},"maxValues":{"x":)" + value + R"(},"nullCount":{"x":1}})",
                  path, type);
}

TEST(FileStats, BoundsNumbersTextsAndTimes) {
  EXPECT_EQ(Of("-7", arrow::int32()).min->ToString(), "-7");
  EXPECT_EQ(Of("1.5", arrow::float32()).max->ToString(), "1.5");
  EXPECT_EQ(Of("\"ab\"", arrow::utf8()).min->ToString(), "ab");
  EXPECT_EQ(Of("\"2026-11-01\"", arrow::date32()).max->ToString(), "2026-11-01");
  EXPECT_EQ(Of("-7", arrow::int32()).null_count, 1);
}

TEST(FileStats, LeavesRoomForWhatTimestampsWereCutOff) {
  const auto type = arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
  const StatBounds bounds = Of("\"2026-11-01T00:00:00.123Z\"", type);
  EXPECT_EQ(static_cast<const arrow::TimestampScalar&>(*bounds.max).value -
                static_cast<const arrow::TimestampScalar&>(*bounds.min).value,
            999);
}

TEST(FileStats, BoundsDecimalsFromBothSides) {
  const auto type = arrow::decimal128(10, 2);
  const StatBounds bounds = Of("12.34", type);
  const arrow::Decimal128 exact(1234);
  const auto value = [](const arrow::Scalar& scalar) {
    return static_cast<const arrow::Decimal128Scalar&>(scalar).value;
  };
  EXPECT_LE(value(*bounds.min), exact);
  EXPECT_GE(value(*bounds.max), exact);
  EXPECT_EQ(Of("5", type).min->ToString(), "5.00");
}

TEST(FileStats, SaysNothingWhereStatisticsMakeNoSense) {
  for (const std::string& stats : {std::string(), std::string("{"), std::string("[1]"),
                                   std::string(R"({"minValues":7})"),
                                   std::string(R"({"minValues":{"x":{"y":1}}})")}) {
    const std::string path[] = {"x"};
    const StatBounds bounds = BoundsOf(stats, path, arrow::int64());
    EXPECT_EQ(bounds.min, nullptr) << stats;
    EXPECT_FALSE(bounds.null_count) << stats;
    EXPECT_FALSE(RowsOf(stats)) << stats;
  }
  EXPECT_EQ(Of("\"NaN\"", arrow::float64()).max, nullptr);
  EXPECT_EQ(Of("300", arrow::int8()).max, nullptr);
}

TEST(FileStats, FollowsPathsIntoStructs) {
  const std::string path[] = {"a", "b"};
  const auto bounds = BoundsOf(R"({"minValues":{"a":{"b":4}}})", path, arrow::int64());
  EXPECT_EQ(bounds.min->ToString(), "4");
}

TEST(FileStats, ReadsPartitionValuesOfAllTypes) {
  const auto value = [](const char* text, const std::shared_ptr<arrow::DataType>& type) {
    return Check(PartitionScalar(text, type))->ToString();
  };
  EXPECT_EQ(value("12", arrow::int16()), "12");
  EXPECT_EQ(value("true", arrow::boolean()), "true");
  EXPECT_EQ(value("2026-11-01", arrow::date32()), "2026-11-01");
  EXPECT_EQ(value("1.50", arrow::decimal128(5, 2)), "1.50");
  EXPECT_EQ(value("2026-11-01 10:00:00.5", arrow::timestamp(arrow::TimeUnit::MICRO)),
            "2026-11-01 10:00:00.500000");
  EXPECT_FALSE(Check(PartitionScalar("", arrow::utf8()))->is_valid);
  EXPECT_FALSE(Check(PartitionScalar(std::nullopt, arrow::int32()))->is_valid);
  EXPECT_FALSE(PartitionScalar("x", arrow::int32()).ok());
}

}  // namespace
}  // namespace headrace::table::delta
