#include "table/delta/log.h"

#include <arrow/io/memory.h>
#include <arrow/scalar.h>
#include <arrow/util/value_parsing.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "table/delta/checkpoint_reader.h"
#include "table/delta/paths.h"
#include "table/delta/protocol.h"

namespace headrace::table::delta {
namespace {

/// Actions from the last to the first: what was met first stands.
class Replay {
 public:
  void Add(Actions&& actions) {
    if (!protocol_) protocol_ = std::move(actions.protocol);
    if (!metadata_) metadata_ = std::move(actions.metadata);
    // Of one commit, which may remove a file and add it with more rows deleted: such
    // differ by key.
    for (AddFile& add : actions.adds) {
      if (known_.insert(add.Key()).second) files_.push_back(std::move(add));
    }
    for (RemoveFile& remove : actions.removes) {
      if (known_.insert(remove.Key()).second) removed_.push_back(std::move(remove));
    }
    for (ApplicationVersion& application : actions.applications) {
      const std::string& id = application.app_id;
      if (apps_.insert(id).second) applications_.push_back(std::move(application));
    }
    for (DomainMetadata& domain : actions.domains) {
      if (domain_names_.insert(domain.domain).second) {
        domains_.push_back(std::move(domain));
      }
    }
  }

  Result<Version> Finish(int64_t number, const std::string& folder) && {
    if (!protocol_ || !metadata_) {
      return Error(ErrorKind::kCorrupt, folder + ": version " + std::to_string(number) +
                                            " has no " +
                                            (protocol_ ? "schema" : "protocol") +
                                            ": restore the log, or open another version");
    }
    std::erase_if(domains_, [](const DomainMetadata& domain) { return domain.removed; });
    Version version{number,
                    std::move(*protocol_),
                    std::move(*metadata_),
                    std::move(files_),
                    std::move(removed_),
                    std::move(applications_),
                    std::move(domains_)};
    std::ranges::sort(version.files, {}, [](const AddFile& add) -> const std::string& {
      return add.file.path;
    });
    return version;
  }

