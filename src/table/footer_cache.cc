#include "table/footer_cache.h"

#include <utility>

namespace headrace::table {
namespace {

// Thrift structures take several times their serialized size; measured at four to six.
constexpr int64_t kParsedFactor = 6;

}  // namespace

std::shared_ptr<parquet::FileMetaData> FooterCache::Get(int64_t fragment) {
  std::lock_guard lock(mutex_);
  auto found = by_fragment_.find(fragment);
  if (found == by_fragment_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->metadata;
}

void FooterCache::Put(int64_t fragment, std::shared_ptr<parquet::FileMetaData> metadata,
                      int64_t serialized_bytes) {
  const int64_t bytes = serialized_bytes * kParsedFactor;
  std::lock_guard lock(mutex_);
  if (bytes > bytes_max_ || by_fragment_.count(fragment)) return;
  entries_.push_front({fragment, std::move(metadata), bytes});
  by_fragment_[fragment] = entries_.begin();
  bytes_used_ += bytes;
  while (bytes_used_ > bytes_max_) {
    bytes_used_ -= entries_.back().bytes;
    by_fragment_.erase(entries_.back().fragment);
    entries_.pop_back();
  }
}

int64_t FooterCache::bytes_used() const {
  std::lock_guard lock(mutex_);
  return bytes_used_;
}

}  // namespace headrace::table
