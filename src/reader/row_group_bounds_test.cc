#include "reader/row_group_bounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/row_id.h>

#include <cmath>

#include "tests/cpp/reading.h"

namespace headrace::reader {
namespace {

using expression::Verdict;
using testing::Check;
using ::testing::HasSubstr;
using testing::TempDir;

class RowGroupBoundsTest : public ::testing::Test {
 protected:
  /// A file of one column `x`.
  void Write(const std::shared_ptr<arrow::Array>& values,
             parquet::WriterProperties::Builder properties = {}) {
    WriteParquetAs(
        dir_ / "lake/a.parquet",
        arrow::Table::Make(arrow::schema({arrow::field("x", values->type())}), {values}),
        properties.build());
  }

  Result<Verdict> Decide(const std::string& filter, int row_group = 0,
                         int64_t fragment = 0) {
    const Lake lake(dir_ / "lake");
    const auto bound = Check(expression::Filter::Bind(
        Check(expression::ParseFilter(filter)), *lake.table->named_schema()));
    const auto columns = Check(ResolveColumns(*lake.table, bound.columns()));
    auto verdict = DecideRowGroup(lake.context, bound, columns, fragment, row_group);
    EXPECT_EQ(lake.counters.values_decoded, 0);
    return verdict;
  }

  Verdict Of(const std::string& filter) { return Check(Decide(filter)); }

