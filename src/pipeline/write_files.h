/// \file
/// Rows to Parquet files below a table's root: what every way to write has in common.
#pragma once

#include <arrow/record_batch.h>
#include <headrace/result.h>
#include <headrace/write.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/storage.h"
#include "table/data_file.h"
#include "writer/file_set_writer.h"
#include "writer/stored_rows.h"

namespace headrace::pipeline {

/// Files that were written, and what was measured on the way.
struct Written {
  std::vector<table::DataFile> files;
  WriteSummary summary;
};

/// Where a table is written: its storage, and its root there, without a slash at its end.
struct TablePlace {
  std::shared_ptr<storage::Storage> storage;
  std::string root;

  static Result<TablePlace> Of(const std::string& uri, const WriteOptions& options);
};

/// InvalidArgument for options that are wrong whatever is written.
Status CheckWriteOptions(const WriteOptions& options);

/// Writes all rows of `data` by the options' sizes, order and partitions, on threads of
/// its own. On an error nothing is left.
///
/// \param names of the files; absent: of a write that is alone.
Result<Written> WriteFiles(arrow::RecordBatchReader* data, writer::StoredRows rows,
                           const WriteOptions& options, const storage::Storage& storage,
                           const std::string& root, const Progress& progress,
                           std::optional<writer::FileNames> names = {});

/// Deletes files that were written, as far as storage lets them be.
void DeleteFiles(const storage::Storage& storage, const std::string& root,
                 const std::vector<table::DataFile>& files);

}  // namespace headrace::pipeline
