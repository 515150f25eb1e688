/// \file
/// Rows to the files of a table.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/util/thread_pool.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "storage/storage.h"
#include "table/data_file.h"
#include "writer/encoding.h"
#include "writer/stored_rows.h"

namespace headrace::writer {

struct FileSetOptions {
  EncodingOptions encoding;
  int64_t file_bytes = int64_t{512} << 20;
  std::vector<std::string> partition_by = {};
  std::vector<std::string> sort_by = {};
  std::string temp_folder = {};
  /// Where there are no rows and no partitions, one file tells the columns.
  bool writes_empty = false;
};

/// What files of one of many writers are called: `part-<task>-<job>-<uuid>.c<number>...`,
/// so that they sort by task and can be found by the job.
struct FileNames {
  std::string job = {};
  int64_t task = 0;
};

/// What files are written with. All outlive the writer.
struct FileSetContext {
  const storage::Storage* storage = nullptr;
  /// As the storage takes it.
  std::string root;
  /// Absent: of a write that is alone.
  std::optional<FileNames> names = {};
  /// Encodes columns side by side; null: one after the other.
  arrow::internal::Executor* executor = nullptr;
  base::MemoryBudget* memory = nullptr;
};

/// Consumes batches, and gives the files that hold their rows: nobody knows them until
/// they are named somewhere, for their names are new. Rows stay in their order, file by
/// file, within a partition; with `sort_by` they are sorted first.
///
/// Thread-safety: one thread at a time.
class FileSetWriter {
 public:
  /// Writes nothing yet. InvalidArgument and NotFound for options, Unsupported for types,
  /// ResourceExhausted for a budget below `MemoryFloor`, with both numbers.
  static Result<std::unique_ptr<FileSetWriter>> Make(StoredRows rows,
                                                     const FileSetOptions& options,
                                                     const FileSetContext& context);
  /// Deletes what was written, unless `Finish` succeeded.
  ~FileSetWriter();
  FileSetWriter(const FileSetWriter&) = delete;
  FileSetWriter& operator=(const FileSetWriter&) = delete;

  /// REQUIRES: of the schema that the StoredRows were made of.
  Status Write(const std::shared_ptr<arrow::RecordBatch>& batch);
  /// Ends all files. Sorted rows are written only now.
  Result<std::vector<table::DataFile>> Finish();
  /// Deletes what was written, as far as storage lets it be.
  void Abandon();

  int64_t memory_floor() const;
  int64_t rows() const;
  int64_t row_groups() const;
  int64_t bytes_spilled() const;
  int64_t partitions() const;

 private:
  class Impl;
  explicit FileSetWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace headrace::writer
