#include "schema/cast.h"

#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/memory_budget.h"
#include "tests/cpp/lake.h"

namespace headrace::schema {
namespace {

using testing::Check;
using ::testing::HasSubstr;

std::shared_ptr<arrow::Array> FromJson(const std::shared_ptr<arrow::DataType>& type,
                                       const std::string& json) {
  return Check(arrow::json::ArrayFromJSONString(type, json));
}

Result<std::shared_ptr<arrow::Array>> Cast(const std::shared_ptr<arrow::Array>& values,
                                           const std::shared_ptr<arrow::DataType>& type) {
  return CastArray(values, type, arrow::default_memory_pool());
}

void ExpectCast(const std::shared_ptr<arrow::Array>& values,
                const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
  const auto cast = Check(Cast(values, type));
  Check(cast->ValidateFull());
  EXPECT_TRUE(cast->Equals(FromJson(type, json)))
      << values->ToString() << " to " << cast->ToString();
}

TEST(CastArray, LeavesTheTypeAlone) {
  const auto values = FromJson(arrow::utf8(), R"(["a", null])");
  EXPECT_EQ(Check(Cast(values, arrow::utf8())).get(), values.get());
}

TEST(CastArray, ConvertsNumbersAndKeepsNulls) {
  const auto values = FromJson(arrow::int64(), "[9, 1, null, -3]")->Slice(1);
  ExpectCast(values, arrow::float32(), "[1, null, -3]");
  ExpectCast(values, arrow::int8(), "[1, null, -3]");
  ExpectCast(FromJson(arrow::float64(), "[1.0, null, 2.0]"), arrow::uint16(),
             "[1, null, 2]");
  ExpectCast(FromJson(arrow::uint8(), "[1, 255]"), arrow::int64(), "[1, 255]");
}

TEST(CastArray, ConvertsBooleansBothWays) {
  const auto values =
      FromJson(arrow::boolean(), "[true, true, null, false, true]")->Slice(1);
  ExpectCast(values, arrow::int32(), "[1, null, 0, 1]");
  ExpectCast(FromJson(arrow::int32(), "[1, null, 0]"), arrow::boolean(),
             "[true, null, false]");
}

TEST(CastArray, TakesTimesAsTheirStoredIntegers) {
  ExpectCast(FromJson(arrow::timestamp(arrow::TimeUnit::MILLI), "[1500, null]"),
             arrow::float64(), "[1500, null]");
  ExpectCast(FromJson(arrow::date32(), "[1, 2]"), arrow::int64(), "[1, 2]");
}

TEST(CastArray, TakesDecimalsByWayOfFloat64) {
  const auto values = FromJson(arrow::decimal128(9, 2), R"(["1.50", null, "-2.00"])");
  ExpectCast(values, arrow::float64(), "[1.5, null, -2]");
  ExpectCast(values, arrow::float32(), "[1.5, null, -2]");
}

TEST(CastArray, ShowsTheValueThatDoesNotFit) {
  for (const auto& [values, type] :
       {std::pair(FromJson(arrow::int64(), "[1, null, 300]"), arrow::int8()),
        std::pair(FromJson(arrow::int64(), "[300]"), arrow::uint8()),
        std::pair(FromJson(arrow::list(arrow::int64()), "[[1], [2, 300]]"),
                  arrow::list(arrow::int8()))}) {
    const Status status = Cast(values, type).status();
    ASSERT_FALSE(status.ok()) << type->ToString();
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
    EXPECT_THAT(MessageOf(status), HasSubstr("the value 300"));
  }
}

TEST(CastArray, DoesNotJudgeWhatNullsAndSlicesHide) {
  const auto hidden = FromJson(arrow::int64(), "[300, 1, 2]");
  auto data = hidden->data()->Copy();
  data->buffers[0] = Check(arrow::AllocateEmptyBitmap(3));
  arrow::bit_util::SetBit(data->buffers[0]->mutable_data(), 1);
  data->null_count = 2;
  ExpectCast(arrow::MakeArray(data), arrow::int8(), "[null, 1, null]");
  ExpectCast(FromJson(arrow::list(arrow::int64()), "[[300], [1, null], null, [300]]")
                 ->Slice(1, 2),
             arrow::list(arrow::int8()), "[[1, null], null]");
  ExpectCast(
      FromJson(arrow::fixed_size_list(arrow::int64(), 1), "[[300], [1], null]")->Slice(1),
      arrow::fixed_size_list(arrow::int8(), 1), "[[1], null]");
}

TEST(CastArray, ConvertsInsideListsOfAnyDepth) {
  ExpectCast(FromJson(arrow::large_list(arrow::int32()), "[[1, 2], [], null]"),
             arrow::large_list(arrow::float64()), "[[1, 2], [], null]");
  ExpectCast(
      FromJson(arrow::list(arrow::list(arrow::int32())), "[[[1], null], [[2, 3]]]"),
      arrow::list(arrow::list(arrow::float32())), "[[[1], null], [[2, 3]]]");
}

TEST(CastArray, ConvertsInsideTensors) {
  const auto tensors = [](const std::shared_ptr<arrow::DataType>& value) {
    const auto type = arrow::extension::fixed_shape_tensor(value, {2, 1});
    return arrow::ExtensionType::WrapArray(
        type, FromJson(arrow::fixed_size_list(value, 2), "[[1, 2], [3, 4]]"));
  };
  const auto expected = tensors(arrow::float32());
  const auto cast = Check(Cast(tensors(arrow::int16())->Slice(1), expected->type()));
  EXPECT_TRUE(cast->Equals(expected->Slice(1))) << cast->ToString();
}

TEST(CastArray, GivesTextBackAsTheViewThatItWas) {
  ExpectCast(
      FromJson(arrow::large_utf8(), R"(["a", null, "a text of more than twelve"])"),
      arrow::utf8_view(), R"(["a", null, "a text of more than twelve"])");
}

TEST(CastArray, RefusesWhatIsNoNumber) {
  const Status status =
      Cast(FromJson(arrow::utf8(), R"(["1"])"), arrow::int32()).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kUnsupported);
  EXPECT_THAT(MessageOf(status), HasSubstr("string to int32"));
}

TEST(CastArray, TakesNoRowsAndMemoryFromThePool) {
  ExpectCast(FromJson(arrow::int64(), "[]"), arrow::int8(), "[]");
  ExpectCast(FromJson(arrow::list(arrow::int64()), "[]"), arrow::list(arrow::int8()),
             "[]");
  base::MemoryBudget pool(arrow::default_memory_pool());
  {
    const auto cast =
        Check(CastArray(FromJson(arrow::int64(), "[1, null]"), arrow::int32(), &pool));
    EXPECT_GT(pool.bytes_allocated(), 0);
  }
  EXPECT_EQ(pool.bytes_allocated(), 0);
}

}  // namespace
}  // namespace headrace::schema
