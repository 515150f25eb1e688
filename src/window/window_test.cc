#include "window/window.h"

#include <arrow/json/from_string.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/memory_budget.h"

namespace headrace::window {
namespace {

std::shared_ptr<arrow::Array> FromJson(const std::shared_ptr<arrow::DataType>& type,
                                       const std::string& json) {
  return arrow::json::ArrayFromJSONString(type, json).ValueOrDie();
}

template <typename T>
std::vector<T> Values(const Window& window, size_t column) {
  const auto* values = reinterpret_cast<const T*>(window.values(column));
  return {values, values + window.rows()};
}

TEST(Window, WritesFixedWidthToItsPermutedPlace) {
  const std::vector<uint32_t> placement = {2, 0, 3, 1};
  auto window =
      Window::Make({{arrow::int32(), DType::kInt32}, {arrow::boolean(), DType::kBool}}, 4,
                   placement, arrow::default_memory_pool())
          .ValueOrDie();
  ASSERT_TRUE(window->Put(0, 0, FromJson(arrow::int32(), "[10, 11]")).ok());
  ASSERT_TRUE(window->Put(0, 2, FromJson(arrow::int32(), "[0, 12, 13]")->Slice(1)).ok());
  ASSERT_TRUE(
      window
          ->Put(1, 0,
                FromJson(arrow::boolean(), "[false, true, false, true, true]")->Slice(1))
          .ok());
  ASSERT_TRUE(window->Seal().ok());
  EXPECT_THAT(Values<int32_t>(*window, 0), ::testing::ElementsAre(11, 13, 10, 12));
  EXPECT_THAT(Values<uint8_t>(*window, 1), ::testing::ElementsAre(0, 1, 1, 1));
  EXPECT_EQ(nullptr, window->valid(0));
}

TEST(Window, KeepsNullsAsZeroWithValidity) {
  const std::vector<uint32_t> placement = {1, 2, 0};
  auto window = Window::Make({{arrow::float64(), DType::kFloat64}}, 3, placement,
                             arrow::default_memory_pool())
                    .ValueOrDie();
  ASSERT_TRUE(window->Put(0, 0, FromJson(arrow::float64(), "[1.5]")).ok());
  ASSERT_TRUE(window->Put(0, 1, FromJson(arrow::float64(), "[null, 2.5]")).ok());
  EXPECT_THAT(Values<double>(*window, 0), ::testing::ElementsAre(2.5, 1.5, 0));
  ASSERT_NE(nullptr, window->valid(0));
  EXPECT_EQ(1, window->valid(0)[0]);
  EXPECT_EQ(1, window->valid(0)[1]);
  EXPECT_EQ(0, window->valid(0)[2]);
}

TEST(Window, GathersOtherColumnsInDeliveredOrder) {
  const std::vector<uint32_t> placement = {2, 0, 3, 1};
  auto window = Window::Make({{arrow::utf8(), std::nullopt}}, 4, placement,
                             arrow::default_memory_pool())
                    .ValueOrDie();
  ASSERT_TRUE(window->Put(0, 0, FromJson(arrow::utf8(), R"(["a", "b"])")).ok());
  ASSERT_TRUE(window->Put(0, 2, FromJson(arrow::utf8(), R"([null, "d"])")).ok());
  ASSERT_TRUE(window->Seal().ok());
  auto all = window->Gather(0, 0, 4, arrow::default_memory_pool()).ValueOrDie();
  EXPECT_TRUE(all->Equals(FromJson(arrow::utf8(), R"(["b", "d", "a", null])")));
  auto some = window->Gather(0, 1, 2, arrow::default_memory_pool()).ValueOrDie();
  EXPECT_TRUE(some->Equals(FromJson(arrow::utf8(), R"(["d", "a"])")));
}

TEST(Window, KeepsWhereCellsLieAtTheirPermutedPlace) {
  const std::vector<uint32_t> placement = {2, 0, 3, 1};
  auto window = Window::Make({{arrow::binary(), std::nullopt, /*cells=*/true}}, 4,
                             placement, arrow::default_memory_pool())
                    .ValueOrDie();
  const auto put = FromJson(arrow::utf8(), R"(["", null])");
  ASSERT_TRUE(window->Put(0, 0, put).ok());
  const auto memory = std::make_shared<std::string>("cd");
  const auto* bytes = reinterpret_cast<const uint8_t*>(memory->data());
  CellSlot slot = window->CellSlotOf(0, 2);
  for (int64_t i = 0; i < 2; ++i) slot.cells[slot.PlaceOf(i)] = CellOf(bytes + i, 1);
  slot.keep(memory);
  EXPECT_EQ(2, memory.use_count());
  ASSERT_TRUE(window->Seal().ok());
  EXPECT_FALSE(window->CellAt(0, 0).has_value());
  EXPECT_EQ(bytes + 1, window->CellAt(0, 1)->data());
  EXPECT_EQ(0u, window->CellAt(0, 2)->size());
  EXPECT_EQ(bytes, window->CellAt(0, 3)->data());
  window.reset();
  EXPECT_EQ(1, memory.use_count());
}

TEST(Window, KeepsOrderWithoutPlacement) {
  auto window =
      Window::Make({{arrow::int8(), DType::kInt8}, {arrow::utf8(), std::nullopt}}, 2, {},
                   arrow::default_memory_pool())
          .ValueOrDie();
  ASSERT_TRUE(window->Put(0, 0, FromJson(arrow::int8(), "[7, 8]")).ok());
  ASSERT_TRUE(window->Put(1, 0, FromJson(arrow::utf8(), R"(["x", "y"])")).ok());
  ASSERT_TRUE(window->Seal().ok());
  EXPECT_THAT(Values<int8_t>(*window, 0), ::testing::ElementsAre(7, 8));
  EXPECT_TRUE(window->Gather(1, 0, 2, arrow::default_memory_pool())
                  .ValueOrDie()
                  ->Equals(FromJson(arrow::utf8(), R"(["x", "y"])")));
}

TEST(Window, GathersIntoThePoolGivenAndNotItsOwn) {
  base::MemoryBudget own(arrow::default_memory_pool());
  std::shared_ptr<arrow::Array> gathered;
  {
    auto window = Window::Make({{arrow::utf8(), std::nullopt}}, 1, {}, &own).ValueOrDie();
    ASSERT_TRUE(window->Put(0, 0, FromJson(arrow::utf8(), R"(["kept"])")).ok());
    ASSERT_TRUE(window->Seal().ok());
    gathered = window->Gather(0, 0, 1, arrow::default_memory_pool()).ValueOrDie();
  }
  EXPECT_EQ(0, own.bytes_allocated());
  EXPECT_TRUE(gathered->Equals(FromJson(arrow::utf8(), R"(["kept"])")));
}

}  // namespace
}  // namespace headrace::window
