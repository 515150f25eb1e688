/// \file
/// What all readers of one loader or scan share.
#pragma once

#include <arrow/memory_pool.h>
#include <arrow/type.h>
#include <headrace/result.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/timeline.h"
#include "table/table.h"

namespace headrace::reader {

class ChunkCache;
class SharedPages;

/// Ways from a column chunk to values, a bit each: a column may take several, file by
/// file.
enum DecodePath : unsigned {
  kConstant = 1,   ///< nothing is read: a partition value, a row id, or a column that the
                   ///< file lacks
  kPlaced = 2,     ///< fixed width, from the page into the window
  kArrays = 4,     ///< fixed width, from the page to an array: filtered, cast, on_error
  kBytes = 8,      ///< strings and bytes, by Arrow's record reader
  kCells = 32,     ///< strings and bytes to be decoded as tensors or images: looked at
                   ///< where they lie in their page
  kAssembled = 16  ///< nested, decimal, dictionary, INT96: by Arrow's record assembly
};

/// "constant", "placed", "arrays", "bytes", "cells", "assembled" for the bits that are
/// set.
std::vector<std::string> NamesOf(unsigned paths);

/// The decode paths that columns took. Thread-safe.
class DecodePaths {
 public:
  void Add(const std::string& column, DecodePath path) {
    std::lock_guard lock(mutex_);
    paths_[column] |= path;
  }
  /// Bits by dotted column name.
  std::map<std::string, unsigned> Get() const {
    std::lock_guard lock(mutex_);
    return paths_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, unsigned> paths_;
};

/// Counters that many readers add to at once.
struct ReadCounters {
  std::atomic<int64_t> bytes_read{0};
  std::atomic<int64_t> read_calls{0};
  std::atomic<int64_t> values_decoded{0};
  std::atomic<int64_t> values_skipped{0};
  std::atomic<int64_t> row_groups_opened{0};
  DecodePaths decode_paths;
  base::Timeline timeline;
};

/// A column to read: a flat name and the table's type for it.
struct ReadColumn {
  std::vector<std::string> path;
  std::shared_ptr<arrow::Field> field;
  /// Where files have it, and the table's field with what files call what is in it.
  std::vector<table::FileField> file_path = {};
  std::shared_ptr<arrow::Field> mapped = nullptr;
  /// Index into the table's partition fields, or -1.
  int partition = -1;
  /// The virtual column of row ids, whatever the table stores under its name.
  bool row_id = false;

  /// Whether the values are in the files, in those that have them.
  bool stored() const { return partition < 0 && !row_id; }
};

/// The columns `names` of a table, dotted names included.
Result<std::vector<ReadColumn>> ResolveColumns(const table::Table& table,
                                               const std::vector<std::string>& names);

/// The column of row ids. Unsupported if the table has more files than they can number.
Result<ReadColumn> RowIdColumn(const table::Table& table);

/// Live things that readers need. The pointers outlive the readers.
struct ReadContext {
  const table::Table* table = nullptr;
  arrow::MemoryPool* pool = nullptr;
  ReadCounters* counters = nullptr;
  /// Bytes that one open column chunk reads ahead.
  int64_t read_buffer_bytes = 128 << 10;
  /// Rows decoded at a time.
  int64_t tile_rows = 64 << 10;
  /// Where chunks are kept that are read more than once; null: nowhere.
  ChunkCache* cache = nullptr;
  /// Where pages are left for those who come to what lies before; null: nowhere.
  SharedPages* shared_pages = nullptr;
  /// Damaged values of selected columns are delivered as such; else they are an error.
  bool tolerant = false;
};

}  // namespace headrace::reader
