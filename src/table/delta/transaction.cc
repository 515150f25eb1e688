#include "table/delta/transaction.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "base/json_text.h"
#include "table/delta/checkpoint_writer.h"
#include "table/delta/paths.h"

namespace headrace::table::delta {
namespace {

using nlohmann::ordered_json;

constexpr char kEngine[] = "headrace/0.1.0";

std::string InfoLine(const CommitSpec& spec, int64_t now_ms, const std::string& unique,
                     std::optional<int64_t> in_commit_ms) {
  ordered_json info;
  // The first key where it is there, as the protocol wants the action first.
  if (in_commit_ms) info["inCommitTimestamp"] = *in_commit_ms;
  info["timestamp"] = now_ms;
  info["operation"] = spec.operation;
  info["operationParameters"] = ordered_json::object();
  for (const auto& [name, value] : spec.parameters) {
    info["operationParameters"][name] = value;
  }
  info["operationMetrics"] = ordered_json::object();
  for (const auto& [name, value] : spec.metrics) {
    info["operationMetrics"][name] = std::to_string(value);
  }
  if (spec.read_version) info["readVersion"] = *spec.read_version;
  info["isBlindAppend"] = spec.removes.empty() && !spec.reads_all;
  info["engineInfo"] = kEngine;
  info["txnId"] = unique;
  return base::JsonText(ordered_json{{"commitInfo", std::move(info)}}) + "\n";
}

std::string Lines(const CommitSpec& spec) {
  std::string lines;
  if (spec.protocol) lines += ToLine(*spec.protocol);
  if (spec.metadata) lines += ToLine(*spec.metadata);
  for (const RemoveFile& remove : spec.removes) lines += ToLine(remove);
  for (const AddFile& add : spec.adds) lines += ToLine(add);
  return lines;
}

bool InPartitions(const AddFile& add, const CommitSpec& spec) {
  if (spec.partitions.empty()) return true;
  return std::ranges::any_of(spec.partitions, [&](const auto& partition) {
    return std::ranges::all_of(partition, [&](const auto& value) {
      const auto found = add.file.partition_values.find(value.first);
      return found != add.file.partition_values.end() && found->second == value.second;
    });
  });
}

// What another commit did that this one cannot follow; empty if it can.
std::string ConflictOf(const CommitSpec& spec, const Actions& other) {
  if (!spec.read_version) return "created the table";
  if (other.protocol) return "changed the table's features";
  if (other.metadata) return "changed the table's schema or properties";
  if (!spec.removes.empty()) {
    std::set<std::string> mine;
    for (const RemoveFile& remove : spec.removes) mine.insert(remove.path);
    for (const RemoveFile& remove : other.removes) {
      if (mine.count(remove.path) > 0) return "removed " + remove.path;
    }
  }
  if (!spec.reads_all) return "";
  for (const AddFile& add : other.adds) {
    if (add.data_change && InPartitions(add, spec)) return "added " + add.file.path;
  }
  return "";
}

Result<Actions> ReadCommit(const storage::Storage& storage, const std::string& path) {
  ARROW_ASSIGN_OR_RAISE(const auto bytes, storage.ReadAll(path));
  return ParseActions(std::string_view(*bytes), storage.Display(path));
}

// A time later than that of the commit before.
Result<int64_t> LaterThan(const storage::Storage& storage, const std::string& path,
                          int64_t now_ms) {
  ARROW_ASSIGN_OR_RAISE(const Actions actions, ReadCommit(storage, path));
  if (!actions.commit_info) return now_ms;
  return std::max(now_ms, actions.commit_info->in_commit_timestamp_ms.value_or(0) + 1);
}

}  // namespace

Result<int64_t> Commit(const std::shared_ptr<storage::Storage>& storage,
                       const std::string& root, const CommitSpec& spec, int64_t now_ms,
                       const std::string& unique) {
  const std::string folder = root + "/" + kLogFolder + "/";
  const std::string lines = Lines(spec);
  int64_t version = spec.read_version ? *spec.read_version + 1 : 0;
  while (true) {
    std::optional<int64_t> time;
    if (spec.in_commit_timestamps) {
      time = now_ms;
      if (version > 0) {
        ARROW_ASSIGN_OR_RAISE(
            time, LaterThan(*storage, folder + CommitName(version - 1), now_ms));
      }
    }
    const std::string path = folder + CommitName(version);
    ARROW_ASSIGN_OR_RAISE(
        const bool committed,
        storage->PutIfAbsent(path, InfoLine(spec, now_ms, unique, time) + lines));
    if (committed) return version;
    ARROW_ASSIGN_OR_RAISE(const Actions other, ReadCommit(*storage, path));
    const std::string conflict = ConflictOf(spec, other);
    if (!conflict.empty()) {
      return Error(ErrorKind::kConflict,
                   storage->Display(root) + ": version " + std::to_string(version) +
                       ", committed meanwhile, " + conflict +
                       "; nothing was written: open the table anew and try again");
    }
    ++version;
  }
}

void CommitSpec::GoBy(const Version& version) {
  read_version = version.number;
  in_commit_timestamps = HasInCommitTimestamps(version.protocol, version.metadata);
  checkpoint_interval = CheckpointInterval(version.metadata);
}

bool IsCheckpointDue(const CommitSpec& spec, int64_t version) {
  const int64_t interval =
      spec.metadata ? CheckpointInterval(*spec.metadata) : spec.checkpoint_interval;
  return version > 0 && version % interval == 0;
}

Status WriteCheckpointOf(const std::shared_ptr<storage::Storage>& storage,
                         const std::string& root, int64_t version, int64_t now_ms,
                         base::Executor& executor) {
  ARROW_ASSIGN_OR_RAISE(const auto log, Log::Open(storage, root));
  if (!log) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(const Version whole, log->Read(version, executor));
  const auto& features = whole.protocol.writer_features;
  // Its checkpoints have a form of their own, which whoever asked for it writes.
  if (std::ranges::find(features, "v2Checkpoint") != features.end()) return Status::OK();
  return WriteCheckpoint(*log, whole, now_ms);
}

}  // namespace headrace::table::delta
