#include "reader/shared_pages.h"

#include <arrow/buffer.h>

#include <algorithm>

namespace headrace::reader {

SharedPages::Left SharedPages::Remove(const Key& key) {
  Left removed;
  const auto found = places_.find(key);
  if (found == places_.end()) return removed;
  removed.splice(removed.end(), left_, found->second);
  places_.erase(found);
  bytes_ -= removed.front().second.bytes();
  return removed;
}

void SharedPages::Put(const Key& key, Pages pages) {
  Left gone;  // freed when the lock is
  const std::scoped_lock lock(mutex_);
  gone = Remove(key);
  const int64_t bytes = pages.bytes();
  if (bytes == 0 || bytes > capacity_) return;
  while (bytes_ + bytes > capacity_) {
    gone.splice(gone.end(), Remove(left_.front().first));
  }
  places_[key] = left_.emplace(left_.end(), key, std::move(pages));
  bytes_ += bytes;
}

SharedPages::Pages SharedPages::Take(const Key& key) {
  const std::scoped_lock lock(mutex_);
  Left taken = Remove(key);
  return taken.empty() ? Pages() : std::move(taken.front().second);
}

Result<std::shared_ptr<parquet::DataPage>> CopyOf(const parquet::DataPage& page,
                                                  arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> bytes,
                        arrow::AllocateBuffer(page.size(), pool));
  std::copy_n(page.data(), page.size(), bytes->mutable_data());
  if (page.type() == parquet::PageType::DATA_PAGE) {
    const auto& v1 = static_cast<const parquet::DataPageV1&>(page);
    return std::make_shared<parquet::DataPageV1>(
        std::move(bytes), v1.num_values(), v1.encoding(), v1.definition_level_encoding(),
        v1.repetition_level_encoding(), v1.uncompressed_size());
  }
  const auto& v2 = static_cast<const parquet::DataPageV2&>(page);
  return std::make_shared<parquet::DataPageV2>(
      std::move(bytes), v2.num_values(), v2.num_nulls(), v2.num_rows(), v2.encoding(),
      v2.definition_levels_byte_length(), v2.repetition_levels_byte_length(),
      v2.uncompressed_size(), v2.is_compressed());
}

}  // namespace headrace::reader
