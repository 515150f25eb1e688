#include "base/batch_pool.h"

#include <arrow/buffer.h>
#include <gtest/gtest.h>
#include <headrace/result.h>

#include <cstring>
#include <memory>

namespace headrace::base {
namespace {

TEST(BatchPool, CountsAgainstTheBudgetUntilItIsHandedOut) {
  MemoryBudget budget(arrow::default_memory_pool(), 1 << 20);
  auto pool = BatchPool::Make(&budget);
  std::shared_ptr<arrow::Buffer> buffer =
      arrow::AllocateBuffer(1000, pool.get()).ValueOrDie();
  EXPECT_GE(budget.bytes_allocated(), 1000);
  EXPECT_EQ(pool->bytes_allocated(), budget.bytes_allocated());
  pool.reset();
  EXPECT_EQ(budget.bytes_allocated(), 0);
  std::memset(const_cast<uint8_t*>(buffer->data()), 1, 1000);
}

TEST(BatchPool, LetsBuffersOutliveTheBudget) {
  std::shared_ptr<arrow::Buffer> first;
  std::shared_ptr<arrow::Buffer> second;
  {
    MemoryBudget budget(arrow::default_memory_pool(), 1 << 20);
    auto pool = BatchPool::Make(&budget);
    first = arrow::AllocateBuffer(1000, pool.get()).ValueOrDie();
    second = arrow::AllocateBuffer(2000, pool.get()).ValueOrDie();
  }
  std::memset(const_cast<uint8_t*>(first->data()), 1, 1000);
  first.reset();
  std::memset(const_cast<uint8_t*>(second->data()), 2, 2000);
  second.reset();  // the pool goes with it; the sanitizer build would see it stay
}

TEST(BatchPool, RefusesWhatPassesTheBudget) {
  MemoryBudget budget(arrow::default_memory_pool(), 1000);
  auto pool = BatchPool::Make(&budget);
  const auto refused = arrow::AllocateBuffer(2000, pool.get());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(KindOf(refused.status()), ErrorKind::kResourceExhausted);
  EXPECT_EQ(budget.bytes_allocated(), 0);
  EXPECT_EQ(pool->bytes_allocated(), 0);
}

TEST(BatchPool, CountsBothBlocksOfAReallocation) {
  MemoryBudget budget(arrow::default_memory_pool(), 1000);
  auto pool = BatchPool::Make(&budget);
  uint8_t* block = nullptr;
  ASSERT_TRUE(pool->Allocate(300, 64, &block).ok());
  EXPECT_FALSE(pool->Reallocate(300, 800, 64, &block).ok());
  EXPECT_EQ(budget.bytes_allocated(), 300);
  ASSERT_TRUE(pool->Reallocate(300, 600, 64, &block).ok());
  EXPECT_EQ(budget.max_memory(), 900);
  EXPECT_EQ(budget.bytes_allocated(), 600);
  pool->Free(block, 600, 64);
  EXPECT_EQ(budget.bytes_allocated(), 0);
}

}  // namespace
}  // namespace headrace::base
