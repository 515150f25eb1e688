#include "reader/chunk_stream.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace headrace::reader {

ChunkStream::ChunkStream(std::shared_ptr<arrow::io::RandomAccessFile> file,
                         std::vector<ByteRange> ranges, int64_t buffer_bytes,
                         arrow::MemoryPool* pool)
    : file_(std::move(file)),
      ranges_(std::move(ranges)),
      buffer_bytes_(buffer_bytes),
      pool_(pool) {}

arrow::Status ChunkStream::Close() {
  closed_ = true;
  buffer_.reset();
  begin_ = end_ = 0;
  ranges_.clear();
  return arrow::Status::OK();
}

int64_t ChunkStream::Unread() const {
  int64_t bytes = 0;
  for (const ByteRange& range : ranges_) bytes += range.size;
  return bytes;
}

arrow::Status ChunkStream::ReadRanges(int64_t nbytes, uint8_t* out) {
  while (nbytes > 0) {
    ByteRange& range = ranges_.front();
    const int64_t wanted = std::min(nbytes, range.size);
    ARROW_ASSIGN_OR_RAISE(const int64_t got, file_->ReadAt(range.offset, wanted, out));
    if (got < wanted) {
      return Error(ErrorKind::kCorrupt,
                   "the file ends at byte " + std::to_string(range.offset + got) +
                       ", expected " + std::to_string(wanted - got) + " bytes more");
    }
    range.offset += got;
    range.size -= got;
    if (range.size == 0) ranges_.erase(ranges_.begin());
    out += got;
    nbytes -= got;
  }
  return arrow::Status::OK();
}

arrow::Status ChunkStream::Fill(int64_t nbytes) {
  nbytes = std::min(nbytes, buffered() + Unread());
  if (nbytes <= buffered()) return arrow::Status::OK();
  const int64_t capacity =
      std::max(std::min(buffer_bytes_, buffered() + Unread()), nbytes);
  if (buffer_ == nullptr || lent_ || buffer_->size() < capacity) {
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> next,
                          arrow::AllocateBuffer(capacity, pool_));
    if (buffered() > 0) {
      std::memcpy(next->mutable_data(), buffer_->data() + begin_,
                  static_cast<size_t>(buffered()));
    }
    buffer_ = std::move(next);
    lent_ = false;
  } else {
    std::memmove(buffer_->mutable_data(), buffer_->data() + begin_,
                 static_cast<size_t>(buffered()));
  }
  uint8_t* const data = buffer_->mutable_data();
  end_ = buffered();
  begin_ = 0;
  const int64_t more = std::min(buffer_->size() - end_, Unread());
  ARROW_RETURN_NOT_OK(ReadRanges(more, data + end_));
  end_ += more;
  return arrow::Status::OK();
}

arrow::Result<std::string_view> ChunkStream::Peek(int64_t nbytes) {
  ARROW_RETURN_NOT_OK(Fill(nbytes));
  if (buffered() == 0) return std::string_view();
  return std::string_view(reinterpret_cast<const char*>(buffer_->data()) + begin_,
                          static_cast<size_t>(std::min(nbytes, buffered())));
}

arrow::Result<int64_t> ChunkStream::Read(int64_t nbytes, void* out) {
  nbytes = std::min(nbytes, buffered() + Unread());
  auto* to = static_cast<uint8_t*>(out);
  int64_t left = nbytes;
  auto take = [&] {
    const int64_t taken = std::min(left, buffered());
    if (taken == 0) return;
    std::memcpy(to, buffer_->data() + begin_, static_cast<size_t>(taken));
    begin_ += taken;
    to += taken;
    left -= taken;
  };
  take();
  if (left >= buffer_bytes_) {
    ARROW_RETURN_NOT_OK(ReadRanges(left, to));
  } else if (left > 0) {
    ARROW_RETURN_NOT_OK(Fill(left));
    take();
  }
  position_ += nbytes;
  return nbytes;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> ChunkStream::Read(int64_t nbytes) {
  nbytes = std::min(nbytes, buffered() + Unread());
  if (nbytes > 0 && nbytes < buffer_bytes_) {
    ARROW_RETURN_NOT_OK(Fill(nbytes));
    lent_ = true;
    auto slice = arrow::SliceBuffer(buffer_, begin_, nbytes);
    begin_ += nbytes;
    position_ += nbytes;
    return slice;
  }
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> bytes,
                        arrow::AllocateBuffer(nbytes, pool_));
  ARROW_RETURN_NOT_OK(Read(nbytes, bytes->mutable_data()).status());
  return bytes;
}

}  // namespace headrace::reader
