#include "reader/chunk_cache.h"

#include <arrow/io/memory.h>
#include <arrow/util/thread_pool.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/memory_budget.h"
#include "tests/cpp/lake.h"

namespace headrace::reader {
namespace {

using headrace::testing::Check;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// 1,000 bytes, each its offset; counts the reads.
class CountingBytes : public arrow::io::RandomAccessFile {
 public:
  CountingBytes() : bytes_(1000, '\0') {
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(i);
    file_ = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(bytes_));
  }

  arrow::Status Close() override { return file_->Close(); }
  bool closed() const override { return file_->closed(); }
  arrow::Result<int64_t> Tell() const override { return file_->Tell(); }
  arrow::Status Seek(int64_t position) override { return file_->Seek(position); }
  arrow::Result<int64_t> GetSize() override { return file_->GetSize(); }
  arrow::Result<int64_t> Read(int64_t nbytes, void* out) override {
    return file_->Read(nbytes, out);
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t nbytes) override {
    return file_->Read(nbytes);
  }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t nbytes, void* out) override {
    ++reads;
    if (position >= held_from) opened.wait();
    if (failing) return arrow::Status::IOError("no more");
    return file_->ReadAt(position, nbytes, out);
  }
  using RandomAccessFile::ReadAt;

  std::atomic<int> reads{0};
  std::atomic<bool> failing = false;
  // Reads from here on wait until it is opened.
  int64_t held_from = 2000;
  std::latch opened{1};

 private:
  std::string bytes_;
  std::shared_ptr<arrow::io::BufferReader> file_;
};

std::vector<int64_t> Sizes(const ChunkCache::Blocks& blocks) {
  std::vector<int64_t> sizes;
  for (const auto& block : blocks) sizes.push_back(block->range.size);
  return sizes;
}

TEST(ChunkCacheTest, ReadsNeighboursAtOnceAndEachByteOnce) {
  const auto file = std::make_shared<CountingBytes>();
  ChunkCache cache(1000, arrow::default_memory_pool());
  EXPECT_THAT(Sizes(Check(cache.Get(0, {{100, 50}}, file))), ElementsAre(50));
  EXPECT_EQ(file->reads, 1);
  const auto blocks =
      Check(cache.Get(0, {{200, 50}, {100, 50}, {150, 50}, {400, 10}}, file));
  EXPECT_THAT(Sizes(blocks), ElementsAre(50, 100, 10));
  EXPECT_EQ(file->reads, 3);
  EXPECT_THAT(Check(cache.Get(0, {{160, 30}, {400, 10}}, file)), SizeIs(2));
  EXPECT_EQ(file->reads, 3);
  EXPECT_THAT(Check(cache.Get(1, {{100, 50}}, file)), SizeIs(1));  // another file
  EXPECT_EQ(file->reads, 4);
}

TEST(ChunkCacheTest, LetsTheLeastRecentlyUsedGoUnlessItIsRead) {
  const auto file = std::make_shared<CountingBytes>();
  ChunkCache cache(100, arrow::default_memory_pool());
  const auto held = Check(cache.Get(0, {{0, 40}}, file));
  EXPECT_THAT(Check(cache.Get(0, {{100, 40}}, file)), SizeIs(1));
  EXPECT_THAT(Check(cache.Get(0, {{200, 40}}, file)), SizeIs(1));  // 100 goes
  EXPECT_THAT(Check(cache.Get(0, {{300, 80}}, file)), IsEmpty());  // 0 is held
  EXPECT_THAT(Check(cache.Get(0, {{0, 40}}, file)), SizeIs(1));
  EXPECT_EQ(file->reads, 3);
}

