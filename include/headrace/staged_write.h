/// \file
/// Writes by many processes: one plans, any number stage files, the first one commits.
#pragma once

#include <arrow/type_fwd.h>
#include <headrace/dataset.h>
#include <headrace/result.h>
#include <headrace/write.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headrace {

/// What all processes of one write go by. It has no state but its members: a copy of them
/// in another process is the same plan.
struct WritePlan {
  /// Where the table lies.
  std::string uri;
  /// "catalog:NAME" if it was planned by that: the catalog is told of the commit.
  std::string address = {};
  /// In the names of the write's files, and of no others.
  std::string job;
  /// Of the table that the write goes by. Absent: there was none.
  std::optional<int64_t> version = {};
  /// As they were given, and what the table says of partitions and tensors.
  WriteOptions options;
};

/// Plans a write of rows with these columns to the Delta table at `uri`, or of the name
/// "catalog:NAME" in the catalog of `options`. No row is written; where no table is yet,
/// a file in its log says until the commit, or until `DiscardStaged`, that one comes.
///
/// Errors: those of `Write` that need no row. Thread-safety: as all of this file, any.
Result<WritePlan> PlanWrite(const std::string& uri, const arrow::Schema& rows,
                            const WriteOptions& options = {});

/// Writes rows as data files below the table, which no reader sees, also where there is
/// no table yet and who would commit has died: `Open` finds none then. On an error, what
/// was written is deleted again. All streams of a plan have the columns that it was made
/// for.
///
/// \param task a number, at least 0: files sort by it, so that rows of task 0 come before
/// those of task 1 in the table's order. Another attempt at a task has the same.
/// \return what `CommitStaged` needs to know: a JSON object, some hundred bytes a file;
/// its "bytes" are those of the files.
Result<std::string> StageFiles(const std::shared_ptr<arrow::RecordBatchReader>& data,
                               const WritePlan& plan, int64_t task = 0,
                               const Progress& progress = {});

/// Commits what was staged as one version; the files of texts that are not given stay
/// unseen. Of the summary, memory is the largest, and seconds those of the commit. Where
/// the rows stand and the catalog could not be told, it says why.
///
/// Errors: InvalidArgument for a text that is none, and if there is no text;
/// SchemaMismatch if the parts differ in a column; Conflict, as for `Write`, and those of
/// storage.
Result<WriteSummary> CommitStaged(const WritePlan& plan,
                                  const std::vector<std::string>& staged);

/// Deletes all files of the write, for one that is given up: its staged files, whether
/// their texts came or not. REQUIRES: it was not committed.
Status DiscardStaged(const WritePlan& plan);

}  // namespace headrace
