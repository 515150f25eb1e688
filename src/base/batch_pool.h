/// \file
/// Memory of one batch: counted against the budget until the batch is handed out.
#pragma once

#include <arrow/memory_pool.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/memory_budget.h"

namespace headrace::base {

/// The pool of one batch. Buffers may outlive the loader and its budget: the pool deletes
/// itself with the last of them after `HandOut`.
///
/// Thread-safety: all methods, except that `HandOut` ends the budget's part.
class BatchPool : public arrow::MemoryPool {
 public:
  /// Calls HandOut, whatever became of the batch.
  struct Letter {
    void operator()(BatchPool* pool) const { pool->HandOut(); }
  };
  using Handle = std::unique_ptr<BatchPool, Letter>;

  /// `budget` must live until the handle is gone.
  static Handle Make(MemoryBudget* budget);

  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override;
  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                           uint8_t** ptr) override;
  void Free(uint8_t* buffer, int64_t size, int64_t alignment) override;
  using arrow::MemoryPool::Allocate;
  using arrow::MemoryPool::Free;
  using arrow::MemoryPool::Reallocate;

  int64_t bytes_allocated() const override { return held_.load(); }
  int64_t max_memory() const override { return -1; }
  int64_t total_bytes_allocated() const override { return -1; }
  int64_t num_allocations() const override { return -1; }
  std::string backend_name() const override {
    return recycler_->upstream()->backend_name();
  }

 private:
  explicit BatchPool(MemoryBudget* budget)
      : budget_(budget), recycler_(budget->recycler()) {}
  ~BatchPool() override = default;
  void HandOut();
  void Unreference();

  MemoryBudget* budget_;
  std::shared_ptr<Recycler> recycler_;
  std::atomic<bool> counted_{true};
  std::atomic<int64_t> held_{0};
  std::atomic<int64_t> references_{1};  // the handle, and each allocation
};

}  // namespace headrace::base