TEST(ChunkCacheTest, KeepsWhatAnotherReaderWillComeForUntilNothingElseIsLeftToGo) {
  const auto file = std::make_shared<CountingBytes>();
  ChunkCache cache(100, arrow::default_memory_pool());
  Check(cache.Get(0, {{0, 40}}, file, /*keep=*/true));
  Check(cache.Get(0, {{100, 40}}, file));
  Check(cache.Get(0, {{200, 40}}, file));  // 100 goes, which was used after 0
  EXPECT_EQ(file->reads, 3);
  Check(cache.Get(0, {{0, 40}}, file));  // who was to come: kept no longer
  EXPECT_EQ(file->reads, 3);
  Check(cache.Get(0, {{200, 40}}, file));
  Check(cache.Get(0, {{300, 40}}, file));  // 0 goes
  Check(cache.Get(0, {{200, 40}}, file));
  EXPECT_EQ(file->reads, 4);
  Check(cache.Get(0, {{300, 40}}, file, /*keep=*/true));
  EXPECT_THAT(Check(cache.Get(0, {{400, 90}}, file)), SizeIs(1));  // all go
}

TEST(ChunkCacheTest, ServesBlocksFromMemoryAndTheRestFromTheFile) {
  auto file = std::make_shared<CountingBytes>();
  ChunkCache cache(1000, arrow::default_memory_pool());
  CachedFile both(&cache, 0, file, file);
  EXPECT_TRUE(Check(both.Hold({{100, 100}})));
  uint8_t out[20];
  EXPECT_EQ(Check(both.ReadAt(150, 20, out)), 20);
  EXPECT_EQ(out[0], 150);
  EXPECT_EQ((*Check(both.ReadAt(180, 20)))[19], 199);
  EXPECT_EQ(file->reads, 1);
  EXPECT_EQ(Check(both.ReadAt(190, 20, out)), 20);  // beyond the block
  EXPECT_EQ(out[0], 190);
  EXPECT_EQ(out[19], 209);
  EXPECT_EQ(file->reads, 2);
  EXPECT_EQ(Check(both.ReadAt(190, 20))->size(), 20);
}

TEST(ChunkCacheTest, ReadsOnlyWhatOthersHaveNotRead) {
  auto file = std::make_shared<CountingBytes>();
  ChunkCache cache(800, arrow::default_memory_pool());
  EXPECT_THAT(Sizes(Check(cache.Get(0, {{140, 60}}, file))), ElementsAre(60));
  CachedFile whole(&cache, 0, file, file);
  EXPECT_TRUE(Check(whole.Hold({{100, 150}})));
  EXPECT_EQ(file->reads, 3);  // before and behind
  uint8_t out[150];
  EXPECT_EQ(Check(whole.ReadAt(100, 150, out)), 150);
  for (int i = 0; i < 150; ++i) EXPECT_EQ(out[i], 100 + i);
  EXPECT_EQ(file->reads, 3);
  EXPECT_FALSE(Check(whole.Hold({{0, 900}})));  // more than fits beside what is held
}

TEST(ChunkCacheTest, FailuresAreToldAndNotKept) {
  const auto file = std::make_shared<CountingBytes>();
  ChunkCache cache(1000, arrow::default_memory_pool());
  file->failing = true;
  EXPECT_TRUE(cache.Get(0, {{0, 10}, {50, 10}}, file).status().IsIOError());
  file->failing = false;
  EXPECT_THAT(Check(cache.Get(0, {{0, 10}, {50, 10}}, file)), SizeIs(2));
  EXPECT_THAT(Check(cache.Get(0, {{990, 20}}, file)), IsEmpty());  // the file ends
}

TEST(ChunkCacheTest, DoesWithoutMemoryThatIsNotThere) {
  const auto file = std::make_shared<CountingBytes>();
  base::MemoryBudget budget(arrow::default_memory_pool(), 64);
  ChunkCache cache(1000, &budget);
  EXPECT_THAT(Check(cache.Get(0, {{0, 500}}, file)), IsEmpty());
  EXPECT_EQ(budget.bytes_allocated(), 0);
}

TEST(ChunkCacheTest, ManyThreadsReadEachByteOnce) {
  const auto file = std::make_shared<CountingBytes>();
  ChunkCache cache(1000, arrow::default_memory_pool());
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int64_t at = 0; at < 1000; at += 20) {
        EXPECT_THAT(Check(cache.Get(0, {{at, 10}}, file)), SizeIs(1));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(file->reads, 50);
}

