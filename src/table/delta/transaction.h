/// \file
/// Commits: a new version of a Delta table, or none.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "storage/storage.h"
#include "table/delta/actions.h"
#include "table/delta/log.h"
#include "table/delta/protocol.h"

namespace headrace::table::delta {

/// What a commit does, and what it went by.
struct CommitSpec {
  /// "WRITE", "RESTORE", "OPTIMIZE", ... as other engines call it.
  std::string operation = {};
  /// Values as JSON.
  std::map<std::string, std::string> parameters = {};
  std::map<std::string, int64_t> metrics = {};
  std::optional<Protocol> protocol = {};
  std::optional<Metadata> metadata = {};
  std::vector<AddFile> adds = {};
  std::vector<RemoveFile> removes = {};
  /// The version that it went by (`GoBy`); absent: there was no table.
  std::optional<int64_t> read_version = {};
  /// Commits of the table say their time (`HasInCommitTimestamps`).
  bool in_commit_timestamps = false;
  /// Which versions get a checkpoint: multiples of it.
  int64_t checkpoint_interval = kCheckpointInterval;
  /// It replaces all rows that there are, so that rows which another commit added
  /// meanwhile are a Conflict. Else others may add what they like.
  bool reads_all = false;
  /// With `reads_all`: only rows of these partitions, each a set of values.
  std::vector<std::map<std::string, std::optional<std::string>>> partitions = {};

  /// Takes number and properties of the version that the commit goes by.
  void GoBy(const Version& version);
};

/// Commits to the table at `root`: the number of the new version. Where another commit
/// was faster and did nothing that this one went by, it tries the next number; else
/// Conflict, and nothing is changed. Nobody sees a part of it.
///
/// \param now_ms the time, since the epoch.
/// \param unique a text of no other commit.
Result<int64_t> Commit(const std::shared_ptr<storage::Storage>& storage,
                       const std::string& root, const CommitSpec& spec, int64_t now_ms,
                       const std::string& unique);

/// Whether the table's properties ask for a checkpoint of `version`, which was committed.
bool IsCheckpointDue(const CommitSpec& spec, int64_t version);

/// Writes a checkpoint of `version`, if the table takes classic ones.
Status WriteCheckpointOf(const std::shared_ptr<storage::Storage>& storage,
                         const std::string& root, int64_t version, int64_t now_ms,
                         base::Executor& executor);

}  // namespace headrace::table::delta
