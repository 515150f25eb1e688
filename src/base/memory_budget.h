/// \file
/// The byte-counting pool behind the Memory contract.
#pragma once

#include <arrow/memory_pool.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "base/recycler.h"

namespace headrace::base {

/// An Arrow memory pool that counts every byte it hands out against a budget, and refuses
/// what would pass it (Arrow's OutOfMemory; our kind ResourceExhausted). Bytes that are
/// not allocated here (parsed footers) are counted by `Reserve`. Large blocks that are
/// freed wait to be used again, as far as they and what is held fit the budget.
///
/// Thread-safety: all methods.
class MemoryBudget : public arrow::MemoryPool {
 public:
  explicit MemoryBudget(arrow::MemoryPool* upstream,
                        int64_t budget = std::numeric_limits<int64_t>::max());
  ~MemoryBudget() override { recycler_->Close(); }

  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override;
  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                           uint8_t** ptr) override;
  void Free(uint8_t* buffer, int64_t size, int64_t alignment) override;
  using arrow::MemoryPool::Allocate;
  using arrow::MemoryPool::Free;
  using arrow::MemoryPool::Reallocate;
  void ReleaseUnused() override;

  /// Counts bytes held elsewhere; fails as an allocation would.
  arrow::Status Reserve(int64_t bytes);
  void Release(int64_t bytes);

  int64_t budget() const { return budget_; }
  int64_t bytes_allocated() const override;
  int64_t max_memory() const override;
  int64_t total_bytes_allocated() const override;
  int64_t num_allocations() const override;
  std::string backend_name() const override;
  /// Where blocks come from: for those that outlive the budget.
  const std::shared_ptr<Recycler>& recycler() const { return recycler_; }

 private:
  const std::shared_ptr<Recycler> recycler_;
  const int64_t budget_;
  std::atomic<int64_t> used_{0};
  std::atomic<int64_t> peak_{0};
  std::atomic<int64_t> total_{0};
  std::atomic<int64_t> allocations_{0};
};

}  // namespace headrace::base
