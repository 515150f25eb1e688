/// \file
/// The files of a Delta log: which of them make up a version.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/storage.h"

namespace headrace::table::delta {

/// A checkpoint: its files, one of JSON or Parquet, or all parts of it.
struct Checkpoint {
  int64_t version = 0;
  std::vector<storage::FileEntry> files = {};
};

/// What is to be replayed for a version: a checkpoint, and files of commits after it, in
/// ascending order (a compacted file stands for several).
struct LogSegment {
  int64_t version = 0;
  std::optional<Checkpoint> checkpoint = {};
  std::vector<storage::FileEntry> commits = {};
};

/// The listed log of a table. Value.
class LogFiles {
 public:
  /// Sorts out what lies in `_delta_log`; names that are no part of a log are passed
  /// over.
  static LogFiles Make(std::vector<storage::FileEntry> files);

  /// No commit and no checkpoint is there.
  bool empty() const { return commits_.empty() && checkpoints_.empty(); }
  /// The last version. REQUIRES: !empty().
  int64_t last() const;
  /// Commits by version.
  const std::map<int64_t, storage::FileEntry>& commits() const { return commits_; }
  /// All complete checkpoints, by version.
  const std::map<int64_t, Checkpoint>& checkpoints() const { return checkpoints_; }
  /// The first version that can be read: a checkpoint, or commit 0.
  std::optional<int64_t> first() const;

  /// NotFound for a version that is not, or not any more, there; Corrupt for a log with a
  /// gap. `display_path` is the log's folder.
  Result<LogSegment> SegmentOf(int64_t version, const std::string& display_path) const;

 private:
  std::map<int64_t, storage::FileEntry> commits_;
  std::map<int64_t, Checkpoint> checkpoints_;
  /// By first version: the last one, and the file.
  std::multimap<int64_t, std::pair<int64_t, storage::FileEntry>> compacted_;
};

/// "00000000000000000012.json".
std::string CommitName(int64_t version);

}  // namespace headrace::table::delta
