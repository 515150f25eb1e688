/// \file
/// A Delta table as its writers need it: storage, log, commits.
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <string>

#include "pipeline/thread_executor.h"
#include "storage/storage.h"
#include "table/delta/log.h"
#include "table/delta/transaction.h"

namespace headrace::pipeline {

/// A table that is there. Its log was listed once.
struct DeltaTable {
  std::shared_ptr<storage::Storage> storage;
  std::string root;
  table::delta::Log log;

  /// InvalidArgument if `uri` is no Delta table.
  static Result<DeltaTable> Open(const std::string& uri, const OpenOptions& options);

  /// Unsupported for what this build does not write, and for a table that only grows if
  /// rows are removed.
  Status CheckWritable(const table::delta::Version& version, bool removes_rows) const;
  /// Commits, and writes a checkpoint if one is due. One that fails is no error: the
  /// commit stands, and the next one is due soon.
  Result<int64_t> Commit(const table::delta::CommitSpec& spec,
                         base::Executor& executor) const;
};

/// As DeltaTable::Commit, of a table that may not be there yet.
Result<int64_t> CommitTo(const std::shared_ptr<storage::Storage>& storage,
                         const std::string& root, const table::delta::CommitSpec& spec,
                         base::Executor& executor);

}  // namespace headrace::pipeline
