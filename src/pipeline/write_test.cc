#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/util/iterator.h>
#include <gtest/gtest.h>
#include <headrace/write.h>

#include <filesystem>

#include "schema/field.h"
#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using testing::Check;

std::shared_ptr<arrow::RecordBatchReader> Rows(int64_t rows) {
  return std::make_shared<arrow::TableBatchReader>(testing::Numbers(0, rows));
}

TEST(Write, TellsWhatItWrote) {
  const testing::TempDir dir;
  std::vector<int64_t> told;
  const auto summary =
      Check(Write(Rows(1000), dir / "t", {.format = "parquet", .rows_expected = 1000},
                  [&](int64_t done, int64_t total) {
                    told.push_back(done);
                    EXPECT_EQ(total, 1000);
                  }));
  EXPECT_EQ(told.back(), 1000);
  EXPECT_EQ(summary.rows, 1000);
  EXPECT_EQ(summary.files, 1);
  EXPECT_GT(summary.memory_peak, 0);
  EXPECT_LE(summary.memory_floor, summary.memory_budget);
  EXPECT_NE(summary.ToString().find("1000 rows in 1 file (1 row group"),
            std::string::npos)
      << summary.ToString();
  EXPECT_EQ(Check(Check(Dataset::Open(dir / "t")).CountRows()), 1000);
}

// Formats without unsigned integers store wider ones; reading gives what was written.
TEST(Write, DtypesOfFieldsComeBackWhenReading) {
  const testing::TempDir dir;
  const auto field = [](const char* name, const char* dtype,
                        const std::shared_ptr<arrow::DataType>& stored) {
    const auto declared = Check(Schema::Make({{.name = name, .dtype = dtype}}));
    return Check(schema::ToArrowField(declared.fields()[0]))->WithType(stored);
  };
  testing::WriteParquet(
      dir / "t/a.parquet",
      testing::TableFromJson(
          arrow::schema({field("a", "uint8", arrow::int16()),
                         field("b", "uint64", arrow::decimal128(20, 0))}),
          R"([[255, "18446744073709551615"], [null, "9007199254740993"]])"));
  const auto dataset = Check(Dataset::Open(dir / "t"));
  const auto table = Check(dataset.ToTable());
  EXPECT_TRUE(table->schema()->field(0)->type()->Equals(arrow::uint8()));
  EXPECT_TRUE(table->schema()->field(1)->type()->Equals(arrow::uint64()));
  EXPECT_EQ(Check(table->column(0)->GetScalar(0))->ToString(), "255");
  EXPECT_EQ(Check(table->column(1)->GetScalar(0))->ToString(), "18446744073709551615");
  EXPECT_EQ(Check(table->column(1)->GetScalar(1))->ToString(), "9007199254740993");
  const auto cast = Check(dataset.Cast({{"a", "float32"}}));
  EXPECT_TRUE(cast.schema()->field(0)->type()->Equals(arrow::float32()));
}

TEST(Write, AnErrorOfTheStreamLeavesNothing) {
  const testing::TempDir dir;
  const auto schema = arrow::schema({arrow::field("x", arrow::int64())});
  int batches = 0;
  auto failing = Check(arrow::RecordBatchReader::MakeFromIterator(
      arrow::MakeFunctionIterator([&]() -> Result<std::shared_ptr<arrow::RecordBatch>> {
        if (++batches > 20) return Status::IOError("the source broke");
        return testing::Numbers(batches, 10000)->CombineChunksToBatch();
      }),
      schema));
  const auto written =
      Write(failing, dir / "t",
            {.format = "parquet", .row_group_bytes = 16 << 10, .file_bytes = 32 << 10});
  ASSERT_FALSE(written.ok());
  EXPECT_NE(MessageOf(written.status()).find("the source broke"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(dir / "t"));
}

}  // namespace
}  // namespace headrace
