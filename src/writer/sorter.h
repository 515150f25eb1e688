/// \file
/// Sorting of more rows than memory holds.
#pragma once

#include <arrow/record_batch.h>
#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "writer/temp_file.h"

namespace headrace::writer {

/// Rows in, the same rows out by their keys: ascending, stable, nulls last. What does not
/// fit is sorted in runs, which wait in temporary files to be merged.
///
/// Thread-safety: one thread at a time.
class Sorter {
 public:
  struct Options {
    std::shared_ptr<arrow::Schema> schema = {};
    std::vector<int> columns = {};  ///< The keys, the first one most significant.
    int64_t memory = 0;             ///< Bytes that it may hold, at least `kMemoryMin`.
    int64_t batch_bytes = 0;        ///< Of the batches that come out, about.
    std::string temp_folder = {};
    base::MemoryBudget* pool = nullptr;
  };
  static constexpr int64_t kMemoryMin = 512 << 10;
  using Take = std::function<Status(const std::shared_ptr<arrow::RecordBatch>&)>;

  /// REQUIRES: `SortKeys::Check` passed.
  explicit Sorter(Options options) : options_(std::move(options)) {}
  ~Sorter();
  Sorter(const Sorter&) = delete;
  Sorter& operator=(const Sorter&) = delete;

  Status Add(std::shared_ptr<arrow::RecordBatch> batch);
  /// Hands out all rows, once.
  Status Finish(const Take& take);

  int64_t rows() const { return rows_; }
  int64_t bytes_spilled() const { return bytes_spilled_; }

 private:
  Result<std::shared_ptr<arrow::RecordBatch>> SortHeld();
  void DropHeld();
  Status Spill();
  Result<TempFile> WriteRun(const std::function<Status(const Take&)>& produce);
  /// Merges runs [begin, end).
  Status Merge(size_t begin, size_t end, const Take& take);
  int64_t MergedRows(const arrow::RecordBatch& like, int64_t bytes) const;

  Options options_;
  arrow::RecordBatchVector held_;
  int64_t held_bytes_ = 0;  // reserved of the pool
  int64_t held_rows_ = 0;
  std::vector<TempFile> runs_;
  int64_t rows_ = 0;
  int64_t bytes_spilled_ = 0;
};

}  // namespace headrace::writer