  TempDir dir_;
};

TEST_F(RowGroupBoundsTest, DecidesByStatistics) {
  Write(FromJson(arrow::int64(), "[10, 15, 20]"));
  EXPECT_EQ(Of("x < 10"), Verdict::kNone);
  EXPECT_EQ(Of("x <= 10"), Verdict::kSome);
  EXPECT_EQ(Of("x >= 10"), Verdict::kAll);
  EXPECT_EQ(Of("x > 20"), Verdict::kNone);
  EXPECT_EQ(Of("x == 15"), Verdict::kSome);
  EXPECT_EQ(Of("x is null"), Verdict::kNone);
  EXPECT_EQ(Of("x is not null"), Verdict::kAll);
}

TEST_F(RowGroupBoundsTest, NullsNeverPassComparisons) {
  Write(FromJson(arrow::int64(), "[10, null, 20]"));
  EXPECT_EQ(Of("x >= 10"), Verdict::kSome);
  EXPECT_EQ(Of("x is null"), Verdict::kSome);
  EXPECT_EQ(Of("x < 10"), Verdict::kNone);
  Write(FromJson(arrow::int64(), "[null, null]"));
  EXPECT_EQ(Of("x >= 10"), Verdict::kNone);
  EXPECT_EQ(Of("x is null"), Verdict::kAll);
}

TEST_F(RowGroupBoundsTest, KnowsNothingWithoutStatistics) {
  Write(FromJson(arrow::int64(), "[10, 20]"),
        *parquet::WriterProperties::Builder().disable_statistics());
  EXPECT_EQ(Of("x < 10"), Verdict::kSome);
  EXPECT_EQ(Of("x is null"), Verdict::kSome);
}

TEST_F(RowGroupBoundsTest, OrdersUnsignedAsUnsignedAndTextAsBytes) {
  Write(FromJson(arrow::uint32(), "[1, 4000000000]"));
  EXPECT_EQ(Of("x > 3000000000"), Verdict::kSome);
  EXPECT_EQ(Of("x >= 1"), Verdict::kAll);
  Write(FromJson(arrow::uint64(), "[1, 18446744073709551615]"));
  EXPECT_EQ(Of("x >= 2"), Verdict::kSome);
  EXPECT_EQ(Of("x < 1"), Verdict::kNone);
  Write(FromJson(arrow::utf8(), R"(["a", "é"])"));
  EXPECT_EQ(Of("x > 'z'"), Verdict::kSome);
  EXPECT_EQ(Of("x < 'a'"), Verdict::kNone);
}

TEST_F(RowGroupBoundsTest, BoundsFloatsButForNaN) {
  arrow::DoubleBuilder builder;
  Check(builder.AppendValues({1.0, std::nan(""), 2.0, -0.0}));
  Write(Check(builder.Finish()));
  EXPECT_EQ(Of("x > 2"), Verdict::kNone);
  EXPECT_EQ(Of("x <= 2"), Verdict::kSome);
  EXPECT_EQ(Of("x == 0"), Verdict::kSome);
}

TEST_F(RowGroupBoundsTest, TakesDictionariesDecimalsAndTimes) {
  Write(Cast(FromJson(arrow::utf8(), R"(["b", "d", "b"])"),
             arrow::dictionary(arrow::int32(), arrow::utf8())));
  EXPECT_EQ(Of("x < 'b'"), Verdict::kNone);
  EXPECT_EQ(Of("x >= 'b'"), Verdict::kAll);
  Write(FromJson(arrow::decimal128(9, 2), R"(["-1.50", "2.50"])"));
  EXPECT_NE(Of("x > 2.4"), Verdict::kNone);
  EXPECT_NE(Of("x < -1.4"), Verdict::kNone);
  EXPECT_NE(Of("x > -1.4"), Verdict::kAll);
  Write(FromJson(arrow::timestamp(arrow::TimeUnit::MICRO),
                 R"(["2020-01-01", "2020-02-01"])"));
  EXPECT_EQ(Of("x < '2020-01-01'"), Verdict::kNone);
  EXPECT_EQ(Of("x >= '2020-01-01'"), Verdict::kAll);
  EXPECT_EQ(Of("x > '2020-01-15'"), Verdict::kSome);
}

TEST_F(RowGroupBoundsTest, ReadsABloomFilterWhereStatisticsLeaveTheQuestionOpen) {
  for (const auto& type :
       {arrow::int64(), arrow::int32(), arrow::uint8(), arrow::uint32()}) {
    SCOPED_TRACE(type->ToString());
    Write(FromJson(type, "[10, 20, 200]"),
          *parquet::WriterProperties::Builder().enable_bloom_filter(
              "x", parquet::BloomFilterOptions{.ndv = 100, .fpp = 0.001}));
    EXPECT_EQ(Of("x == 20"), Verdict::kSome);
    EXPECT_EQ(Of("x == 200"), Verdict::kSome);
    EXPECT_EQ(Of("x == 21"), Verdict::kNone);
    EXPECT_EQ(Of("x in (11, 12, 99)"), Verdict::kNone);
    EXPECT_EQ(Of("x in (11, 12, 20)"), Verdict::kSome);
    EXPECT_EQ(Of("not (x == 21)"), Verdict::kAll);
  }
  Write(FromJson(arrow::utf8(), R"(["a", "m", "z"])"),
        *parquet::WriterProperties::Builder().enable_bloom_filter(
            "x", parquet::BloomFilterOptions{.ndv = 100, .fpp = 0.001}));
  EXPECT_EQ(Of("x == 'm'"), Verdict::kSome);
  EXPECT_EQ(Of("x == 'n'"), Verdict::kNone);
}

TEST_F(RowGroupBoundsTest, ABloomFilterOfNarrowerIntegersAnswersForWiderOnes) {
  Write(FromJson(arrow::int32(), "[-5, 20, 200]"),
        *parquet::WriterProperties::Builder().enable_bloom_filter(
            "x", parquet::BloomFilterOptions{.ndv = 100, .fpp = 0.001}));
  testing::WriteParquet(
      dir_ / "lake/b.parquet",
      arrow::Table::Make(arrow::schema({arrow::field("x", arrow::int64())}),
                         {FromJson(arrow::int64(), "[1, 5000000000]")}));
  EXPECT_EQ(Of("x == 20"), Verdict::kSome);
  EXPECT_EQ(Of("x == -5"), Verdict::kSome);
  EXPECT_EQ(Of("x == 21"), Verdict::kNone);
}

TEST_F(RowGroupBoundsTest, ABrokenBloomFilterIsCorrupt) {
  Write(FromJson(arrow::int64(), "[10, 20]"),
        *parquet::WriterProperties::Builder().enable_bloom_filter(
            "x", parquet::BloomFilterOptions{.ndv = 100, .fpp = 0.001}));
  const std::string path = dir_ / "lake/a.parquet";
  const auto offset = *parquet::ParquetFileReader::OpenFile(path)
                           ->metadata()
                           ->RowGroup(0)
                           ->ColumnChunk(0)
                           ->bloom_filter_offset();
  std::string bytes = testing::ReadWholeFile(path);
  std::fill_n(bytes.begin() + offset, 8, '\xff');
  testing::WriteFile(path, bytes);
  EXPECT_EQ(Of("x == 5"), Verdict::kNone);
  const Status status = Decide("x == 15").status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt) << status.ToString();
  EXPECT_THAT(MessageOf(status), HasSubstr("a.parquet: row group 0"));
}

TEST_F(RowGroupBoundsTest, KnowsFieldsOfStructsWithTheNullsOfBoth) {
  Write(FromJson(arrow::struct_({arrow::field("a", arrow::int64())}),
                 R"([{"a": 1}, null, {"a": 3}])"));
  EXPECT_EQ(Of("x.a > 3"), Verdict::kNone);
  EXPECT_EQ(Of("x.a >= 1"), Verdict::kSome);
  EXPECT_EQ(Of("x.a is null"), Verdict::kSome);
}

TEST_F(RowGroupBoundsTest, DecidesByPartitionsAndByColumnsThatAFileLacks) {
  testing::WriteParquet(dir_ / "lake/day=7/a.parquet", testing::Numbers(0, 5, "x"));
  testing::WriteParquet(dir_ / "lake/day=8/b.parquet", testing::Numbers(5, 5, "y"));
  EXPECT_EQ(Check(Decide("day == 7", 0, 0)), Verdict::kAll);
  EXPECT_EQ(Check(Decide("day == 7", 0, 1)), Verdict::kNone);
  EXPECT_EQ(Check(Decide("x is null", 0, 1)), Verdict::kAll);
  EXPECT_EQ(Check(Decide("x >= 0", 0, 1)), Verdict::kNone);
  EXPECT_EQ(Check(Decide("x >= 0 or day == 8", 0, 1)), Verdict::kAll);

  const Lake lake(dir_ / "lake");
  auto decide = [&](const std::string& text, int64_t fragment) {
    const auto filter = Check(expression::Filter::Bind(
        Check(expression::ParseFilter(text)), *lake.table->schema()));
    const auto columns = Check(ResolveColumns(*lake.table, filter.columns()));
    return Check(DecideFragment(*lake.table, filter, columns, fragment));
  };
  EXPECT_EQ(decide("day == 7", 0), Verdict::kAll);
  EXPECT_EQ(decide("day == 7", 1), Verdict::kNone);
  EXPECT_EQ(decide("day == 7 and x < 0", 0), Verdict::kSome);
  EXPECT_EQ(decide("day == 7 and x < 0", 1), Verdict::kNone);
  EXPECT_EQ(lake.counters.read_calls, 0);
}

TEST_F(RowGroupBoundsTest, CountsTheCompressedBytesOfColumns) {
  const auto values = FromJson(arrow::list(arrow::int64()), "[[1, 2], [3], null]");
  Write(values);
  testing::WriteParquet(dir_ / "lake/b.parquet", testing::Numbers(0, 5, "y"));
  const Lake lake(dir_ / "lake");
  const auto chunk = lake.table->Footer(0).ValueOrDie()->RowGroup(0)->ColumnChunk(0);
  auto bytes = [&](const std::vector<std::string>& names, int64_t fragment) {
    return Check(ColumnBytes(lake.context, Check(ResolveColumns(*lake.table, names)),
                             fragment, 0));
  };
  EXPECT_EQ(bytes({"x"}, 0), chunk->total_compressed_size());
  EXPECT_EQ(bytes({"x"}, 1), 0);
  EXPECT_EQ(bytes({"x", "y"}, 0), chunk->total_compressed_size());
  EXPECT_GT(bytes({"y"}, 1), 0);
}

TEST_F(RowGroupBoundsTest, RowIdsOfARowGroupAreKnown) {
  testing::ParquetOptions options;
  options.row_group_rows = 40;
  testing::WriteParquet(dir_ / "lake/a.parquet", testing::Numbers(0, 100), options);
  testing::WriteParquet(dir_ / "lake/b.parquet", testing::Numbers(100, 100), options);
  const std::string id = std::to_string(RowId(1, 79));
  EXPECT_EQ(Check(Decide("row_id = " + id, 1, 1)), Verdict::kSome);
  EXPECT_EQ(Check(Decide("row_id = " + id, 0, 1)), Verdict::kNone);
  EXPECT_EQ(Check(Decide("row_id = " + id, 2, 1)), Verdict::kNone);
  EXPECT_EQ(Check(Decide("row_id = " + id, 1, 0)), Verdict::kNone);
  EXPECT_EQ(Check(Decide("row_id <= " + id, 1, 1)), Verdict::kAll);
  EXPECT_EQ(Check(Decide("row_id is null", 1, 1)), Verdict::kNone);
  // Of whole files nothing need be read.
  const Lake lake(dir_ / "lake");
  const auto filter = Check(expression::Filter::Bind(
      Check(expression::ParseFilter("row_id >= " + id)), *lake.table->named_schema()));
  const auto columns = Check(ResolveColumns(*lake.table, filter.columns()));
  EXPECT_EQ(Check(DecideFragment(*lake.table, filter, columns, 0)), Verdict::kNone);
  EXPECT_EQ(Check(DecideFragment(*lake.table, filter, columns, 1)), Verdict::kSome);
}

}  // namespace
}  // namespace headrace::reader
