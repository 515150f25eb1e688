/// \file
/// The log of a Delta table: its versions, and what each consists of.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "storage/storage.h"
#include "table/delta/actions.h"
#include "table/delta/log_files.h"

namespace headrace::table::delta {

/// One version of a table.
struct Version {
  int64_t number = 0;
  Protocol protocol = {};
  Metadata metadata = {};
  /// By path, bytewise.
  std::vector<AddFile> files = {};
  /// What a checkpoint holds besides.
  std::vector<RemoveFile> removed = {};
  std::vector<ApplicationVersion> applications = {};
  std::vector<DomainMetadata> domains = {};
};

/// The version that actions alone make. Unsupported for features that are not known,
/// Corrupt, naming `where`, if something is missing.
Result<Version> VersionOf(Actions actions, int64_t number, const std::string& where);

/// A commit as `history` tells it.
struct Commit {
  int64_t version = 0;
  /// By what `as_of` goes.
  int64_t timestamp_ms = 0;
  CommitInfo info = {};
};

/// "2026-11-01T00:00:00.000Z".
std::string TimeText(int64_t timestamp_ms);

/// A time as users write it, in milliseconds since the epoch: "2026-11-01T00:00Z", with
/// another offset, or a date; UTC where it names none. InvalidArgument for anything else.
Result<int64_t> ParseTime(const std::string& text);

/// A listed log. Immutable; thread-safe.
class Log {
 public:
  /// Lists the log of the table at `root`; nothing if there is none. NotFound if a write
  /// began it, and none was finished.
  static Result<std::optional<Log>> Open(std::shared_ptr<storage::Storage> storage,
                                         const std::string& root);

  const LogFiles& files() const { return files_; }
  const std::string& root() const { return root_; }
  const storage::Storage& storage() const { return *storage_; }
  int64_t last() const { return files_.last(); }

  /// Replays a version. NotFound for one that is not there, Unsupported for features that
  /// are not known, Corrupt for a damaged log.
  Result<Version> Read(int64_t version, base::Executor& executor) const;
  /// The last version committed at `timestamp_ms` or before. NotFound before the first.
  Result<int64_t> VersionAt(int64_t timestamp_ms, base::Executor& executor) const;
  /// The actions of one commit.
  Result<Actions> ReadCommit(int64_t version) const;
  /// All commits that are there, the last first.
  Result<std::vector<Commit>> History(base::Executor& executor) const;

  /// "lake/flights/_delta_log", as users know it.
  std::string DisplayFolder() const;
  /// Of a file in the log.
  std::string PathOf(const std::string& name) const;

 private:
  Log(std::shared_ptr<storage::Storage> storage, std::string root, LogFiles files);
  Result<Actions> ReadActions(const storage::FileEntry& file) const;
  Result<Actions> ReadCheckpointPart(const storage::FileEntry& file) const;
  Result<std::vector<Actions>> ReadCheckpoint(const Checkpoint& checkpoint,
                                              base::Executor& executor) const;
  std::vector<Commit> FileTimes() const;

  std::shared_ptr<storage::Storage> storage_;
  std::string root_;
  LogFiles files_;
};

}  // namespace headrace::table::delta
