// The address sanitizer's build does not recycle.
#if !defined(__SANITIZE_ADDRESS__)
#include "base/recycler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "base/batch_pool.h"
#include "base/memory_budget.h"

namespace headrace::base {
namespace {

constexpr int64_t kBlock = 1 << 20;
constexpr int64_t kAlign = arrow::kDefaultBufferAlignment;

class RecyclerTest : public ::testing::Test {
 protected:
  RecyclerTest() : machine_(arrow::default_memory_pool()), recycler_(&machine_) {}

  uint8_t* Take(int64_t size) {
    uint8_t* block = nullptr;
    EXPECT_TRUE(recycler_.Allocate(size, kAlign, &block).ok());
    return block;
  }

  arrow::ProxyMemoryPool machine_;
  Recycler recycler_;
};

TEST_F(RecyclerTest, UsesABlockAgainForRequestsOfAboutItsSize) {
  uint8_t* const block = Take(kBlock + 1);
  recycler_.Free(block, kBlock + 1, kAlign);
  EXPECT_GE(recycler_.idle(), kBlock + 1);
  EXPECT_EQ(Take(kBlock + 5000), block);
  EXPECT_EQ(recycler_.idle(), 0);
  recycler_.Free(block, kBlock + 5000, kAlign);
  uint8_t* const larger = Take(2 * kBlock);
  EXPECT_NE(larger, block);
  recycler_.Free(larger, 2 * kBlock, kAlign);
}

TEST_F(RecyclerTest, RoundsBlocksUpByASixteenthAtMost) {
  for (int64_t size = 16 << 10; size < 40 << 20; size = size * 17 / 13 + 1) {
    uint8_t* const block = Take(size);
    EXPECT_GE(machine_.bytes_allocated(), size);
    EXPECT_LE(machine_.bytes_allocated(), size + size / 16);
    recycler_.Free(block, size, kAlign);
    recycler_.LimitIdle(0);
    EXPECT_EQ(machine_.bytes_allocated(), 0);
    recycler_.LimitIdle(100 << 20);
  }
}

TEST_F(RecyclerTest, KeepsTheBytesOfABlockThatGrowsOrShrinks) {
  uint8_t* block = Take(20 << 10);
  std::iota(block, block + (20 << 10), uint8_t{0});
  const std::vector<uint8_t> before(block, block + (4 << 10));
  for (auto [from, to] : {std::pair<int64_t, int64_t>{20 << 10, 90 << 10},
                          {90 << 10, 90 << 10},
                          {90 << 10, 4 << 10},
                          {4 << 10, 64 << 10}}) {
    ASSERT_TRUE(recycler_.Reallocate(from, to, kAlign, &block).ok());
    EXPECT_TRUE(std::equal(before.begin(), before.end(), block)) << to;
  }
  recycler_.Free(block, 64 << 10, kAlign);
}

TEST_F(RecyclerTest, GivesBackWhatPassesTheLimitAndAllWhenClosed) {
  uint8_t* const a = Take(kBlock);
  uint8_t* const b = Take(kBlock);
  uint8_t* const c = Take(kBlock);
  recycler_.LimitIdle(kBlock);
  recycler_.Free(a, kBlock, kAlign);
  recycler_.Free(b, kBlock, kAlign);
  EXPECT_EQ(recycler_.idle(), kBlock);
  EXPECT_EQ(machine_.bytes_allocated(), 2 * kBlock);
  recycler_.Close();
  EXPECT_EQ(machine_.bytes_allocated(), kBlock);
  recycler_.Free(c, kBlock, kAlign);
  EXPECT_EQ(machine_.bytes_allocated(), 0);
}

TEST_F(RecyclerTest, IdleBlocksAndHeldBytesFitTheBudget) {
  arrow::ProxyMemoryPool machine(arrow::default_memory_pool());
  MemoryBudget budget(&machine, 4 * kBlock);
  uint8_t* blocks[3];
  for (auto& block : blocks) ASSERT_TRUE(budget.Allocate(kBlock, kAlign, &block).ok());
  for (auto& block : blocks) budget.Free(block, kBlock, kAlign);
  EXPECT_EQ(budget.bytes_allocated(), 0);
  EXPECT_EQ(machine.bytes_allocated(), 3 * kBlock);
  uint8_t* other = nullptr;
  ASSERT_TRUE(budget.Allocate(2 * kBlock, kAlign, &other).ok());
  EXPECT_LE(machine.bytes_allocated(), 4 * kBlock);
  budget.Free(other, 2 * kBlock, kAlign);
  EXPECT_LE(machine.bytes_allocated(), 4 * kBlock);
}

TEST_F(RecyclerTest, TakesBatchesBackUntilTheBudgetIsGone) {
  arrow::ProxyMemoryPool machine(arrow::default_memory_pool());
  std::shared_ptr<arrow::Buffer> late;
  {
    MemoryBudget budget(&machine, 8 * kBlock);
    auto pool = BatchPool::Make(&budget);
    std::shared_ptr<arrow::Buffer> early =
        arrow::AllocateBuffer(kBlock, pool.get()).ValueOrDie();
    late = arrow::AllocateBuffer(kBlock, pool.get()).ValueOrDie();
    pool.reset();
    early.reset();
    EXPECT_EQ(budget.recycler()->idle(), kBlock);
  }
  EXPECT_EQ(machine.bytes_allocated(), kBlock);
  late.reset();
  EXPECT_EQ(machine.bytes_allocated(), 0);
}

}  // namespace
}  // namespace headrace::base
#endif