ChunkCache::Background InParts(
    base::Timeline* timeline,
    arrow::internal::Executor* executor = arrow::io::default_io_context().executor()) {
  return {executor, timeline, /*part_bytes=*/100};
}

/// Threads that come to nothing until they are told to.
class Busy : public arrow::internal::Executor {
 public:
  int GetCapacity() override { return 1; }
  void Run() {
    for (auto& task : std::exchange(tasks_, {})) std::move(task)();
  }

 protected:
  arrow::Status SpawnReal(arrow::internal::TaskHints,
                          arrow::internal::FnOnce<void()> task, arrow::StopToken,
                          StopCallback&&) override {
    tasks_.push_back(std::move(task));
    return arrow::Status::OK();
  }

 private:
  std::vector<arrow::internal::FnOnce<void()>> tasks_;
};

TEST(ChunkCacheTest, GivesWhatIsThereWhileTheRestIsReadInTheBackground) {
  const auto file = std::make_shared<CountingBytes>();
  file->held_from = 200;
  base::Timeline timeline;
  ChunkCache cache(1000, arrow::default_memory_pool(), InParts(&timeline));
  CachedFile both(&cache, 0, file, file);
  EXPECT_TRUE(Check(both.Hold({{0, 350}, {600, 50}})));
  uint8_t out[350];
  EXPECT_EQ(Check(both.ReadAt(0, 200, out)), 200);  // others still wait
  EXPECT_EQ(out[150], 150);
  file->opened.count_down();
  EXPECT_EQ(Check(both.ReadAt(0, 350, out)), 350);
  EXPECT_EQ(out[349], 349 - 256);
  EXPECT_EQ(Check(both.ReadAt(600, 50, out)), 50);
  EXPECT_EQ(file->reads, 5);  // four parts of the first block, one of the second
}

TEST(ChunkCacheTest, WhoNeedsAPartThatNobodyHasBegunReadsIt) {
  const auto file = std::make_shared<CountingBytes>();
  base::Timeline timeline;
  Busy busy;
  ChunkCache cache(1000, arrow::default_memory_pool(), InParts(&timeline, &busy));
  CachedFile held(&cache, 0, file, file);
  EXPECT_TRUE(Check(held.Hold({{0, 350}})));
  EXPECT_EQ(file->reads, 0);
  uint8_t out[10];
  EXPECT_EQ(Check(held.ReadAt(195, 10, out)), 10);
  EXPECT_EQ(out[9], 204);
  EXPECT_EQ(file->reads, 2);
  busy.Run();
  EXPECT_EQ(file->reads, 4);  // the other two
}

TEST(ChunkCacheTest, WhatNobodyNeedsAnyMoreIsNotRead) {
  const auto file = std::make_shared<CountingBytes>();
  base::Timeline timeline;
  Busy busy;
  ChunkCache cache(1000, arrow::default_memory_pool(), InParts(&timeline, &busy));
  {
    CachedFile left(&cache, 0, file, file);
    EXPECT_TRUE(Check(left.Hold({{0, 350}})));
  }
  busy.Run();
  EXPECT_EQ(file->reads, 0);
  CachedFile anew(&cache, 0, file, file);
  EXPECT_TRUE(Check(anew.Hold({{0, 350}})));
  busy.Run();
  EXPECT_EQ(file->reads, 4);
}

TEST(ChunkCacheTest, LetsGoOfWhatOnlyTasksThatComeTooLateHold) {
  const auto file = std::make_shared<CountingBytes>();
  base::Timeline timeline;
  Busy busy;
  ChunkCache cache(400, arrow::default_memory_pool(), InParts(&timeline, &busy));
  {
    CachedFile read(&cache, 0, file, file);
    EXPECT_TRUE(Check(read.Hold({{0, 350}})));
    uint8_t out[350];
    EXPECT_EQ(Check(read.ReadAt(0, 350, out)), 350);
    EXPECT_EQ(file->reads, 4);  // by who needs them
  }
  CachedFile next(&cache, 0, file, file);
  EXPECT_TRUE(Check(next.Hold({{500, 350}})));
  busy.Run();
  EXPECT_EQ(file->reads, 8);
}

