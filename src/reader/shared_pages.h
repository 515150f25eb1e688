/// \file
/// Pages that two readers of a row group need, read and decompressed once.
#pragma once

#include <arrow/memory_pool.h>
#include <headrace/result.h>
#include <parquet/column_page.h>

#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace headrace::reader {

/// Where one stream ends within a row group another begins, often an epoch earlier. Both
/// need the dictionary and the page that is cut. Who enters the row group there leaves
/// them for who comes to what lies before. Where room is short, the oldest go.
///
/// Thread-safe.
class SharedPages {
 public:
  /// A leaf of a row group.
  struct Key {
    int64_t fragment = 0;
    int row_group = 0;
    int leaf = 0;
    auto operator<=>(const Key&) const = default;
  };
  /// Decompressed, in memory that is theirs alone.
  struct Pages {
    std::shared_ptr<parquet::DictionaryPage> dictionary;  // null: there is none
    std::shared_ptr<parquet::DataPage> page;              // null: none is cut
    int64_t first_row = 0;                                // of the page, in the row group

    int64_t bytes() const {
      return (dictionary == nullptr ? 0 : dictionary->size()) +
             (page == nullptr ? 0 : page->size());
    }
  };

  /// Keeps at most `capacity` bytes, which are those of the pages' pool.
  explicit SharedPages(int64_t capacity) : capacity_(capacity) {}

  int64_t capacity() const { return capacity_; }

  /// Leaves pages, instead of those that were left before them.
  void Put(const Key& key, Pages pages);
  /// Takes what was left; empty, if nothing was or is.
  Pages Take(const Key& key);

 private:
  using Left = std::list<std::pair<Key, Pages>>;
  /// Moves what was left out of left_; nothing if it is not there.
  Left Remove(const Key& key);

  const int64_t capacity_;
  std::mutex mutex_;
  Left left_;  // the oldest first
  std::map<Key, Left::iterator> places_;
  int64_t bytes_ = 0;
};

/// A page whose bytes stay when its reader goes on, as those of pages that are
/// decompressed do not. OutOfMemory if `pool` has none.
Result<std::shared_ptr<parquet::DataPage>> CopyOf(const parquet::DataPage& page,
                                                  arrow::MemoryPool* pool);

}  // namespace headrace::reader
