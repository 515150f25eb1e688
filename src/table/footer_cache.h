/// \file
/// Parsed footers that were used last.
#pragma once

#include <parquet/metadata.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace headrace::table {

/// An LRU bounded in bytes. Thread-safe.
class FooterCache {
 public:
  explicit FooterCache(int64_t bytes_max) : bytes_max_(bytes_max) {}

  /// Null if it is not held.
  std::shared_ptr<parquet::FileMetaData> Get(int64_t fragment);
  void Put(int64_t fragment, std::shared_ptr<parquet::FileMetaData> metadata,
           int64_t serialized_bytes);
  int64_t bytes_used() const;

 private:
  struct Entry {
    int64_t fragment = 0;
    std::shared_ptr<parquet::FileMetaData> metadata;
    int64_t bytes = 0;
  };

  const int64_t bytes_max_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
  std::unordered_map<int64_t, std::list<Entry>::iterator> by_fragment_;
  int64_t bytes_used_ = 0;
};

}  // namespace headrace::table
