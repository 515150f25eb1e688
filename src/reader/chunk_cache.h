/// \file
/// Bytes of column chunks that several readers want, read once and in long ranges.
#pragma once

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/memory_pool.h>
#include <arrow/util/type_fwd.h>
#include <headrace/result.h>

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/timeline.h"
#include "reader/chunk_stream.h"

namespace headrace::reader {

/// Under a filter few row groups are left, which all streams begin in, and which are read
/// to count survivors and again to deliver them. The cache keeps what was read of them,
/// the least recently used going first, and reads chunks that lie side by side at once.
///
/// Where storage is far, a call takes long whatever it reads: there the cache has what it
/// lacks read in the background, in parts, many at a time, while those that are there are
/// decoded. Who comes to a part that nobody has begun reads it, and so never depends on
/// threads that may be busy with others.
///
/// Thread-safe.
class ChunkCache {
 public:
  /// A range of a file that is, or comes to be, in memory.
  struct Block {
    enum class Part : uint8_t { kLoading, kWaiting, kThere, kFailed };

    int64_t fragment = 0;
    ByteRange range;
    std::shared_ptr<arrow::Buffer> bytes;  // there before any part is not kLoading
    std::vector<Part> parts;
    Status failure;       // of the first part that failed, if it was not a lack of bytes
    bool failed = false;  // is not given to others any more
    bool kept = false;    // for a reader that is still to come
    int64_t tasks = 0;    // of the executor, which hold the block
  };
  using Blocks = std::vector<std::shared_ptr<Block>>;
  using File = std::shared_ptr<arrow::io::RandomAccessFile>;

  /// How blocks are read in the background.
  struct Background {
    /// Of threads that may wait for storage; null: who asks for a block reads it.
    arrow::internal::Executor* executor = nullptr;
    /// Gets the waiting of those that need what is not there yet.
    base::Timeline* timeline = nullptr;
    int64_t part_bytes = 0;
  };

  /// Holds at most `capacity` bytes, of `pool`.
  ChunkCache(int64_t capacity, arrow::MemoryPool* pool)
      : ChunkCache(capacity, pool, Background()) {}
  ChunkCache(int64_t capacity, arrow::MemoryPool* pool, const Background& background)
      : capacity_(capacity), pool_(pool), background_(background) {}
  /// Waits for reads that have begun; those that have not are not made.
  ~ChunkCache();

  int64_t capacity() const { return capacity_; }
  bool in_background() const { return background_.executor != nullptr; }

  /// Blocks that hold ranges of a file, each byte in one, as far as they fit; what is
  /// missing is read from `file`. `keep`: another reader will come for them, so that they
  /// go last. Errors are those of reading, but for what is read in the background: those
  /// are Wait's.
  Result<Blocks> Get(int64_t fragment, const std::vector<ByteRange>& ranges,
                     const File& file, bool keep = false);
  /// Waits for bytes of a block, or reads them from `file`; false if there are none,
  /// which whoever reads past the cache will see.
  Result<bool> Wait(const std::shared_ptr<Block>& block, const ByteRange& bytes,
                    arrow::io::RandomAccessFile* file);

 private:
  /// The block that has a byte; else null, and `*next` is where the next one begins, if
  /// that is before it.
  std::shared_ptr<Block> Find(int64_t fragment, int64_t offset, int64_t* next);
  std::shared_ptr<Block> Add(int64_t fragment, const ByteRange& range);
  /// Lets go of blocks that nobody reads until `bytes` more fit, of those that are kept
  /// after all others; false if they cannot.
  bool MakeRoom(int64_t bytes);
  /// Lets go of blocks that nobody reads and that are kept, or are not, the least
  /// recently used first, until `bytes` more fit.
  void LetGo(int64_t bytes, bool kept);
  /// Notes that nothing of a block will come.
  void Drop(const std::shared_ptr<Block>& block);
  /// Reads a block, or has it read in the background. Not under mutex_.
  Status Load(const std::shared_ptr<Block>& block, const File& file);
  /// Reads a part that this thread has made kLoading. Not under mutex_.
  Status LoadPart(const std::shared_ptr<Block>& block, size_t part,
                  arrow::io::RandomAccessFile* file);
  /// Whether a thread in the background is to read a part, which it then has to.
  bool Take(const std::shared_ptr<Block>& block, size_t part);
  void LoadInBackground(const std::shared_ptr<Block>& block, size_t part,
                        const File& file);
  ByteRange RangeOf(const Block& block, size_t part) const;
  int64_t PartBytes(const Block& block) const {
    return in_background() ? background_.part_bytes : block.range.size;
  }

  const int64_t capacity_;
  arrow::MemoryPool* const pool_;
  const Background background_;
  std::mutex mutex_;
  std::condition_variable loaded_;
  int64_t in_flight_ = 0;  // parts that the executor has
  bool ending_ = false;
  std::list<std::shared_ptr<Block>> blocks_;  // the least recently used first
  int64_t bytes_ = 0;
};

/// A file, of which what is held is read from memory, by way of a cache that outlives its
/// reads. Not thread-safe.
class CachedFile : public arrow::io::RandomAccessFile {
 public:
  /// `ahead` is the same file, as the cache is to read it.
  CachedFile(ChunkCache* cache, int64_t fragment, ChunkCache::File file,
             ChunkCache::File ahead)
      : cache_(cache),
        fragment_(fragment),
        file_(std::move(file)),
        ahead_(std::move(ahead)) {}

  /// Has the cache hold ranges, and keep them if others will come; false if not all fit.
  Result<bool> Hold(const std::vector<ByteRange>& ranges, bool keep = false);

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
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t nbytes, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position,
                                                       int64_t nbytes) override;

 private:
  std::shared_ptr<ChunkCache::Block> Holding(int64_t offset, int64_t* next) const;

  ChunkCache* cache_;
  int64_t fragment_;
  ChunkCache::File file_;
  ChunkCache::File ahead_;
  ChunkCache::Blocks blocks_;
};

}  // namespace headrace::reader
