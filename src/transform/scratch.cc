#include "transform/scratch.h"

#include <cstring>

namespace headrace::transform {
namespace {

// What is kept of each block: 16 MiB are an RGB image of 5.6 megapixels.
constexpr int64_t kKeptBytesMax = int64_t{16} << 20;

}  // namespace

Result<uint8_t*> Scratch::Take(Slot slot, int64_t bytes) {
  std::unique_ptr<arrow::Buffer>& block = blocks_[slot];
  if (block == nullptr || block->size() < bytes + kSlack) {
    block.reset();
    // Images of much the same size do not each make it grow.
    const int64_t room = bytes + bytes / 4 + kSlack;
    ARROW_ASSIGN_OR_RAISE(block, arrow::AllocateBuffer(room, pool_));
  }
  std::memset(block->mutable_data() + bytes, 0, kSlack);
  return block->mutable_data();
}

void Scratch::Trim() {
  for (auto& block : blocks_) {
    if (block != nullptr && block->size() > kKeptBytesMax) block.reset();
  }
}

std::unique_ptr<Scratch> ScratchPool::Borrow() {
  const std::scoped_lock lock(mutex_);
  if (idle_.empty()) return std::make_unique<Scratch>(pool_);
  auto scratch = std::move(idle_.back());
  idle_.pop_back();
  return scratch;
}

void ScratchPool::GiveBack(std::unique_ptr<Scratch> scratch) {
  scratch->Trim();
  const std::scoped_lock lock(mutex_);
  idle_.push_back(std::move(scratch));
}

}  // namespace headrace::transform
