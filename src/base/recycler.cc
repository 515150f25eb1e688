#include "base/recycler.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace headrace::base {
namespace {

#if defined(__SANITIZE_ADDRESS__)
// A block that is used again would hide a use after free.
constexpr int64_t kLeastKept = std::numeric_limits<int64_t>::max();
#else
constexpr int64_t kLeastKept = 16 << 10;
#endif

// The size of the block that serves a request: one of sixteen in each power of two.
int64_t Rounded(int64_t size) {
  if (size < kLeastKept) return size;
  const int64_t step =
      static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(size))) >> 4;
  return (size + step - 1) / step * step;
}

bool IsRecycled(int64_t size, int64_t alignment) {
  return size >= kLeastKept && alignment == arrow::kDefaultBufferAlignment &&
         size <= std::numeric_limits<int64_t>::max() / 2;
}

}  // namespace

arrow::Status Recycler::Allocate(int64_t size, int64_t alignment, uint8_t** out) {
  if (!IsRecycled(size, alignment)) return upstream_->Allocate(size, alignment, out);
  const int64_t rounded = Rounded(size);
  if (idle_bytes_ > 0) {
    const std::lock_guard lock(mutex_);
    auto blocks = idle_.find(rounded);
    if (blocks != idle_.end() && !blocks->second.empty()) {
      *out = blocks->second.back();
      blocks->second.pop_back();
      idle_bytes_ -= rounded;
      return arrow::Status::OK();
    }
  }
  return upstream_->Allocate(rounded, alignment, out);
}

arrow::Status Recycler::Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                                   uint8_t** ptr) {
  const bool was = IsRecycled(old_size, alignment);
  const bool is = IsRecycled(new_size, alignment);
  if (!was && !is) return upstream_->Reallocate(old_size, new_size, alignment, ptr);
  if (was && is && Rounded(old_size) == Rounded(new_size)) return arrow::Status::OK();
  uint8_t* moved = nullptr;
  ARROW_RETURN_NOT_OK(Allocate(new_size, alignment, &moved));
  std::memcpy(moved, *ptr, static_cast<size_t>(std::min(old_size, new_size)));
  Free(*ptr, old_size, alignment);
  *ptr = moved;
  return arrow::Status::OK();
}

void Recycler::Free(uint8_t* buffer, int64_t size, int64_t alignment) {
  if (!IsRecycled(size, alignment)) return upstream_->Free(buffer, size, alignment);
  const int64_t rounded = Rounded(size);
  {
    const std::lock_guard lock(mutex_);
    if (!closed_ && idle_bytes_ + rounded <= limit_) {
      idle_[rounded].push_back(buffer);
      idle_bytes_ += rounded;
      return;
    }
  }
  upstream_->Free(buffer, rounded, alignment);
}

void Recycler::LimitIdle(int64_t bytes) {
  limit_ = bytes;
  if (idle_bytes_ > bytes) Trim();
}

void Recycler::Trim() {
  const std::lock_guard lock(mutex_);
  // The largest first: they are the fewest calls.
  while (idle_bytes_ > limit_ && !idle_.empty()) {
    auto largest = std::prev(idle_.end());
    if (largest->second.empty()) {
      idle_.erase(largest);
      continue;
    }
    upstream_->Free(largest->second.back(), largest->first,
                    arrow::kDefaultBufferAlignment);
    largest->second.pop_back();
    idle_bytes_ -= largest->first;
  }
}

}  // namespace headrace::base
