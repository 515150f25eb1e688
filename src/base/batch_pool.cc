#include "base/batch_pool.h"

namespace headrace::base {

BatchPool::Handle BatchPool::Make(MemoryBudget* budget) {
  return Handle(new BatchPool(budget));
}

arrow::Status BatchPool::Allocate(int64_t size, int64_t alignment, uint8_t** out) {
  if (counted_) ARROW_RETURN_NOT_OK(budget_->Reserve(size));
  arrow::Status status = recycler_->Allocate(size, alignment, out);
  if (!status.ok()) {
    if (counted_) budget_->Release(size);
    return status;
  }
  held_ += size;
  ++references_;
  return arrow::Status::OK();
}

arrow::Status BatchPool::Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                                    uint8_t** ptr) {
  if (counted_) ARROW_RETURN_NOT_OK(budget_->Reserve(new_size));
  arrow::Status status = recycler_->Reallocate(old_size, new_size, alignment, ptr);
  // A reallocation may hold both blocks for a moment, so the new one is counted whole
  // before the old one is let go.
  if (counted_) budget_->Release(status.ok() ? old_size : new_size);
  if (status.ok()) held_ += new_size - old_size;
  return status;
}

void BatchPool::Free(uint8_t* buffer, int64_t size, int64_t alignment) {
  recycler_->Free(buffer, size, alignment);
  held_ -= size;
  if (counted_) budget_->Release(size);
  Unreference();
}

void BatchPool::HandOut() {
  counted_ = false;
  budget_->Release(held_);
  Unreference();
}

void BatchPool::Unreference() {
  if (--references_ == 0) delete this;
}

}  // namespace headrace::base
