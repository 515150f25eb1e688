/// \file
/// Memory that images are worked on in, kept from one image to the next: new pages cost
/// the kernel as much as a tenth of decoding into them.
#pragma once

#include <arrow/buffer.h>
#include <arrow/memory_pool.h>
#include <headrace/result.h>

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace headrace::transform {

/// For one image at a time. Not thread-safe.
class Scratch {
 public:
  enum Slot { kFirst, kSecond, kRows, kWeights };
  /// Bytes behind each block that may be read, whatever they hold.
  static constexpr int64_t kSlack = 64;

  explicit Scratch(arrow::MemoryPool* pool) : pool_(pool) {}
  /// `bytes` that are not initialized. What the slot gave before is gone.
  Result<uint8_t*> Take(Slot slot, int64_t bytes);
  /// Frees what is larger than most images need.
  void Trim();

 private:
  arrow::MemoryPool* pool_;
  std::array<std::unique_ptr<arrow::Buffer>, 4> blocks_;
};

/// As many of them as threads ask at once. Thread-safe.
class ScratchPool {
 public:
  explicit ScratchPool(arrow::MemoryPool* pool) : pool_(pool) {}

  /// One that is the caller's until the lease ends.
  class Lease {
   public:
    explicit Lease(ScratchPool* pool) : pool_(pool), scratch_(pool->Borrow()) {}
    ~Lease() { pool_->GiveBack(std::move(scratch_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Scratch* get() const { return scratch_.get(); }

   private:
    ScratchPool* pool_;
    std::unique_ptr<Scratch> scratch_;
  };

 private:
  std::unique_ptr<Scratch> Borrow();
  void GiveBack(std::unique_ptr<Scratch> scratch);

  arrow::MemoryPool* pool_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;
};

}  // namespace headrace::transform
