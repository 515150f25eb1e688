#include "reader/chunk_cache.h"

#include <arrow/io/memory.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

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
    if (failing) return arrow::Status::IOError("no more");
    return file_->ReadAt(position, nbytes, out);
  }
  using RandomAccessFile::ReadAt;

  std::atomic<int> reads{0};
  bool failing = false;

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
  CountingBytes file;
  ChunkCache cache(1000, arrow::default_memory_pool());
  EXPECT_THAT(Sizes(Check(cache.Get(0, {{100, 50}}, &file))), ElementsAre(50));
  EXPECT_EQ(file.reads, 1);
  const auto blocks =
      Check(cache.Get(0, {{200, 50}, {100, 50}, {150, 50}, {400, 10}}, &file));
  EXPECT_THAT(Sizes(blocks), ElementsAre(50, 100, 10));
  EXPECT_EQ(file.reads, 3);
  EXPECT_THAT(Check(cache.Get(0, {{160, 30}, {400, 10}}, &file)), SizeIs(2));
  EXPECT_EQ(file.reads, 3);
  EXPECT_THAT(Check(cache.Get(1, {{100, 50}}, &file)), SizeIs(1));  // another file
  EXPECT_EQ(file.reads, 4);
}

TEST(ChunkCacheTest, LetsTheLeastRecentlyUsedGoUnlessItIsRead) {
  CountingBytes file;
  ChunkCache cache(100, arrow::default_memory_pool());
  const auto held = Check(cache.Get(0, {{0, 40}}, &file));
  EXPECT_THAT(Check(cache.Get(0, {{100, 40}}, &file)), SizeIs(1));
  EXPECT_THAT(Check(cache.Get(0, {{200, 40}}, &file)), SizeIs(1));  // 100 goes
  EXPECT_THAT(Check(cache.Get(0, {{300, 80}}, &file)), IsEmpty());  // 0 is held
  EXPECT_THAT(Check(cache.Get(0, {{0, 40}}, &file)), SizeIs(1));
  EXPECT_EQ(file.reads, 3);
}

TEST(ChunkCacheTest, ServesBlocksFromMemoryAndTheRestFromTheFile) {
  auto file = std::make_shared<CountingBytes>();
  ChunkCache cache(1000, arrow::default_memory_pool());
  const auto both = WithBlocks(file, Check(cache.Get(0, {{100, 100}}, file.get())));
  uint8_t out[20];
  EXPECT_EQ(Check(both->ReadAt(150, 20, out)), 20);
  EXPECT_EQ(out[0], 150);
  EXPECT_EQ((*Check(both->ReadAt(180, 20)))[19], 199);
  EXPECT_EQ(file->reads, 1);
  EXPECT_EQ(Check(both->ReadAt(190, 20, out)), 20);  // beyond the block
  EXPECT_EQ(out[19], 209);
  EXPECT_EQ(file->reads, 2);
}

TEST(ChunkCacheTest, FailuresAreToldAndNotKept) {
  CountingBytes file;
  ChunkCache cache(1000, arrow::default_memory_pool());
  file.failing = true;
  EXPECT_TRUE(cache.Get(0, {{0, 10}, {50, 10}}, &file).status().IsIOError());
  file.failing = false;
  EXPECT_THAT(Check(cache.Get(0, {{0, 10}, {50, 10}}, &file)), SizeIs(2));
  EXPECT_THAT(Check(cache.Get(0, {{990, 20}}, &file)), IsEmpty());  // the file ends
}

TEST(ChunkCacheTest, DoesWithoutMemoryThatIsNotThere) {
  CountingBytes file;
  base::MemoryBudget budget(arrow::default_memory_pool(), 64);
  ChunkCache cache(1000, &budget);
  EXPECT_THAT(Check(cache.Get(0, {{0, 500}}, &file)), IsEmpty());
  EXPECT_EQ(budget.bytes_allocated(), 0);
}

TEST(ChunkCacheTest, ManyThreadsReadEachByteOnce) {
  CountingBytes file;
  ChunkCache cache(1000, arrow::default_memory_pool());
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int64_t at = 0; at < 1000; at += 20) {
        EXPECT_THAT(Check(cache.Get(0, {{at, 10}}, &file)), SizeIs(1));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(file.reads, 50);
}

}  // namespace
}  // namespace headrace::reader
