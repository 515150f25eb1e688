#include "table/footer_cache.h"

#include <arrow/io/memory.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "table/footer.h"
#include "tests/cpp/lake.h"

namespace headrace::table {
namespace {

using headrace::testing::Check;

std::shared_ptr<parquet::FileMetaData> MakeMetadata() {
  const headrace::testing::TempDir dir;
  headrace::testing::WriteParquet(dir / "a.parquet", headrace::testing::Numbers(0, 1));
  const std::string bytes = headrace::testing::ReadWholeFile(dir / "a.parquet");
  arrow::io::BufferReader file(arrow::Buffer::FromString(bytes));
  return Check(ReadFooter(file, static_cast<int64_t>(bytes.size()), "a")).metadata;
}

class FooterCacheTest : public ::testing::Test {
 protected:
  // What a cache holds of the footers 0 ... 9.
  static std::vector<int64_t> Held(FooterCache& cache) {
    std::vector<int64_t> held;
    for (int64_t f = 0; f < 10; ++f) {
      if (cache.Get(f) != nullptr) held.push_back(f);
    }
    return held;
  }

  // Bytes that a footer of so many serialized bytes is counted as.
  int64_t CountedBytes(int64_t serialized) {
    FooterCache cache(int64_t{1} << 40);
    cache.Put(0, metadata_, serialized);
    return cache.bytes_used();
  }

  std::shared_ptr<parquet::FileMetaData> metadata_ = MakeMetadata();
};

TEST_F(FooterCacheTest, AnEmptyOneHoldsNothing) {
  FooterCache cache(1000);
  EXPECT_EQ(cache.Get(0), nullptr);
  EXPECT_EQ(cache.bytes_used(), 0);
}

TEST_F(FooterCacheTest, GivesWhatWasPut) {
  FooterCache cache(CountedBytes(100));
  cache.Put(7, metadata_, 100);
  EXPECT_EQ(cache.Get(7), metadata_);
  EXPECT_EQ(cache.Get(8), nullptr);
}

TEST_F(FooterCacheTest, CountsMoreThanTheSerializedBytes) {
  EXPECT_GE(CountedBytes(100), 100);
  EXPECT_EQ(CountedBytes(300), 3 * CountedBytes(100));
}

TEST_F(FooterCacheTest, DropsTheLeastRecentlyUsed) {
  FooterCache cache(3 * CountedBytes(100));
  for (int64_t f = 0; f < 3; ++f) cache.Put(f, metadata_, 100);
  ASSERT_NE(cache.Get(0), nullptr);  // now 1 is the oldest
  cache.Put(3, metadata_, 100);
  EXPECT_THAT(Held(cache), ::testing::ElementsAre(0, 2, 3));
}

TEST_F(FooterCacheTest, DropsAsManyAsALargeOneNeeds) {
  FooterCache cache(3 * CountedBytes(100));
  for (int64_t f = 0; f < 3; ++f) cache.Put(f, metadata_, 100);
  cache.Put(3, metadata_, 200);
  EXPECT_THAT(Held(cache), ::testing::ElementsAre(2, 3));
  EXPECT_EQ(cache.bytes_used(), 3 * CountedBytes(100));
}

TEST_F(FooterCacheTest, NeverUsesMoreThanItsBudget) {
  const int64_t budget = CountedBytes(1000) + 1;
  FooterCache cache(budget);
  for (int64_t i = 0; i < 2000; ++i) {
    cache.Put(i % 37, metadata_, 1 + i * 7919 % 700);
    ASSERT_LE(cache.bytes_used(), budget);
    cache.Get(i % 11);
  }
  EXPECT_GT(cache.bytes_used(), 0);
}

TEST_F(FooterCacheTest, ExactlyTheBudgetIsHeld) {
  FooterCache cache(CountedBytes(100));
  cache.Put(0, metadata_, 100);
  EXPECT_NE(cache.Get(0), nullptr);
}

TEST_F(FooterCacheTest, OneThatIsLargerThanTheBudgetIsNotHeldAndDropsNothing) {
  FooterCache cache(CountedBytes(100));
  cache.Put(0, metadata_, 100);
  cache.Put(1, metadata_, 101);
  EXPECT_THAT(Held(cache), ::testing::ElementsAre(0));
}

TEST_F(FooterCacheTest, WithoutABudgetHoldsNothing) {
  FooterCache cache(0);
  cache.Put(0, metadata_, 100);
  EXPECT_EQ(cache.Get(0), nullptr);
  EXPECT_EQ(cache.bytes_used(), 0);
}

TEST_F(FooterCacheTest, TheSameTwiceCountsOnce) {
  FooterCache cache(10 * CountedBytes(100));
  cache.Put(0, metadata_, 100);
  cache.Put(0, metadata_, 100);
  EXPECT_EQ(cache.bytes_used(), CountedBytes(100));
}

TEST_F(FooterCacheTest, WhatWasDroppedStaysAliveForThoseWhoHaveIt) {
  FooterCache cache(CountedBytes(100));
  cache.Put(0, MakeMetadata(), 100);
  const auto held = cache.Get(0);
  cache.Put(1, metadata_, 100);
  EXPECT_EQ(cache.Get(0), nullptr);
  EXPECT_EQ(held->num_rows(), 1);
}

TEST_F(FooterCacheTest, ThreadsMayShareIt) {
  const int64_t budget = 5 * CountedBytes(100);
  FooterCache cache(budget);
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < 2000; ++i) {
        const int64_t fragment = (i * 7 + t) % 13;
        if (auto held = cache.Get(fragment)) {
          ASSERT_EQ(held, metadata_);
        } else {
          cache.Put(fragment, metadata_, 100);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(cache.bytes_used(), budget);
}

}  // namespace
}  // namespace headrace::table
