#include "base/page_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace headrace::base {
namespace {

#if defined(__SANITIZE_ADDRESS__)
// It does not see what is done to mappings.
constexpr int64_t kLeastMapped = std::numeric_limits<int64_t>::max();
#else
constexpr int64_t kLeastMapped = 1 << 20;
#endif
constexpr int64_t kPage = 4096;  // what a mapping is aligned to, at least
constexpr int64_t kHugePage = 2 << 20;

bool IsMapped(int64_t size, int64_t alignment) {
  return size >= kLeastMapped && alignment <= kPage;
}

void* Map(int64_t size) {
  void* const block = ::mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return block == MAP_FAILED ? nullptr : block;
}

// In huge pages where the system lends them: values are scattered over a whole block, of
// whose small pages the processor's first cache of translations holds too few.
void* MapHuge(int64_t size) {
  auto* const mapped = static_cast<uint8_t*>(Map(size + kHugePage));
  if (mapped == nullptr) return nullptr;
  const int64_t before = (kHugePage - reinterpret_cast<intptr_t>(mapped) % kHugePage);
  uint8_t* const block = mapped + before;
  // Whole pages: what a length is rounded up to.
  const int64_t end = (size + kPage - 1) / kPage * kPage;
  ::munmap(mapped, static_cast<size_t>(before));
  if (before + end < size + kHugePage) {
    ::munmap(block + end, static_cast<size_t>(size + kHugePage - before - end));
  }
  ::madvise(block, static_cast<size_t>(size), MADV_HUGEPAGE);
  return block;
}

class Pool : public arrow::MemoryPool {
 public:
  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override {
    if (!IsMapped(size, alignment)) return small_->Allocate(size, alignment, out);
    void* const block = size < kHugePage ? Map(size) : MapHuge(size);
    if (block == nullptr) {
      return arrow::Status::OutOfMemory("the system has no ", size, " bytes left");
    }
    *out = static_cast<uint8_t*>(block);
    return arrow::Status::OK();
  }

  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                           uint8_t** ptr) override {
    const bool was = IsMapped(old_size, alignment);
    const bool is = IsMapped(new_size, alignment);
    if (!was && !is) return small_->Reallocate(old_size, new_size, alignment, ptr);
    if (was && is) {
      void* const moved = ::mremap(*ptr, static_cast<size_t>(old_size),
                                   static_cast<size_t>(new_size), MREMAP_MAYMOVE);
      if (moved == MAP_FAILED) {
        return arrow::Status::OutOfMemory("the system has no ", new_size, " bytes left");
      }
      *ptr = static_cast<uint8_t*>(moved);
      return arrow::Status::OK();
    }
    uint8_t* moved = nullptr;
    ARROW_RETURN_NOT_OK(Allocate(new_size, alignment, &moved));
    std::memcpy(moved, *ptr, static_cast<size_t>(std::min(old_size, new_size)));
    Free(*ptr, old_size, alignment);
    *ptr = moved;
    return arrow::Status::OK();
  }

  void Free(uint8_t* buffer, int64_t size, int64_t alignment) override {
    if (!IsMapped(size, alignment)) return small_->Free(buffer, size, alignment);
    ::munmap(buffer, static_cast<size_t>(size));
  }

  int64_t bytes_allocated() const override { return small_->bytes_allocated(); }
  int64_t max_memory() const override { return small_->max_memory(); }
  int64_t total_bytes_allocated() const override {
    return small_->total_bytes_allocated();
  }
  int64_t num_allocations() const override { return small_->num_allocations(); }
  std::string backend_name() const override { return "pages"; }

 private:
  arrow::MemoryPool* const small_ = arrow::default_memory_pool();
};

}  // namespace

arrow::MemoryPool* PagePool() {
  static Pool* const pool = new Pool();
  return pool;
}

}  // namespace headrace::base
