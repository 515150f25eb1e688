/// \file
/// Bytes of column chunks that several readers want, read once and in long ranges.
#pragma once

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/memory_pool.h>
#include <headrace/result.h>

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "reader/chunk_stream.h"

namespace headrace::reader {

/// Under a filter few row groups are left, which all streams begin in, and which are read
/// to count survivors and again to deliver them. The cache keeps what was read of them,
/// the least recently used going first, and reads chunks that lie side by side at once.
///
/// Thread-safe.
class ChunkCache {
 public:
  /// A range of a file that is in memory.
  struct Block {
    int64_t fragment = 0;
    ByteRange range;
    std::shared_ptr<arrow::Buffer> bytes;  // null while it is read, or if that failed
    bool loading = true;
  };
  using Blocks = std::vector<std::shared_ptr<const Block>>;

  /// Holds at most `capacity` bytes, of `pool`.
  ChunkCache(int64_t capacity, arrow::MemoryPool* pool)
      : capacity_(capacity), pool_(pool) {}

  /// Blocks that have the chunks of a file, as far as they fit; what is missing is read.
  /// Errors are those of reading.
  Result<Blocks> Get(int64_t fragment, const std::vector<ByteRange>& chunks,
                     arrow::io::RandomAccessFile* file);

 private:
  std::shared_ptr<Block> Find(int64_t fragment, const ByteRange& chunk);
  /// Lets go of blocks that nobody reads until `bytes` more fit; false if they cannot.
  bool MakeRoom(int64_t bytes);
  void Drop(const std::shared_ptr<Block>& block);
  Status Load(const std::shared_ptr<Block>& block, arrow::io::RandomAccessFile* file);

  const int64_t capacity_;
  arrow::MemoryPool* const pool_;
  std::mutex mutex_;
  std::condition_variable loaded_;
  std::list<std::shared_ptr<Block>> blocks_;  // the least recently used first
  int64_t bytes_ = 0;
};

/// A file, of which blocks are read from memory.
std::shared_ptr<arrow::io::RandomAccessFile> WithBlocks(
    std::shared_ptr<arrow::io::RandomAccessFile> file, ChunkCache::Blocks blocks);

}  // namespace headrace::reader
