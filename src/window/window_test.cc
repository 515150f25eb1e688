#include "window/window.h"

#include <arrow/json/from_string.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

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

/// Writes rows [at, at + values.size()) of a column of int32 to their slot; -1 is null.
void Write(Window* window, int64_t at, const std::vector<int32_t>& values,
           size_t column = 0) {
  const Slot slot = window->SlotOf(column, at, std::ssize(values)).ValueOrDie();
  for (size_t i = 0; i < values.size(); ++i) {
    reinterpret_cast<int32_t*>(slot.values)[i] = values[i] == -1 ? 0 : values[i];
    if (values[i] == -1) slot.valid().ValueOrDie()[i] = 0;
  }
  if (slot.settle == nullptr) return;
  ASSERT_TRUE(slot.settle().ok());
}

TEST(Window, PermutesWhatIsWrittenToSlots) {
  const std::vector<uint32_t> placement = {2, 0, 4, 3, 1};
  const std::vector<std::vector<std::vector<int32_t>>> cuts = {
      {{10, 11, -1, 13, 14}}, {{10, 11}, {-1, 13, 14}}, {{10}, {11, -1, 13}, {14}}};
  // Few columns are scattered, many are gathered.
  for (const size_t columns : {1, 2, 4, 12}) {
    for (const auto& parts : cuts) {
      auto window = Window::Make(std::vector<WindowColumn>(
                                     columns, {arrow::int32(), DType::kInt32}),
                                 5, placement, arrow::default_memory_pool())
                        .ValueOrDie();
      int64_t at = 0;
      for (const auto& part : parts) {
        for (size_t c = 0; c < columns; ++c) Write(window.get(), at, part, c);
        at += std::ssize(part);
      }
      ASSERT_TRUE(window->Seal().ok());
      for (size_t c = 0; c < columns; ++c) {
        EXPECT_THAT(Values<int32_t>(*window, c),
                    ::testing::ElementsAre(11, 14, 10, 13, 0));
        const uint8_t* valid = window->valid(c);
        EXPECT_THAT(std::vector<uint8_t>(valid, valid + 5),
                    ::testing::ElementsAre(1, 1, 1, 1, 0));
      }
    }
  }
}

TEST(Window, WhatIsNotSettledChangesNothing) {
  const std::vector<uint32_t> placement = {1, 0, 2};
  auto window = Window::Make({{arrow::int32(), DType::kInt32}}, 3, placement,
                             arrow::default_memory_pool())
                    .ValueOrDie();
  Write(window.get(), 0, {5, 6});
  const Slot slot = window->SlotOf(0, 2, 1).ValueOrDie();
  slot.valid().ValueOrDie()[0] = 0;  // and then it cannot be read on
  ASSERT_TRUE(window->Put(0, 2, FromJson(arrow::int32(), "[7]")).ok());
  ASSERT_TRUE(window->Seal().ok());
  EXPECT_THAT(Values<int32_t>(*window, 0), ::testing::ElementsAre(6, 5, 7));
  EXPECT_EQ(nullptr, window->valid(0));
}

TEST(Window, SlotsWithoutPlacementAreTheWindowItself) {
  auto window =
      Window::Make({{arrow::int32(), DType::kInt32}}, 3, {}, arrow::default_memory_pool())
          .ValueOrDie();
  Write(window.get(), 0, {4});
  Write(window.get(), 1, {-1, 6});
  ASSERT_TRUE(window->Seal().ok());
  EXPECT_THAT(Values<int32_t>(*window, 0), ::testing::ElementsAre(4, 0, 6));
  const uint8_t* valid = window->valid(0);
  EXPECT_THAT(std::vector<uint8_t>(valid, valid + 3), ::testing::ElementsAre(1, 0, 1));
}

TEST(Window, HoldsNothingOfItsFillingOnceSealed) {
  constexpr int64_t kRows = 1000;
  base::MemoryBudget pool(arrow::default_memory_pool());
  std::vector<uint32_t> placement(kRows);
  std::iota(placement.rbegin(), placement.rend(), 0);
  auto window = Window::Make({{arrow::int32(), DType::kInt32}}, kRows, placement, &pool)
                    .ValueOrDie();
  const int64_t kept = pool.bytes_allocated() + kRows;  // and which values are there
  Write(window.get(), 0, std::vector<int32_t>(kRows / 2, -1));
  Write(window.get(), kRows / 2, std::vector<int32_t>(kRows / 2, 8));
  EXPECT_LE(pool.bytes_allocated(), kept + kRows * kFillingBytes + 1024);
  ASSERT_TRUE(window->Seal().ok());
  EXPECT_LE(pool.bytes_allocated(), kept + 64);
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
