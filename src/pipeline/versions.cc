#include <headrace/versions.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "base/clock.h"
#include "base/json_text.h"
#include "pipeline/delta_table.h"
#include "table/delta/deletion_vector.h"
#include "table/delta/delta_schema.h"
#include "table/delta/file_stats.h"
#include "table/delta/paths.h"
#include "table/delta/protocol.h"
#include "table/delta/transaction.h"

namespace headrace {
namespace {

using nlohmann::ordered_json;
using pipeline::DeltaTable;
using table::delta::AddFile;
using table::delta::RemoveFile;
using table::delta::Version;

ordered_json Object(const std::string& text) {
  auto parsed = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  return parsed.is_object() ? parsed : ordered_json::object();
}

int64_t RowsOf(const AddFile& add) {
  const int64_t deleted = add.deletion_vector ? add.deletion_vector->cardinality : 0;
  return table::delta::RowsOf(add.file.stats).value_or(0) - deleted;
}

int64_t RowsOf(const Version& version) {
  int64_t rows = 0;
  for (const AddFile& add : version.files) rows += RowsOf(add);
  return rows;
}

std::map<std::string, const AddFile*> ByKey(const Version& version) {
  std::map<std::string, const AddFile*> files;
  for (const AddFile& add : version.files) files[add.Key()] = &add;
  return files;
}

std::vector<std::string> SchemaChanges(const arrow::Schema& from,
                                       const arrow::Schema& to) {
  std::vector<std::string> changes;
  for (const auto& field : from.fields()) {
    const auto now = to.GetFieldByName(field->name());
    if (now == nullptr) {
      changes.push_back("removed column \"" + field->name() +
                        "\": " + field->type()->ToString());
    } else if (!now->type()->Equals(*field->type())) {
      changes.push_back("changed column \"" + field->name() + "\": " +
                        field->type()->ToString() + " to " + now->type()->ToString());
    }
  }
  for (const auto& field : to.fields()) {
    if (from.GetFieldByName(field->name()) == nullptr) {
      changes.push_back("added column \"" + field->name() +
                        "\": " + field->type()->ToString());
    }
  }
  return changes;
}

}  // namespace

Result<std::vector<TableCommit>> History(const std::string& uri,
                                         const OpenOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const DeltaTable table, DeltaTable::Open(uri, options));
  pipeline::ThreadExecutor executor(options.num_threads);
  ARROW_ASSIGN_OR_RAISE(auto commits, table.log.History(executor));
  std::vector<TableCommit> history;
  history.reserve(commits.size());
  for (auto& commit : commits) {
    history.push_back({commit.version, commit.timestamp_ms,
                       std::move(commit.info.operation),
                       std::move(commit.info.parameters), std::move(commit.info.metrics),
                       std::move(commit.info.engine)});
  }
  return history;
}

std::string ToString(const std::vector<TableCommit>& history) {
  std::ostringstream text;
  for (const TableCommit& commit : history) {
    text << commit.version << "  " << table::delta::TimeText(commit.timestamp_ms) << "  "
         << (commit.operation.empty() ? "-" : commit.operation);
    for (const auto& [name, value] : Object(commit.parameters).items()) {
      text << " " << name << "="
           << (value.is_string() ? value.get<std::string>() : base::JsonText(value));
    }
    if (!commit.engine.empty()) text << "  (" << commit.engine << ")";
    text << "\n";
  }
  return text.str();
}

std::string ToJson(const std::vector<TableCommit>& history) {
  ordered_json list = ordered_json::array();
  for (const TableCommit& commit : history) {
    list.push_back({{"version", commit.version},
                    {"timestamp", table::delta::TimeText(commit.timestamp_ms)},
                    {"operation", commit.operation},
                    {"parameters", Object(commit.parameters)},
                    {"metrics", Object(commit.metrics)},
                    {"engine", commit.engine}});
  }
  return base::JsonText(list);
}

Result<TableDiff> Diff(const std::string& uri, int64_t from, int64_t to,
                       const OpenOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const DeltaTable table, DeltaTable::Open(uri, options));
  pipeline::ThreadExecutor executor(options.num_threads);
  ARROW_ASSIGN_OR_RAISE(const Version before, table.log.Read(from, executor));
  ARROW_ASSIGN_OR_RAISE(const Version after, table.log.Read(to, executor));
  TableDiff diff;
  diff.from = from;
  diff.to = to;
  diff.rows_from = RowsOf(before);
  diff.rows_to = RowsOf(after);
  const auto old_files = ByKey(before), new_files = ByKey(after);
  for (const auto& [key, add] : new_files) {
    if (old_files.count(key) > 0) continue;
    diff.files_added.push_back(add->file.path);
    diff.rows_added += RowsOf(*add);
  }
  for (const auto& [key, add] : old_files) {
    if (new_files.count(key) > 0) continue;
    diff.files_removed.push_back(add->file.path);
    diff.rows_removed += RowsOf(*add);
  }
  ARROW_ASSIGN_OR_RAISE(const auto old_schema,
                        table::delta::FromDeltaSchema(before.metadata.schema, uri));
  ARROW_ASSIGN_OR_RAISE(const auto new_schema,
                        table::delta::FromDeltaSchema(after.metadata.schema, uri));
  diff.schema = SchemaChanges(*old_schema, *new_schema);
  return diff;
}