 private:
  std::optional<Protocol> protocol_;
  std::optional<Metadata> metadata_;
  std::vector<AddFile> files_;
  std::vector<RemoveFile> removed_;
  std::vector<ApplicationVersion> applications_;
  std::vector<DomainMetadata> domains_;
  std::unordered_set<std::string> known_, apps_, domain_names_;
};

// Times of files may go back; a commit is later than the one before.
void MakeRising(std::vector<Commit>* commits) {
  for (size_t i = 1; i < commits->size(); ++i) {
    Commit& commit = (*commits)[i];
    commit.timestamp_ms =
        std::max(commit.timestamp_ms, (*commits)[i - 1].timestamp_ms + 1);
  }
}

}  // namespace

Result<Version> VersionOf(Actions actions, int64_t number, const std::string& where) {
  Replay replay;
  replay.Add(std::move(actions));
  ARROW_ASSIGN_OR_RAISE(Version version, std::move(replay).Finish(number, where));
  ARROW_RETURN_NOT_OK(CheckReadable(version.protocol, where));
  return version;
}

std::string TimeText(int64_t timestamp_ms) {
  const arrow::TimestampScalar time(timestamp_ms,
                                    arrow::timestamp(arrow::TimeUnit::MILLI, "UTC"));
  std::string text = time.ToString();
  if (const size_t space = text.find(' '); space != std::string::npos) text[space] = 'T';
  return text;
}

Result<int64_t> ParseTime(const std::string& text) {
  bool has_zone = false;
  int64_t time = 0;
  for (const auto unit : {arrow::TimeUnit::MICRO, arrow::TimeUnit::NANO}) {
    const int64_t in_ms = unit == arrow::TimeUnit::MICRO ? 1'000 : 1'000'000;
    if (arrow::internal::ParseTimestampISO8601(text.data(), text.size(), unit, &time,
                                               &has_zone)) {
      return time / in_ms - (time % in_ms < 0 ? 1 : 0);
    }
  }
  return Error(ErrorKind::kInvalidArgument,
               "\"" + text +
                   "\" is no time, expected one such as 2026-11-01T00:00Z or 2026-11-01");
}

Log::Log(std::shared_ptr<storage::Storage> storage, std::string root, LogFiles files)
    : storage_(std::move(storage)), root_(std::move(root)), files_(std::move(files)) {}

std::string Log::PathOf(const std::string& name) const {
  return root_ + "/" + kLogFolder + "/" + name;
}

std::string Log::DisplayFolder() const {
  return storage_->Display(root_ + "/" + kLogFolder);
}

Result<std::optional<Log>> Log::Open(std::shared_ptr<storage::Storage> storage,
                                     const std::string& root) {
  auto found = storage->ListAll(root + "/" + kLogFolder, /*recursive=*/false);
  if (!found.ok()) {
    if (KindOf(found.status()) == ErrorKind::kNotFound) return std::optional<Log>();
    // Users know the table, so that its name stands first.
    const std::string folder = storage->Display(root + "/" + kLogFolder);
    const std::string said = MessageOf(found.status());
    if (!said.starts_with(folder)) return found.status();
    return Error(KindOf(found.status()),
                 storage->Display(root) + ": " + kLogFolder + said.substr(folder.size()));
  }
  auto listed = *std::move(found);
  // What a table keeps beside its commits tells that there were some.
  const bool lost = std::ranges::any_of(listed, [](const storage::FileEntry& file) {
    return file.relative_path == "_last_checkpoint" ||
           file.relative_path.find(".checkpoint.") != std::string::npos;
  });
  const bool begun = !listed.empty();
  LogFiles files = LogFiles::Make(std::move(listed));
  if (files.empty()) {
    if (!lost && !begun) return std::optional<Log>();
    if (!lost) {
      return Error(ErrorKind::kNotFound,
                   storage->Display(root) +
                       " is a Delta table that no write was finished of: its log has no "
                       "commit; write to it again, or delete the folder");
    }
    return Error(ErrorKind::kCorrupt,
                 storage->Display(root + "/" + kLogFolder) +
                     ": the log has neither a commit nor a whole checkpoint: restore it");
  }
  return std::optional<Log>(Log(std::move(storage), root, std::move(files)));
}

Result<Actions> Log::ReadActions(const storage::FileEntry& file) const {
  ARROW_ASSIGN_OR_RAISE(const auto bytes, storage_->ReadAll(file.path));
  return ParseActions(std::string_view(*bytes), storage_->Display(file.path));
}

Result<Actions> Log::ReadCommit(int64_t version) const {
  const auto found = files_.commits().find(version);
  if (found == files_.commits().end()) {
    return Error(ErrorKind::kNotFound, DisplayFolder() + ": " + CommitName(version) +
                                           " is not there, it may have been cleaned up");
  }
  return ReadActions(found->second);
}

Result<Actions> Log::ReadCheckpointPart(const storage::FileEntry& file) const {
  if (file.path.ends_with(".json")) return ReadActions(file);
  // Whole, so that what storage says is not taken for damage.
  ARROW_ASSIGN_OR_RAISE(const auto bytes, storage_->ReadAll(file.path));
  return ReadCheckpointFile(std::make_shared<arrow::io::BufferReader>(bytes),
                            storage_->Display(file.path));
}

Result<std::vector<Actions>> Log::ReadCheckpoint(const Checkpoint& checkpoint,
                                                 base::Executor& executor) const {
  std::vector<Actions> parts(checkpoint.files.size());
  ARROW_RETURN_NOT_OK(
      executor.ForEach(static_cast<int64_t>(parts.size()), [&](int64_t i) -> Status {
        const auto at = static_cast<size_t>(i);
        ARROW_ASSIGN_OR_RAISE(parts[at], ReadCheckpointPart(checkpoint.files[at]));
        return Status::OK();
      }));
  std::vector<storage::FileEntry> sidecars;
  for (const Actions& part : parts) {
    for (const Sidecar& sidecar : part.sidecars) {
      ARROW_ASSIGN_OR_RAISE(
          std::string path,
          ResolvePath(*storage_, root_ + "/" + kLogFolder + "/_sidecars", sidecar.path));
      sidecars.push_back({std::move(path), sidecar.path, sidecar.size, 0});
    }
  }
  const size_t first = parts.size();
  parts.resize(first + sidecars.size());
  ARROW_RETURN_NOT_OK(
      executor.ForEach(static_cast<int64_t>(sidecars.size()), [&](int64_t i) -> Status {
        const auto at = static_cast<size_t>(i);
        ARROW_ASSIGN_OR_RAISE(parts[first + at], ReadCheckpointPart(sidecars[at]));
        return Status::OK();
      }));
  return parts;
}

Result<Version> Log::Read(int64_t version, base::Executor& executor) const {
  ARROW_ASSIGN_OR_RAISE(const LogSegment segment,
                        files_.SegmentOf(version, DisplayFolder()));
  std::vector<Actions> commits(segment.commits.size());
  ARROW_RETURN_NOT_OK(
      executor.ForEach(static_cast<int64_t>(commits.size()), [&](int64_t i) -> Status {
        const auto at = static_cast<size_t>(i);
        ARROW_ASSIGN_OR_RAISE(commits[at], ReadActions(segment.commits[at]));
        return Status::OK();
      }));
  Replay replay;
  for (auto it = commits.rbegin(); it != commits.rend(); ++it) {
    replay.Add(std::move(*it));
  }
  if (segment.checkpoint) {
    ARROW_ASSIGN_OR_RAISE(auto parts, ReadCheckpoint(*segment.checkpoint, executor));
    for (Actions& part : parts) replay.Add(std::move(part));
  }
  ARROW_ASSIGN_OR_RAISE(Version read, std::move(replay).Finish(version, DisplayFolder()));
  ARROW_RETURN_NOT_OK(CheckReadable(read.protocol, storage_->Display(root_)));
  return read;
}

std::vector<Commit> Log::FileTimes() const {
  std::vector<Commit> commits;
  for (const auto& [version, file] : files_.commits()) {
    Commit& commit = commits.emplace_back();
    commit.version = version;
    commit.timestamp_ms = file.modified_ns / 1'000'000;
  }
  return commits;
}

Result<std::vector<Commit>> Log::History(base::Executor& executor) const {
  auto commits = FileTimes();
  ARROW_RETURN_NOT_OK(
      executor.ForEach(static_cast<int64_t>(commits.size()), [&](int64_t i) -> Status {
        Commit& commit = commits[static_cast<size_t>(i)];
        ARROW_ASSIGN_OR_RAISE(Actions actions, ReadCommit(commit.version));
        if (actions.commit_info) commit.info = std::move(*actions.commit_info);
        if (commit.info.in_commit_timestamp_ms) {
          commit.timestamp_ms = *commit.info.in_commit_timestamp_ms;
        }
        return Status::OK();
      }));
  MakeRising(&commits);
  std::ranges::reverse(commits);
  return commits;
}

Result<int64_t> Log::VersionAt(int64_t timestamp_ms, base::Executor& executor) const {
  std::vector<Commit> commits;
  ARROW_ASSIGN_OR_RAISE(
      const Actions last,
      ReadCommit(files_.commits().empty() ? files_.last()
                                          : files_.commits().rbegin()->first));
  if (last.commit_info && last.commit_info->in_commit_timestamp_ms) {
    ARROW_ASSIGN_OR_RAISE(commits, History(executor));
    std::ranges::reverse(commits);
  } else {
    commits = FileTimes();
    MakeRising(&commits);
  }
  const auto after =
      std::ranges::upper_bound(commits, timestamp_ms, {}, &Commit::timestamp_ms);
  if (after != commits.begin()) return std::prev(after)->version;
  return Error(ErrorKind::kNotFound, DisplayFolder() + ": no version is as old as " +
                                         TimeText(timestamp_ms) +
                                         ", the first commit there is version " +
                                         std::to_string(commits[0].version) + " of " +
                                         TimeText(commits[0].timestamp_ms));
}

}  // namespace headrace::table::delta
