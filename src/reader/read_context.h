/// \file
/// What all readers of one loader or scan share.
#pragma once

#include <arrow/memory_pool.h>
#include <arrow/type.h>
#include <headrace/result.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "table/table.h"

namespace headrace::reader {

/// Counters that many readers add to at once.
struct ReadCounters {
  std::atomic<int64_t> bytes_read{0};
  std::atomic<int64_t> read_calls{0};
  std::atomic<int64_t> values_decoded{0};
  std::atomic<int64_t> values_skipped{0};
  std::atomic<int64_t> row_groups_opened{0};
};

/// A column to read: a flat name and the table's type for it.
struct ReadColumn {
  std::vector<std::string> path;
  std::shared_ptr<arrow::Field> field;
  /// Index into the table's partition fields, or -1.
  int partition = -1;
};

/// The columns `names` of a table, dotted names included.
Result<std::vector<ReadColumn>> ResolveColumns(const table::Table& table,
                                               const std::vector<std::string>& names);

/// Live things that readers need. The pointers outlive the readers.
struct ReadContext {
  const table::Table* table = nullptr;
  arrow::MemoryPool* pool = nullptr;
  ReadCounters* counters = nullptr;
  /// Bytes that one open column chunk reads ahead.
  int64_t read_buffer_bytes = 128 << 10;
  /// Rows decoded at a time.
  int64_t tile_rows = 64 << 10;
  /// Damaged values of selected columns are delivered as such; else they are an error.
  bool tolerant = false;
};

}  // namespace headrace::reader
