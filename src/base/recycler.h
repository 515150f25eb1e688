/// \file
/// Large blocks of memory that are used again instead of being given back.
#pragma once

#include <arrow/memory_pool.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <vector>

namespace headrace::base {

/// Keeps freed blocks of 16 KiB and more for the next request of about their size: the
/// kernel clears every page that it hands out, which costs as much as decoding into it.
/// Sizes are rounded up by at most a sixteenth, so that blocks fit each other.
///
/// Thread-safety: all methods.
class Recycler {
 public:
  explicit Recycler(arrow::MemoryPool* upstream) : upstream_(upstream) {}
  ~Recycler() { Close(); }
  Recycler(const Recycler&) = delete;
  Recycler& operator=(const Recycler&) = delete;

  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out);
  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                           uint8_t** ptr);
  void Free(uint8_t* buffer, int64_t size, int64_t alignment);

  /// Bytes of blocks that wait to be used again.
  int64_t idle() const { return idle_bytes_; }
  /// Gives back what waits beyond so many bytes, now and from now on.
  void LimitIdle(int64_t bytes);
  /// Gives back what waits; blocks that are still out go back when they are freed.
  void Close() { LimitIdle(0), closed_ = true; }

  arrow::MemoryPool* upstream() const { return upstream_; }

 private:
  void Trim();

  arrow::MemoryPool* upstream_;
  std::atomic<int64_t> idle_bytes_{0};
  std::atomic<int64_t> limit_{std::numeric_limits<int64_t>::max()};
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  std::map<int64_t, std::vector<uint8_t*>> idle_;  // by rounded size
};

}  // namespace headrace::base
