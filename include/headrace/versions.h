/// \file
/// The versions of a Delta table: what was committed, what differs, going back, and
/// cleaning up.
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace headrace {

/// A commit, as it tells of itself.
struct TableCommit {
  int64_t version = 0;
  /// What `as_of` goes by; milliseconds since the epoch.
  int64_t timestamp_ms = 0;
  std::string operation;
  /// JSON objects; empty: none.
  std::string parameters;
  std::string metrics;
  /// Who wrote it.
  std::string engine;

  bool operator==(const TableCommit&) const = default;
};

/// A table, as its calls here take it: `storage_options` and `num_threads` of OpenOptions
/// matter. Errors: InvalidArgument for a table without versions, and those of `open`.
///
/// All commits whose files are there, the last first.
Result<std::vector<TableCommit>> History(const std::string& uri,
                                         const OpenOptions& options = {});
std::string ToString(const std::vector<TableCommit>& history);
std::string ToJson(const std::vector<TableCommit>& history);

/// What one version has that another has not.
struct TableDiff {
  int64_t from = 0;
  int64_t to = 0;
  int64_t rows_from = 0;
  int64_t rows_to = 0;
  /// Files by path below the table; one of which more rows are deleted is in both.
  std::vector<std::string> files_added;
  std::vector<std::string> files_removed;
  /// Rows of those files.
  int64_t rows_added = 0;
  int64_t rows_removed = 0;
  /// "added column \"x\": int64", ...
  std::vector<std::string> schema;

  std::string ToString() const;
  std::string ToJson() const;
};

Result<TableDiff> Diff(const std::string& uri, int64_t from, int64_t to,
                       const OpenOptions& options = {});

/// Commits a new version that is as `version` was; its number. NotFound if files of that
/// version are gone. Conflict if others committed meanwhile.
Result<int64_t> Restore(const std::string& uri, int64_t version,
                        const OpenOptions& options = {});

/// Seven days, as other engines have it.
inline constexpr int64_t kVacuumOlderThanMs = int64_t{7} * 24 * 60 * 60 * 1000;

struct VacuumReport {
  /// Below the table, bytewise.
  std::vector<std::string> files;
  int64_t bytes = 0;
  /// They were deleted, not only found.
  bool deleted = false;

  std::string ToString() const;
  std::string ToJson() const;
};

/// Finds files below the table that no version needs which is younger than
/// `older_than_ms`, and that are older themselves, so that what is being written now is
/// left alone; deletes them unless it is a `dry_run`. Versions that need them cannot be
/// read any more.
Result<VacuumReport> Vacuum(const std::string& uri,
                            int64_t older_than_ms = kVacuumOlderThanMs,
                            bool dry_run = true, const OpenOptions& options = {});

}  // namespace headrace