std::string TableDiff::ToString() const {
  std::ostringstream text;
  text << "version " << from << " to " << to << ": " << rows_from << " to " << rows_to
       << " rows\n"
       << "files: " << files_added.size() << " added (" << rows_added << " rows), "
       << files_removed.size() << " removed (" << rows_removed << " rows)\n";
  for (const std::string& path : files_added) text << "  + " << path << "\n";
  for (const std::string& path : files_removed) text << "  - " << path << "\n";
  text << "schema: " << (schema.empty() ? "the same" : "") << "\n";
  for (const std::string& change : schema) text << "  " << change << "\n";
  return text.str();
}

std::string TableDiff::ToJson() const {
  return base::JsonText(ordered_json{{"from", from},
                                     {"to", to},
                                     {"rows_from", rows_from},
                                     {"rows_to", rows_to},
                                     {"rows_added", rows_added},
                                     {"rows_removed", rows_removed},
                                     {"files_added", files_added},
                                     {"files_removed", files_removed},
                                     {"schema", schema}});
}

Result<int64_t> Restore(const std::string& uri, int64_t version,
                        const OpenOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const DeltaTable table, DeltaTable::Open(uri, options));
  pipeline::ThreadExecutor executor(options.num_threads);
  ARROW_ASSIGN_OR_RAISE(const Version wanted, table.log.Read(version, executor));
  ARROW_ASSIGN_OR_RAISE(const Version now, table.log.Read(table.log.last(), executor));
  ARROW_RETURN_NOT_OK(table.CheckWritable(now, /*removes_rows=*/true));
  table::delta::CommitSpec spec;
  spec.operation = "RESTORE";
  spec.parameters = {{"version", std::to_string(version)}};
  spec.GoBy(now);
  spec.reads_all = true;
  if (wanted.metadata != now.metadata) spec.metadata = wanted.metadata;
  const int64_t now_ms = base::NowMs();
  const auto old_files = ByKey(wanted), new_files = ByKey(now);
  for (const auto& [key, add] : old_files) {
    if (new_files.count(key) == 0) spec.adds.push_back(*add);
  }
  for (const auto& [key, add] : new_files) {
    if (old_files.count(key) == 0) {
      spec.removes.push_back({add->file.path, add->deletion_vector, now_ms, true});
    }
  }
  ARROW_RETURN_NOT_OK(
      executor.ForEach(static_cast<int64_t>(spec.adds.size()), [&](int64_t i) -> Status {
        const auto& file = spec.adds[static_cast<size_t>(i)].file;
        ARROW_ASSIGN_OR_RAISE(
            std::string path,
            table::delta::ResolvePath(*table.storage, table.root, file.path));
        auto change = table.storage->ChangeOf({path, file.path, file.size, 0});
        if (!change.ok()) {
          return WithContext(change.status(), "version " + std::to_string(version) +
                                                  " cannot be restored");
        }
        return Status::OK();
      }));
  return table.Commit(spec, executor);
}

Result<VacuumReport> Vacuum(const std::string& uri, int64_t older_than_ms, bool dry_run,
                            const OpenOptions& options) {
  if (older_than_ms < 0) {
    return Error(
        ErrorKind::kInvalidArgument,
        "older_than_ms is " + std::to_string(older_than_ms) + ", expected 0 or more");
  }
  ARROW_ASSIGN_OR_RAISE(const DeltaTable table, DeltaTable::Open(uri, options));
  pipeline::ThreadExecutor executor(options.num_threads);
  ARROW_ASSIGN_OR_RAISE(const Version now, table.log.Read(table.log.last(), executor));
  ARROW_RETURN_NOT_OK(table.CheckWritable(now, /*removes_rows=*/false));
  const int64_t before_ms = base::NowMs() - older_than_ms;
  std::set<std::string> needed;
  auto need = [&](const std::string& path,
                  const std::optional<table::delta::DeletionVector>& vector) {
    needed.insert(path);
    if (vector && vector->storage == 'u') {
      needed.insert(table::delta::PathOfUuid(vector->path_or_bytes));
    }
  };
  for (const AddFile& add : now.files) need(add.file.path, add.deletion_vector);
  for (const RemoveFile& remove : now.removed) {
    if (remove.deleted_ms >= before_ms) need(remove.path, remove.deletion_vector);
  }
  ARROW_ASSIGN_OR_RAISE(auto files,
                        table.storage->ListAll(table.root, /*recursive=*/true));
  VacuumReport report;
  std::vector<std::string> paths;
  for (const storage::FileEntry& file : files) {
    const bool in_log =
        file.relative_path.starts_with(std::string(table::delta::kLogFolder) + "/");
    const bool left_over = file.relative_path.ends_with(".tmp");
    const bool hidden = file.relative_path[0] == '_' || file.relative_path[0] == '.';
    if ((in_log || hidden) && !left_over) continue;
    if (needed.count(file.relative_path) > 0) continue;
    if (file.modified_ns / 1'000'000 >= before_ms) continue;
    report.files.push_back(file.relative_path);
    report.bytes += file.size;
    paths.push_back(file.path);
  }
  if (!dry_run) {
    ARROW_RETURN_NOT_OK(executor.ForEach(
        static_cast<int64_t>(paths.size()),
        [&](int64_t i) { return table.storage->Delete(paths[static_cast<size_t>(i)]); }));
  }
  report.deleted = !dry_run;
  return report;
}

std::string VacuumReport::ToString() const {
  std::ostringstream text;
  for (const std::string& file : files) text << file << "\n";
  text << files.size() << (files.size() == 1 ? " file, " : " files, ") << bytes
       << " bytes" << (deleted ? ", deleted" : " can be deleted") << "\n";
  return text.str();
}

std::string VacuumReport::ToJson() const {
  return base::JsonText(
      ordered_json{{"files", files}, {"bytes", bytes}, {"deleted", deleted}});
}

}  // namespace headrace
