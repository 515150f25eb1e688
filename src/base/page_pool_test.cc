#include "base/page_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

namespace headrace::base {
namespace {

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0;
  int64_t resident = 0;
  file >> all >> resident;
  return resident * 4096;
}

TEST(PagePoolTest, KeepsContentAcrossSizes) {
  arrow::MemoryPool* pool = PagePool();
  uint8_t* block = nullptr;
  ASSERT_TRUE(pool->Allocate(1000, 64, &block).ok());
  std::memset(block, 7, 1000);
  int64_t size = 1000;
  for (int64_t next : {2'000'000, 9'000'000, 3'000'000, 500'000, 1'048'576, 1'048'575}) {
    ASSERT_TRUE(pool->Reallocate(size, next, 64, &block).ok());
    size = next;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
    EXPECT_EQ(block[0], 7);
    EXPECT_EQ(block[999], 7);
    block[size - 1] = 1;
  }
  pool->Free(block, size, 64);
}

TEST(PagePoolTest, GivesLargeBlocksBackAtOnce) {
  constexpr int64_t kBytes = int64_t{256} << 20;
  uint8_t* block = nullptr;
  ASSERT_TRUE(PagePool()->Allocate(kBytes, 64, &block).ok());
  std::memset(block, 1, kBytes);
  const int64_t held = ResidentBytes();
  PagePool()->Free(block, kBytes, 64);
  EXPECT_LT(ResidentBytes(), held - kBytes / 2);
}

TEST(PagePoolTest, RefusesWhatTheSystemHasNot) {
  uint8_t* block = nullptr;
  EXPECT_TRUE(PagePool()->Allocate(int64_t{1} << 60, 64, &block).IsOutOfMemory());
}

}  // namespace
}  // namespace headrace::base
