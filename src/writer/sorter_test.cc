#include "writer/sorter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/cpp/lake.h"
#include "writer/sort_keys.h"

namespace headrace::writer {
namespace {

using testing::Check;

std::vector<int64_t> OrderOf(const std::shared_ptr<arrow::Array>& values) {
  const auto batch = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("x", values->type())}), values->length(), {values});
  const auto keys = Check(SortKeys::Make(*batch, {0}, arrow::default_memory_pool()));
  const auto rows = Check(keys.Sorted(arrow::default_memory_pool()));
  const auto* begin = reinterpret_cast<const int64_t*>(rows->data());
  return {begin, begin + values->length()};
}

std::shared_ptr<arrow::Array> Json(const std::shared_ptr<arrow::DataType>& type,
                                   const std::string& json) {
  return Check(arrow::json::ArrayFromJSONString(type, json));
}

using Rows = std::vector<int64_t>;

TEST(SortKeys, OrderValuesOfEveryTypeWithNullsLast) {
  EXPECT_EQ(OrderOf(Json(arrow::int8(), "[5, -128, null, 127, -1, 0]")),
            (Rows{1, 4, 5, 0, 3, 2}));
  EXPECT_EQ(OrderOf(Json(arrow::uint64(), "[5, 18446744073709551615, 0]")),
            (Rows{2, 0, 1}));
  EXPECT_EQ(OrderOf(Json(arrow::boolean(), "[true, null, false]")), (Rows{2, 0, 1}));
  EXPECT_EQ(OrderOf(Json(arrow::decimal128(9, 2), R"(["1.25", "-7.00", "-7.01"])")),
            (Rows{2, 1, 0}));
  EXPECT_EQ(OrderOf(Json(arrow::date32(), "[3, -3, 0]")), (Rows{1, 2, 0}));
}

TEST(SortKeys, OrderTextBytewiseWhateverItsLength) {
  EXPECT_EQ(OrderOf(Json(arrow::utf8(), R"(["b", "", "aa", null, "a", "aß"])")),
            (Rows{1, 4, 2, 5, 0, 3}));
  arrow::BinaryBuilder builder;
  using std::string_literals::operator""s;
  for (const std::string& bytes : {"a\0b"s, "a"s, "a\0"s, "a\xff"s, "a\0\xff"s}) {
    Check(builder.Append(bytes));
  }
  EXPECT_EQ(OrderOf(Check(builder.Finish())), (Rows{1, 2, 0, 4, 3}));
}

TEST(SortKeys, OrderRealsWithNanLastAndZerosAlike) {
  arrow::DoubleBuilder builder;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double value : {0.0, nan, -0.0, -infinity, infinity, -1.5, -nan, 1.5}) {
    Check(builder.Append(value));
  }
  Check(builder.AppendNull());
  EXPECT_EQ(OrderOf(Check(builder.Finish())), (Rows{3, 5, 0, 2, 7, 4, 1, 6, 8}));
}

TEST(SortKeys, RefuseWhatHasNoOrder) {
  const auto schema = arrow::schema({arrow::field("l", arrow::list(arrow::int8()))});
  const Status status = SortKeys::Check(*schema, {0});
  EXPECT_EQ(KindOf(status), ErrorKind::kUnsupported);
  EXPECT_NE(MessageOf(status).find("\"l\""), std::string::npos);
}

// Hundreds of runs, merged in more than one pass, with rows of equal keys in all of them.
TEST(Sorter, MergesManyRunsStably) {
  const auto schema = arrow::schema(
      {arrow::field("key", arrow::int32()), arrow::field("id", arrow::int64())});
  base::MemoryBudget pool(arrow::default_memory_pool(), Sorter::kMemoryMin);
  Sorter sorter({.schema = schema,
                 .columns = {0},
                 .memory = Sorter::kMemoryMin,
                 .batch_bytes = 16 << 10,
                 .pool = &pool});
  int64_t id = 0;
  for (int b = 0; b < 400; ++b) {
    arrow::Int32Builder keys;
    arrow::Int64Builder ids;
    for (int i = 0; i < 1000; ++i, ++id) {
      Check(keys.Append(static_cast<int32_t>(id * 7919 % 13)));
      Check(ids.Append(id));
    }
    Check(sorter.Add(arrow::RecordBatch::Make(
        schema, 1000, {Check(keys.Finish()), Check(ids.Finish())})));
  }
  int64_t rows = 0;
  std::pair<int32_t, int64_t> before{-1, -1};
  Check(sorter.Finish([&](const std::shared_ptr<arrow::RecordBatch>& batch) {
    const auto& keys = static_cast<const arrow::Int32Array&>(*batch->column(0));
    const auto& ids = static_cast<const arrow::Int64Array&>(*batch->column(1));
    for (int64_t i = 0; i < batch->num_rows(); ++i, ++rows) {
      const std::pair<int32_t, int64_t> now{keys.Value(i), ids.Value(i)};
      EXPECT_LT(before, now);
      EXPECT_EQ(now.first, now.second * 7919 % 13);
      before = now;
    }
    return Status::OK();
  }));
  EXPECT_EQ(rows, id);
  EXPECT_GT(sorter.bytes_spilled(), 2 * 12 * id);  // more than one pass
  EXPECT_LE(pool.max_memory(), Sorter::kMemoryMin);
}

}  // namespace
}  // namespace headrace::writer
