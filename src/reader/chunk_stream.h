/// \file
/// The bytes of a column chunk, in order, through one small buffer.
#pragma once

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/memory_pool.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace headrace::reader {

/// Bytes [offset, offset + size) of a file.
struct ByteRange {
  int64_t offset = 0;
  int64_t size = 0;
};

/// Reads byte ranges of a file one after the other, as page readers want them. Holds
/// `buffer_bytes`, or as much as the largest Peek; reads beyond that go straight to where
/// they are wanted, and a smaller read that asks for memory gets a part of the buffer,
/// after which another is filled. (Arrow's BufferedInputStream grows with every Peek
/// until it is empty, so it comes to hold a whole chunk of small pages.)
///
/// Not thread-safe.
class ChunkStream : public arrow::io::InputStream {
 public:
  ChunkStream(std::shared_ptr<arrow::io::RandomAccessFile> file,
              std::vector<ByteRange> ranges, int64_t buffer_bytes,
              arrow::MemoryPool* pool);

  arrow::Status Close() override;
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Result<int64_t> Read(int64_t nbytes, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t nbytes) override;
  arrow::Result<std::string_view> Peek(int64_t nbytes) override;

 private:
  int64_t buffered() const { return end_ - begin_; }
  /// Bytes of all ranges that are not in the buffer yet.
  int64_t Unread() const;
  /// Reads the next `nbytes` of the ranges to `out`, past the buffer.
  arrow::Status ReadRanges(int64_t nbytes, uint8_t* out);
  /// Makes the buffer hold at least `nbytes`, or all that is left.
  arrow::Status Fill(int64_t nbytes);

  std::shared_ptr<arrow::io::RandomAccessFile> file_;
  std::vector<ByteRange> ranges_;  // what is unread; the first is being read
  const int64_t buffer_bytes_;
  arrow::MemoryPool* pool_;
  std::shared_ptr<arrow::Buffer> buffer_;
  bool lent_ = false;  // others may hold parts of the buffer
  int64_t begin_ = 0;
  int64_t end_ = 0;
  int64_t position_ = 0;
  bool closed_ = false;
};

}  // namespace headrace::reader
