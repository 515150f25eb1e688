#include "gang/wire.h"

#include <bit>
#include <cstring>

namespace headrace::gang {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kHeaderBytes = 1 + sizeof(uint64_t);

// REQUIRES: it is there.
uint64_t NumberAt(std::string_view bytes, size_t at) {
  uint64_t value = 0;
  std::memcpy(&value, &bytes[at], sizeof(value));
  return value;
}

}  // namespace

FrameWriter::FrameWriter(FrameType type) : frame_(kHeaderBytes, '\0') {
  frame_[0] = static_cast<char>(type);
}

FrameWriter& FrameWriter::Number(uint64_t value) {
  frame_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  return *this;
}

FrameWriter& FrameWriter::Bytes(std::string_view value) {
  Number(value.size());
  frame_.append(value);
  return *this;
}

std::string FrameWriter::Finish() {
  const uint64_t length = frame_.size() - kHeaderBytes;
  std::memcpy(frame_.data() + 1, &length, sizeof(length));
  return std::move(frame_);
}

uint64_t FrameReader::Number() {
  if (rest_.size() < sizeof(uint64_t)) {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  const uint64_t value = NumberAt(rest_, 0);
  rest_.remove_prefix(sizeof(value));
  return value;
}

std::string_view FrameReader::Bytes() {
  const uint64_t length = Number();
  if (rest_.size() < length) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  const std::string_view value = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return value;
}

Result<std::optional<Frame>> FrameBuffer::Next(uint64_t bytes_max) {
  const size_t there = bytes_.size() - begin_;
  if (there < kHeaderBytes) return std::nullopt;
  const uint64_t length = NumberAt(bytes_, begin_ + 1);
  if (length > bytes_max) {
    return Error(ErrorKind::kCorrupt, "a frame of " + std::to_string(length) +
                                          " bytes, expected at most " +
                                          std::to_string(bytes_max));
  }
  if (there - kHeaderBytes < length) {
    if (begin_ > 0) {
      bytes_.erase(0, begin_);
      begin_ = 0;
    }
    return std::nullopt;
  }
  Frame frame{static_cast<FrameType>(bytes_[begin_]),
              bytes_.substr(begin_ + kHeaderBytes, length)};
  begin_ += kHeaderBytes + length;
  if (begin_ == bytes_.size()) {
    bytes_.clear();
    begin_ = 0;
  }
  return frame;
}

}  // namespace headrace::gang
