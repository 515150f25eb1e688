/// \file
/// What a write makes of a Delta table: the checks before it, and the commit after it.
#pragma once

#include <arrow/type.h>
#include <headrace/result.h>
#include <headrace/write.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "pipeline/write_files.h"
#include "storage/storage.h"
#include "table/data_file.h"
#include "table/delta/log.h"
#include "table/delta/transaction.h"

namespace headrace::pipeline {

/// Puts a file into the log of what is no table yet, that tells readers and other writers
/// that what lies here is no plain Parquet: to be there before the first data file is,
/// and until the first version. One that a killed writer leaves says so too, until
/// `vacuum`. `name` is in its path, which is returned; a second one of a name is the
/// same.
Result<std::string> AnnounceTable(storage::Storage& storage, const std::string& root,
                                  const std::string& name);
/// Its path.
std::string AnnouncementOf(const std::string& root, const std::string& name);

/// Whether the outcome of a commit is known: it stands, or it was refused. After other
/// errors it may stand.
bool IsSettled(const Status& committed);

/// One write to the table at a place, which may not be there yet.
class DeltaWriting {
 public:
  /// Reads the table's last version. Conflict if it is there and `mode` is "error", or if
  /// files lie there without a log; Unsupported for a table that this build does not
  /// write, or that only grows if rows are to be replaced.
  static Result<DeltaWriting> Begin(std::shared_ptr<storage::Storage> storage,
                                    std::string root, const WriteOptions& options,
                                    base::Executor& executor);
  /// The write that went by `version` of the table, absent if there was none, whatever
  /// was committed since: `Commit` looks whether that is in its way.
  static Result<DeltaWriting> Resume(std::shared_ptr<storage::Storage> storage,
                                     std::string root, const WriteOptions& options,
                                     std::optional<int64_t> version,
                                     base::Executor& executor);

  /// That the write goes by; absent: there is no table.
  std::optional<int64_t> version() const;
  /// What the write says of how columns are stored; if nothing, what the table says of
  /// those of its tensors that `given` has columns of.
  std::optional<Schema> DeclaredSchema(const arrow::Schema& given) const;
  /// By what the table is, or will be, partitioned.
  const std::vector<std::string>& partition_by() const { return partition_by_; }

  /// Where no table is yet: `AnnounceTable`, until this object goes.
  Status Announce();
  /// Checks that rows of this schema, as stored, can go to the table. SchemaMismatch
  /// naming a column.
  Status Check(const arrow::Schema& stored);
  /// Commits the files: the new version, or the last one if there is nothing to commit.
  /// Conflict, and nothing is changed, if others committed what this write would undo.
  /// REQUIRES: `Check` was OK.
  Result<int64_t> Commit(const std::vector<table::DataFile>& files,
                         base::Executor& executor);
  /// `Commit`, which the summary tells of; the files of one that was refused are deleted.
  /// Where it may stand (`IsSettled`), they are left to `vacuum`.
  Status CommitWritten(Written* written, base::Executor& executor);

 private:
  struct Withdraw {
    std::shared_ptr<storage::Storage> storage;
    void operator()(const std::string* path) const;
  };

  DeltaWriting() = default;
  /// The last version, if none is given.
  Status ReadTable(std::optional<int64_t> version, base::Executor& executor);
  bool replaces() const { return options_.mode.starts_with("overwrite"); }
  Status CheckColumns(const arrow::Schema& stored) const;
  Status CheckNulls(const std::vector<table::DataFile>& files) const;
  Result<table::delta::CommitSpec> SpecOf(
      const std::vector<table::DataFile>& files) const;
  void AddRemoves(const std::vector<table::DataFile>& files,
                  table::delta::CommitSpec* spec) const;
  Status AddSchema(table::delta::CommitSpec* spec) const;

  std::shared_ptr<storage::Storage> storage_;
  std::string root_;
  WriteOptions options_;
  std::vector<std::string> partition_by_;
  std::optional<table::delta::Version> version_;  // absent: there is no table
  bool begun_ = false;                            // there is a log without a version
  std::unique_ptr<const std::string, Withdraw> announced_;
  std::shared_ptr<arrow::Schema> table_schema_;  // of that version
  std::shared_ptr<arrow::Schema> stored_;
  int64_t files_replaced_ = 0;
};

}  // namespace headrace::pipeline
