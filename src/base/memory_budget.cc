#include "base/memory_budget.h"

namespace headrace::base {
namespace {

void RaiseTo(std::atomic<int64_t>& peak, int64_t value) {
  int64_t seen = peak.load(std::memory_order_relaxed);
  while (seen < value &&
         !peak.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

MemoryBudget::MemoryBudget(arrow::MemoryPool* upstream, int64_t budget)
    : recycler_(std::make_shared<Recycler>(upstream)), budget_(budget) {
  recycler_->LimitIdle(budget);
}

arrow::Status MemoryBudget::Reserve(int64_t bytes) {
  if (bytes < 0) return arrow::Status::Invalid("cannot reserve ", bytes, " bytes");
  // Counted only once it fits: a request that is refused must not make another fail that
  // would have fitted, on whatever thread.
  int64_t held = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > budget_ - held) {
      return arrow::Status::OutOfMemory(
          "memory_budget is spent: ", bytes, " bytes more were needed beside ", held,
          " held, found a budget of ", budget_, "; give a larger memory_budget");
    }
  } while (!used_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
  RaiseTo(peak_, held + bytes);
  recycler_->LimitIdle(budget_ - used_.load());
  return arrow::Status::OK();
}

void MemoryBudget::Release(int64_t bytes) {
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  recycler_->LimitIdle(budget_ - used_.load());
}

arrow::Status MemoryBudget::Allocate(int64_t size, int64_t alignment, uint8_t** out) {
  ARROW_RETURN_NOT_OK(Reserve(size));
  arrow::Status status = recycler_->Allocate(size, alignment, out);
  if (!status.ok()) {
    Release(size);
    return status;
  }
  total_.fetch_add(size, std::memory_order_relaxed);
  allocations_.fetch_add(1, std::memory_order_relaxed);
  return arrow::Status::OK();
}

arrow::Status MemoryBudget::Reallocate(int64_t old_size, int64_t new_size,
                                       int64_t alignment, uint8_t** ptr) {
  if (new_size > old_size) ARROW_RETURN_NOT_OK(Reserve(new_size - old_size));
  arrow::Status status = recycler_->Reallocate(old_size, new_size, alignment, ptr);
  if (!status.ok()) {
    if (new_size > old_size) Release(new_size - old_size);
    return status;
  }
  if (new_size < old_size) Release(old_size - new_size);
  if (new_size > old_size) {
    total_.fetch_add(new_size - old_size, std::memory_order_relaxed);
  }
  allocations_.fetch_add(1, std::memory_order_relaxed);
  return arrow::Status::OK();
}

void MemoryBudget::Free(uint8_t* buffer, int64_t size, int64_t alignment) {
  recycler_->Free(buffer, size, alignment);
  Release(size);
}

void MemoryBudget::ReleaseUnused() { recycler_->upstream()->ReleaseUnused(); }
int64_t MemoryBudget::bytes_allocated() const { return used_.load(); }
int64_t MemoryBudget::max_memory() const { return peak_.load(); }
int64_t MemoryBudget::total_bytes_allocated() const { return total_.load(); }
int64_t MemoryBudget::num_allocations() const { return allocations_.load(); }
std::string MemoryBudget::backend_name() const {
  return recycler_->upstream()->backend_name();
}

}  // namespace headrace::base