TEST(ChunkCacheTest, WhatFailsInTheBackgroundIsToldToAllWhoNeedIt) {
  const auto file = std::make_shared<CountingBytes>();
  base::Timeline timeline;
  Busy busy;
  ChunkCache cache(1000, arrow::default_memory_pool(), InParts(&timeline, &busy));
  CachedFile one(&cache, 0, file, file);
  CachedFile other(&cache, 0, file, file);
  EXPECT_TRUE(Check(one.Hold({{0, 150}})));
  EXPECT_TRUE(Check(other.Hold({{0, 150}})));
  file->failing = true;
  busy.Run();
  EXPECT_EQ(file->reads, 1);  // after which the rest is left to who needs it
  uint8_t out[10];
  EXPECT_TRUE(one.ReadAt(0, 10, out).status().IsIOError());
  EXPECT_TRUE(other.ReadAt(0, 10).status().IsIOError());
  EXPECT_EQ(file->reads, 1);
  file->failing = false;
  CachedFile anew(&cache, 0, file, file);
  EXPECT_TRUE(Check(anew.Hold({{0, 150}})));
  EXPECT_EQ(Check(anew.ReadAt(100, 10, out)), 10);
  EXPECT_EQ(out[0], 100);
  busy.Run();
}

TEST(ChunkCacheTest, WhatTheFileLacksIsReadPastTheCache) {
  const auto file = std::make_shared<CountingBytes>();
  base::Timeline timeline;
  Busy busy;
  ChunkCache cache(1000, arrow::default_memory_pool(), InParts(&timeline, &busy));
  CachedFile held(&cache, 0, file, file);
  EXPECT_TRUE(Check(held.Hold({{900, 150}})));
  uint8_t out[150];
  EXPECT_EQ(Check(held.ReadAt(900, 150, out)), 100);
  EXPECT_EQ(out[99], 999 % 256);
  busy.Run();
}

TEST(ChunkCacheTest, WhatFailedCountsAsLongAsItIsHeld) {
  const auto file = std::make_shared<CountingBytes>();
  base::Timeline timeline;
  Busy busy;
  ChunkCache cache(100, arrow::default_memory_pool(), InParts(&timeline, &busy));
  {
    const auto held = Check(cache.Get(0, {{0, 20}}, file));
    file->failing = true;
    busy.Run();
    file->failing = false;
    EXPECT_THAT(Check(cache.Get(0, {{0, 90}}, file)), IsEmpty());
  }
  EXPECT_THAT(Sizes(Check(cache.Get(0, {{0, 90}}, file))), ElementsAre(90));
  busy.Run();
}

TEST(ChunkCacheTest, EndsWithItsReads) {
  const auto file = std::make_shared<CountingBytes>();
  base::MemoryBudget budget(arrow::default_memory_pool(), 1000);
  base::Timeline timeline;
  {
    ChunkCache cache(1000, &budget, InParts(&timeline));
    EXPECT_THAT(Check(cache.Get(0, {{0, 900}}, file)), SizeIs(1));
  }
  EXPECT_EQ(budget.bytes_allocated(), 0);
}

TEST(ChunkCacheTest, ReadersAndThreadsInTheBackgroundShareTheWork) {
  const auto file = std::make_shared<CountingBytes>();
  base::Timeline timeline;
  base::MemoryBudget budget(arrow::default_memory_pool(), 400);
  {
    ChunkCache cache(400, &budget, InParts(&timeline));
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int64_t at = 0; at < 700; at += 100) {
          const int64_t begin = t % 2 == 0 ? at : at + 50;
          CachedFile reader(&cache, 0, file, file);
          Check(reader.Hold({{begin, 250}}).status());
          uint8_t out[250];
          EXPECT_EQ(Check(reader.ReadAt(begin, 250, out)), 250);
          for (int i = 0; i < 250; ++i) {
            EXPECT_EQ(out[i], static_cast<uint8_t>(begin + i));
          }
        }
      });
    }
  }
  EXPECT_EQ(budget.bytes_allocated(), 0);
}

}  // namespace
}  // namespace headrace::reader
