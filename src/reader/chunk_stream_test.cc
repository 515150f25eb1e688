#include "reader/chunk_stream.h"

#include <arrow/io/memory.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "base/memory_budget.h"

namespace headrace::reader {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kBuffer = 16;

class ChunkStreamTest : public ::testing::Test {
 protected:
  ChunkStreamTest() : bytes_(1000, '\0') {
    std::iota(bytes_.begin(), bytes_.end(), static_cast<char>(1));
    file_ = std::make_shared<arrow::io::BufferReader>(
        std::make_shared<arrow::Buffer>(bytes_));
  }

  ChunkStream Open(std::vector<ByteRange> ranges) {
    return ChunkStream(file_, std::move(ranges), kBuffer, &pool_);
  }

  std::string bytes_;
  std::shared_ptr<arrow::io::RandomAccessFile> file_;
  base::MemoryBudget pool_{arrow::default_memory_pool(), 1 << 20};
};

TEST_F(ChunkStreamTest, GivesTheRangesOneAfterTheOther) {
  const std::string expected = bytes_.substr(10, 7) + bytes_.substr(100, 300);
  for (int64_t step : {1, 3, 15, 16, 17, 400}) {
    ChunkStream stream = Open({{10, 7}, {100, 300}});
    std::string got;
    while (true) {
      auto piece = stream.Read(step).ValueOrDie();
      if (piece->size() == 0) break;
      got += piece->ToString();
      EXPECT_EQ(static_cast<int64_t>(got.size()), stream.Tell().ValueOrDie());
    }
    EXPECT_EQ(expected, got) << "in steps of " << step;
  }
}

TEST_F(ChunkStreamTest, PeeksWithoutMoving) {
  ChunkStream stream = Open({{0, 5}, {50, 60}});
  const std::string expected = bytes_.substr(0, 5) + bytes_.substr(50, 60);
  EXPECT_EQ(expected.substr(0, 8), stream.Peek(8).ValueOrDie());
  EXPECT_EQ(expected.substr(0, 40), stream.Peek(40).ValueOrDie());
  EXPECT_EQ(0, stream.Tell().ValueOrDie());
  EXPECT_EQ(expected.substr(0, 33), stream.Read(33).ValueOrDie()->ToString());
  EXPECT_EQ(expected.substr(33), stream.Peek(1000).ValueOrDie());
  EXPECT_EQ(expected.substr(33), stream.Read(1000).ValueOrDie()->ToString());
  EXPECT_EQ("", stream.Peek(1).ValueOrDie());
}

TEST_F(ChunkStreamTest, HoldsNoMoreThanTheBufferAndTheLargestPeek) {
  ChunkStream stream = Open({{0, 1000}});
  for (int page = 0; page < 90; ++page) {
    ASSERT_TRUE(stream.Peek(20).ok());
    char out[10];
    ASSERT_EQ(10, stream.Read(10, out).ValueOrDie());
  }
  EXPECT_LE(pool_.max_memory(), 128);  // pools round up
  ASSERT_TRUE(stream.Close().ok());
  EXPECT_EQ(0, pool_.bytes_allocated());
}

TEST_F(ChunkStreamTest, LendsPartsOfTheBufferThatLastWhileOthersAreRead) {
  ChunkStream stream = Open({{0, 1000}});
  std::vector<std::shared_ptr<arrow::Buffer>> pages;
  int64_t end = 0;
  for (const int64_t bytes : {3, 9, 0, 12, 15, 500, 1, 8, 452}) {
    ASSERT_EQ(bytes_.substr(static_cast<size_t>(end), 5), stream.Peek(5).ValueOrDie());
    pages.push_back(stream.Read(bytes).ValueOrDie());
    end += bytes;
    EXPECT_EQ(end, stream.Tell().ValueOrDie());
  }
  std::string read;
  for (const auto& page : pages) read += page->ToString();
  EXPECT_EQ(bytes_, read);
}

TEST_F(ChunkStreamTest, IsCorruptWhereTheFileEndsEarly) {
  ChunkStream stream = Open({{990, 30}});
  const auto status = stream.Read(30).status();
  EXPECT_EQ(ErrorKind::kCorrupt, KindOf(status));
  EXPECT_THAT(status.message(), HasSubstr("the file ends at byte 1000, expected 20"));
}

}  // namespace
}  // namespace headrace::reader
