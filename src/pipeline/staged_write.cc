#include <arrow/compute/initialize.h>
#include <arrow/record_batch.h>
#include <arrow/util/key_value_metadata.h>
#include <headrace/staged_write.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/uuid.h"
#include "pipeline/catalog.h"
#include "pipeline/delta_writing.h"
#include "pipeline/thread_executor.h"
#include "pipeline/write_files.h"
#include "storage/storage.h"
#include "table/delta/actions.h"
#include "table/delta/delta_schema.h"
#include "table/delta/file_stats.h"
#include "writer/stored_rows.h"

namespace headrace {
namespace {

using Clock = std::chrono::steady_clock;

// A staged part: the actions that a commit would have, and what was measured.
struct StagedPart {
  table::delta::Actions actions;
  WriteSummary measured;
};

std::string ToText(const std::string& schema, const pipeline::Written& written) {
  table::delta::Metadata metadata;
  metadata.schema = schema;
  std::string lines = table::delta::ToLine(metadata);
  for (const table::DataFile& file : written.files) {
    lines += table::delta::ToLine(table::delta::AddFile{.file = file});
  }
  const WriteSummary& summary = written.summary;
  return nlohmann::json{{"actions", lines},
                        {"bytes", summary.bytes},
                        {"row_groups", summary.row_groups},
                        {"bytes_spilled", summary.bytes_spilled},
                        {"memory_peak", summary.memory_peak},
                        {"memory_floor", summary.memory_floor}}
      .dump();
}

Result<StagedPart> ParsePart(const std::string& text, size_t number) {
  const std::string where = "staged part " + std::to_string(number);
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  StagedPart part;
  try {
    ARROW_ASSIGN_OR_RAISE(
        part.actions,
        table::delta::ParseActions(json.at("actions").get<std::string>(), where));
    json.at("row_groups").get_to(part.measured.row_groups);
    json.at("bytes_spilled").get_to(part.measured.bytes_spilled);
    json.at("memory_peak").get_to(part.measured.memory_peak);
    json.at("memory_floor").get_to(part.measured.memory_floor);
  } catch (const nlohmann::json::exception&) {
    return Error(ErrorKind::kInvalidArgument,
                 where + " is no text that StageFiles returned");
  }
  if (!part.actions.metadata) {
    return Error(ErrorKind::kInvalidArgument, where + " has no schema");
  }
  return part;
}

// SchemaMismatch naming the first column that differs.
Status CheckSame(const arrow::Schema& first, const arrow::Schema& other, size_t number) {
  const auto fail = [&](const std::string& column, const std::string& found,
                        const std::string& expected) {
    return Error(ErrorKind::kSchemaMismatch,
                 "column \"" + column + "\" is " + found + " in staged part " +
                     std::to_string(number) + " and " + expected + " in part 0");
  };
  for (const auto& field : first.fields()) {
    const auto same = other.GetFieldByName(field->name());
    if (same == nullptr) return fail(field->name(), "missing", "there");
    if (field->Equals(*same, /*check_metadata=*/true)) continue;
    if (field->Equals(*same, /*check_metadata=*/false)) {
      return fail(field->name(),
                  same->metadata() ? same->metadata()->ToString() : "plain",
                  field->metadata() ? field->metadata()->ToString() : "plain");
    }
    return fail(field->name(), same->ToString(), field->ToString());
  }
  for (const auto& field : other.fields()) {
    if (first.GetFieldByName(field->name()) == nullptr) {
      return fail(field->name(), "there", "missing");
    }
  }
  return Status::OK();
}

struct Parts {
  std::shared_ptr<arrow::Schema> schema;
  pipeline::Written written;
};

Result<Parts> MergeParts(const std::vector<std::string>& staged) {
  if (staged.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "no part was staged: expected at least one, which may have no rows");
  }
  Parts parts;
  WriteSummary& summary = parts.written.summary;
  std::set<std::string> texts, directories;
  for (size_t i = 0; i < staged.size(); ++i) {
    if (!texts.insert(staged[i]).second) continue;  // one that comes twice is there once
    ARROW_ASSIGN_OR_RAISE(const StagedPart part, ParsePart(staged[i], i));
    ARROW_ASSIGN_OR_RAISE(
        const auto schema,
        table::delta::FromDeltaSchema(part.actions.metadata->schema, "staged part"));
    if (parts.schema == nullptr) parts.schema = schema;
    ARROW_RETURN_NOT_OK(CheckSame(*parts.schema, *schema, i));
    for (const auto& add : part.actions.adds) {
      if (!add.file.partition_values.empty()) {
        directories.insert(add.file.path.substr(0, add.file.path.rfind('/') + 1));
      }
      table::DataFile file = add.file;
      file.rows = table::delta::RowsOf(file.stats);
      summary.rows += file.rows.value_or(0);
      summary.bytes += file.size;
      parts.written.files.push_back(std::move(file));
    }
    summary.row_groups += part.measured.row_groups;
    summary.bytes_spilled += part.measured.bytes_spilled;
    summary.memory_peak = std::max(summary.memory_peak, part.measured.memory_peak);
    summary.memory_floor = std::max(summary.memory_floor, part.measured.memory_floor);
  }
  summary.files = static_cast<int64_t>(parts.written.files.size());
  summary.partitions = static_cast<int64_t>(directories.size());
  return parts;
}

Status Initialize() {
  static const Status initialized = arrow::compute::Initialize();
  return initialized;
}

}  // namespace

