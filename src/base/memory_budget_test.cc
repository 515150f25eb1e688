#include "base/memory_budget.h"

#include <arrow/buffer.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/result.h>

#include <atomic>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

namespace headrace::base {
namespace {

using ::testing::HasSubstr;

// An upstream that can run out of memory.
class EmptyPool : public arrow::ProxyMemoryPool {
 public:
  EmptyPool() : ProxyMemoryPool(arrow::default_memory_pool()) {}
  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override {
    if (empty) return arrow::Status::OutOfMemory("the machine has no more");
    return ProxyMemoryPool::Allocate(size, alignment, out);
  }
  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                           uint8_t** ptr) override {
    if (empty) return arrow::Status::OutOfMemory("the machine has no more");
    return ProxyMemoryPool::Reallocate(old_size, new_size, alignment, ptr);
  }
  bool empty = false;
};

TEST(MemoryBudget, CountsWhatItHandsOut) {
  MemoryBudget budget(arrow::default_memory_pool(), 1000);
  uint8_t* a = nullptr;
  uint8_t* b = nullptr;
  ASSERT_TRUE(budget.Allocate(600, 64, &a).ok());
  ASSERT_TRUE(budget.Allocate(400, 64, &b).ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 64, 0U);
  EXPECT_EQ(budget.bytes_allocated(), 1000);
  budget.Free(a, 600, 64);
  EXPECT_EQ(budget.bytes_allocated(), 400);
  budget.Free(b, 400, 64);
  EXPECT_EQ(budget.bytes_allocated(), 0);
  EXPECT_EQ(budget.max_memory(), 1000);
  EXPECT_EQ(budget.total_bytes_allocated(), 1000);
  EXPECT_EQ(budget.num_allocations(), 2);
}

TEST(MemoryBudget, RefusesWhatPassesItWithAllNumbers) {
  MemoryBudget budget(arrow::default_memory_pool(), 1000);
  ASSERT_TRUE(budget.Reserve(700).ok());
  uint8_t* out = nullptr;
  const arrow::Status refused = budget.Allocate(301, 64, &out);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(KindOf(refused), ErrorKind::kResourceExhausted);
  EXPECT_EQ(refused.message(),
            "memory_budget is spent: 301 bytes more were needed beside 700 held, found a "
            "budget of 1000; give a larger memory_budget");
  // Refused bytes are neither held nor a peak.
  EXPECT_EQ(budget.bytes_allocated(), 700);
  EXPECT_EQ(budget.max_memory(), 700);
  EXPECT_TRUE(budget.Reserve(300).ok());
  budget.Release(1000);
  EXPECT_EQ(budget.bytes_allocated(), 0);
}

TEST(MemoryBudget, ReallocatesWithinTheBudgetAndKeepsTheBytes) {
  MemoryBudget budget(arrow::default_memory_pool(), 1000);
  uint8_t* block = nullptr;
  ASSERT_TRUE(budget.Allocate(100, 64, &block).ok());
  std::memset(block, 7, 100);
  ASSERT_TRUE(budget.Reallocate(100, 900, 64, &block).ok());
  EXPECT_EQ(budget.bytes_allocated(), 900);
  EXPECT_EQ(block[99], 7);
  EXPECT_FALSE(budget.Reallocate(900, 1001, 64, &block).ok());
  EXPECT_EQ(budget.bytes_allocated(), 900);
  EXPECT_EQ(block[99], 7);
  ASSERT_TRUE(budget.Reallocate(900, 50, 64, &block).ok());
  EXPECT_EQ(budget.bytes_allocated(), 50);
  budget.Free(block, 50, 64);
  EXPECT_EQ(budget.bytes_allocated(), 0);
  EXPECT_EQ(budget.max_memory(), 900);
}

TEST(MemoryBudget, HoldsNothingWhenTheMachineHasNoMore) {
  EmptyPool machine;
  MemoryBudget budget(&machine, 1000);
  uint8_t* block = nullptr;
  ASSERT_TRUE(budget.Allocate(100, 64, &block).ok());
  machine.empty = true;
  uint8_t* other = nullptr;
  EXPECT_THAT(budget.Allocate(200, 64, &other).message(), HasSubstr("no more"));
  EXPECT_FALSE(budget.Reallocate(100, 300, 64, &block).ok());
  EXPECT_FALSE(budget.Reallocate(100, 50, 64, &block).ok());
  EXPECT_EQ(budget.bytes_allocated(), 100);
  budget.Free(block, 100, 64);
  EXPECT_EQ(budget.bytes_allocated(), 0);
}

TEST(MemoryBudget, RefusesSizesThatNoSumHolds) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  MemoryBudget small(arrow::default_memory_pool(), 1000);
  ASSERT_TRUE(small.Reserve(10).ok());
  // 10 + 2^63 - 1 is a negative number, and so below any budget.
  EXPECT_FALSE(small.Reserve(kMost).ok());
  EXPECT_FALSE(small.Reserve(-1).ok());
  MemoryBudget boundless(arrow::default_memory_pool());
  ASSERT_TRUE(boundless.Reserve(10).ok());
  EXPECT_FALSE(boundless.Reserve(kMost).ok());
  EXPECT_TRUE(boundless.Reserve(kMost - 10).ok());
  EXPECT_EQ(small.bytes_allocated(), 10);
}

TEST(MemoryBudget, ServesArrowBuffers) {
  MemoryBudget budget(arrow::default_memory_pool(), 1 << 20);
  {
    auto buffer = arrow::AllocateResizableBuffer(1000, &budget).ValueOrDie();
    EXPECT_GE(budget.bytes_allocated(), 1000);
    ASSERT_TRUE(buffer->Resize(10, /*shrink_to_fit=*/true).ok());
    EXPECT_LT(budget.bytes_allocated(), 1000);
    EXPECT_EQ(KindOf(buffer->Resize(2 << 20)), ErrorKind::kResourceExhausted);
  }
  EXPECT_EQ(budget.bytes_allocated(), 0);
}

// A refused request was counted for a moment, and made others fail that would have
// fitted.
TEST(MemoryBudget, DoesNotRefuseWhatFitsBecauseAnotherThreadAskedForTooMuch) {
  MemoryBudget budget(arrow::default_memory_pool(), 1000);
  std::atomic<bool> stop{false};
  std::thread greedy([&] {
    while (!stop) EXPECT_FALSE(budget.Reserve(1001).ok());
  });
  int64_t refused = 0;
  for (int i = 0; i < 100'000; ++i) {
    if (budget.Reserve(1).ok()) {
      budget.Release(1);
    } else {
      ++refused;
    }
  }
  stop = true;
  greedy.join();
  EXPECT_EQ(refused, 0);
}

TEST(MemoryBudget, NeverPassesItsBudgetAcrossThreads) {
  MemoryBudget budget(arrow::default_memory_pool(), 1000);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&budget, t] {
      for (int i = 0; i < 20'000; ++i) {
        const int64_t bytes = 200 + 100 * ((i + t) % 3);
        if (!budget.Reserve(bytes).ok()) continue;
        EXPECT_LE(budget.bytes_allocated(), 1000);
        budget.Release(bytes);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(budget.bytes_allocated(), 0);
  EXPECT_LE(budget.max_memory(), 1000);
}

}  // namespace
}  // namespace headrace::base