Result<WritePlan> PlanWrite(const std::string& uri, const arrow::Schema& rows,
                            const WriteOptions& options) {
  if (uri.starts_with(kCatalogScheme)) {
    ARROW_ASSIGN_OR_RAISE(const auto named, pipeline::NamedWrite::Of(uri, options));
    auto plan = PlanWrite(named.uri, rows, named.options);
    if (!plan.ok()) return WithContext(plan.status(), "table " + named.name);
    plan->address = uri;
    plan->options.catalog = options.catalog;
    return plan;
  }
  ARROW_RETURN_NOT_OK(Initialize());
  ARROW_RETURN_NOT_OK(pipeline::CheckWriteOptions(options));
  if (options.format != "delta") {
    return Error(ErrorKind::kInvalidArgument,
                 "format is \"" + options.format +
                     "\", expected delta: without a log nothing can be committed");
  }
  ARROW_ASSIGN_OR_RAISE(const auto place, pipeline::TablePlace::Of(uri, options));
  pipeline::ThreadExecutor executor(options.num_threads);
  ARROW_ASSIGN_OR_RAISE(auto writing, pipeline::DeltaWriting::Begin(
                                          place.storage, place.root, options, executor));
  WritePlan plan{.uri = uri, .job = base::RandomUuid(), .options = options};
  if (plan.job.empty()) {
    return Error(ErrorKind::kInternal, "the system gives no random bytes");
  }
  plan.version = writing.version();
  plan.options.partition_by = writing.partition_by();
  plan.options.schema = writing.DeclaredSchema(rows);
  ARROW_ASSIGN_OR_RAISE(
      const auto stored,
      writer::StoredRows::Make(rows, plan.options.schema, writer::TypeRules::kDelta));
  ARROW_RETURN_NOT_OK(writing.Check(*stored.schema()));
  if (!plan.version) {
    // By who plans, as tasks that were given up would bring it back. It goes with the
    // end.
    ARROW_RETURN_NOT_OK(
        pipeline::AnnounceTable(*place.storage, place.root, plan.job).status());
  }
  return plan;
}

Result<std::string> StageFiles(const std::shared_ptr<arrow::RecordBatchReader>& data,
                               const WritePlan& plan, int64_t task,
                               const Progress& progress) {
  if (task < 0) {
    return Error(ErrorKind::kInvalidArgument,
                 "task is " + std::to_string(task) + ", expected at least 0");
  }
  ARROW_RETURN_NOT_OK(Initialize());
  ARROW_ASSIGN_OR_RAISE(const auto place,
                        pipeline::TablePlace::Of(plan.uri, plan.options));
  ARROW_ASSIGN_OR_RAISE(auto rows,
                        writer::StoredRows::Make(*data->schema(), plan.options.schema,
                                                 writer::TypeRules::kDelta));
  ARROW_ASSIGN_OR_RAISE(const std::string schema,
                        table::delta::ToDeltaSchema(*rows.schema()));
  ARROW_ASSIGN_OR_RAISE(
      const auto written,
      pipeline::WriteFiles(data.get(), std::move(rows), plan.options, *place.storage,
                           place.root, progress,
                           writer::FileNames{.job = plan.job, .task = task}));
  return ToText(schema, written);
}

Result<WriteSummary> CommitStaged(const WritePlan& plan,
                                  const std::vector<std::string>& staged) {
  const auto begin = Clock::now();
  ARROW_RETURN_NOT_OK(Initialize());
  ARROW_ASSIGN_OR_RAISE(const auto place,
                        pipeline::TablePlace::Of(plan.uri, plan.options));
  ARROW_ASSIGN_OR_RAISE(Parts parts, MergeParts(staged));
  pipeline::ThreadExecutor executor(plan.options.num_threads);
  ARROW_ASSIGN_OR_RAISE(
      auto writing, pipeline::DeltaWriting::Resume(place.storage, place.root,
                                                   plan.options, plan.version, executor));
  ARROW_RETURN_NOT_OK(writing.Check(*parts.schema));
  WriteSummary& summary = parts.written.summary;
  const Status committed = writing.CommitWritten(&parts.written, executor);
  if (!plan.version && pipeline::IsSettled(committed)) {
    // It stands, or its files are deleted. An announcement that stays is `vacuum`'s.
    ARROW_UNUSED(place.storage->Delete(pipeline::AnnouncementOf(place.root, plan.job)));
  }
  ARROW_RETURN_NOT_OK(committed);
  summary.uri = place.storage->Display(place.root);
  summary.memory_budget = plan.options.memory_budget;
  summary.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (!plan.address.empty()) {
    const auto named = pipeline::NamedWrite::Of(plan.address, plan.options);
    if (named.ok()) {
      named->Tell(&summary);
    } else {
      summary.catalog_error = MessageOf(named.status());
    }
  }
  return std::move(summary);
}

Status DiscardStaged(const WritePlan& plan) {
  ARROW_ASSIGN_OR_RAISE(const auto place,
                        pipeline::TablePlace::Of(plan.uri, plan.options));
  auto listed = place.storage->ListAll(place.root, /*recursive=*/true);
  if (!listed.ok()) {
    return KindOf(listed.status()) == ErrorKind::kNotFound ? Status::OK()
                                                           : listed.status();
  }
  for (const storage::FileEntry& file : *listed) {
    if (file.relative_path.find(plan.job) == std::string::npos) continue;
    const Status deleted = place.storage->Delete(file.path);
    if (!deleted.ok() && KindOf(deleted) != ErrorKind::kNotFound) return deleted;
  }
  return Status::OK();
}

}  // namespace headrace
