#include "pipeline/delta_writing.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/uuid.h"
#include "pipeline/delta_table.h"
#include "schema/field.h"
#include "table/delta/delta_schema.h"
#include "table/delta/file_stats.h"
#include "table/delta/paths.h"
#include "table/delta/protocol.h"

namespace headrace::pipeline {
namespace {

using table::DataFile;
using table::delta::CommitSpec;
using table::delta::Protocol;

using PartitionValues = std::map<std::string, std::optional<std::string>>;

std::string Quoted(const std::vector<std::string>& names) {
  return base::JsonText(nlohmann::json(names));
}

bool AddIfMissing(const std::string& feature, std::vector<std::string>* features) {
  if (std::ranges::find(*features, feature) != features->end()) return false;
  features->push_back(feature);
  return true;
}

// The protocol of a table that has the schema's types; `before` where there is one.
Result<Protocol> ProtocolFor(const arrow::Schema& schema,
                             const std::optional<Protocol>& before) {
  Protocol protocol = before.value_or(Protocol{});
  if (!table::delta::HasTimestampNtz(*arrow::struct_(schema.fields()))) return protocol;
  if (protocol.reader_version < 3 || protocol.writer_version < 7) {
    if (protocol.reader_version > 1 || protocol.writer_version > 2) {
      return Error(ErrorKind::kUnsupported,
                   "timestamps without a time zone need a Delta feature that a table of "
                   "writer version " +
                       std::to_string(protocol.writer_version) +
                       " does not have: cast them to UTC, or upgrade the table");
    }
    protocol.reader_version = 3;
    protocol.writer_version = 7;
    protocol.writer_features = {"appendOnly", "invariants"};
  }
  AddIfMissing("timestampNtz", &protocol.reader_features);
  AddIfMissing("timestampNtz", &protocol.writer_features);
  return protocol;
}

}  // namespace

std::string AnnouncementOf(const std::string& root, const std::string& name) {
  return root + "/" + table::delta::kLogFolder + "/." + name + ".tmp";
}

Result<std::string> AnnounceTable(storage::Storage& storage, const std::string& root,
                                  const std::string& name) {
  std::string path = AnnouncementOf(root, name);
  ARROW_ASSIGN_OR_RAISE(const auto file, storage.Create(path));
  ARROW_RETURN_NOT_OK(file->Close());
  return path;
}

bool IsSettled(const Status& committed) {
  return committed.ok() || KindOf(committed) == ErrorKind::kConflict ||
         KindOf(committed) == ErrorKind::kSchemaMismatch;
}

Result<DeltaWriting> DeltaWriting::Begin(std::shared_ptr<storage::Storage> storage,
                                         std::string root, const WriteOptions& options,
                                         base::Executor& executor) {
  DeltaWriting writing;
  writing.storage_ = std::move(storage);
  writing.root_ = std::move(root);
  writing.options_ = options;
  ARROW_RETURN_NOT_OK(writing.ReadTable({}, executor));
  if (writing.version_ || writing.begun_) return writing;
  // Files without a log would vanish from what readers see.
  auto present = writing.storage_->List(writing.root_);
  if (present.ok()) {
    // Or they are of a table that another writer began since.
    ARROW_RETURN_NOT_OK(writing.ReadTable({}, executor));
    if (writing.version_ || writing.begun_) return writing;
    return Error(ErrorKind::kConflict,
                 writing.storage_->Display(writing.root_) + " has " +
                     std::to_string(present->size()) +
                     " data files and no Delta log: write elsewhere, or with "
                     "format=\"parquet\"");
  }
  if (KindOf(present.status()) != ErrorKind::kNotFound) return present.status();
  return writing;
}

Result<DeltaWriting> DeltaWriting::Resume(std::shared_ptr<storage::Storage> storage,
                                          std::string root, const WriteOptions& options,
                                          std::optional<int64_t> version,
                                          base::Executor& executor) {
  DeltaWriting writing;
  writing.storage_ = std::move(storage);
  writing.root_ = std::move(root);
  writing.options_ = options;
  writing.partition_by_ = options.partition_by;
  if (version) ARROW_RETURN_NOT_OK(writing.ReadTable(version, executor));
  return writing;
}

std::optional<int64_t> DeltaWriting::version() const {
  return version_ ? std::optional<int64_t>(version_->number) : std::nullopt;
}

Status DeltaWriting::ReadTable(std::optional<int64_t> version, base::Executor& executor) {
  partition_by_ = options_.partition_by;
  auto opened = table::delta::Log::Open(storage_, root_);
  begun_ = !opened.ok() && KindOf(opened.status()) == ErrorKind::kNotFound;
  if (begun_ && !version) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(auto log, std::move(opened));
  const std::string display = storage_->Display(root_);
  if (!log && !version) return Status::OK();
  if (!log) {
    return Error(ErrorKind::kNotFound, display + ": the table is there no more");
  }
  if (options_.mode == "error") {
    return Error(ErrorKind::kConflict,
                 display + " is a table already, of version " +
                     std::to_string(log->last()) +
                     ": choose mode append, overwrite or overwrite_partitions, or write "
                     "elsewhere");
  }
  ARROW_ASSIGN_OR_RAISE(version_, log->Read(version.value_or(log->last()), executor));
  const DeltaTable table{storage_, root_, *std::move(log)};
  ARROW_RETURN_NOT_OK(table.CheckWritable(*version_, replaces()));
  ARROW_ASSIGN_OR_RAISE(
      table_schema_, table::delta::FromDeltaSchema(version_->metadata.schema, display));
  const auto& columns = version_->metadata.partition_columns;
  if (options_.mode == "overwrite") return Status::OK();
  if (!partition_by_.empty() && partition_by_ != columns) {
    return Error(ErrorKind::kInvalidArgument,
                 "partition_by is " + Quoted(partition_by_) + ", and " + display +
                     " is partitioned by " + Quoted(columns) +
                     ": leave partition_by out, or overwrite the table");
  }
  partition_by_ = columns;
  if (options_.mode == "overwrite_partitions" && columns.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "mode is \"overwrite_partitions\", and " + display +
                     " has no partitions: choose mode overwrite");
  }
  return Status::OK();
}

Status DeltaWriting::Announce() {
  if (version_) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(std::string path,
                        AnnounceTable(*storage_, root_, base::RandomUuid()));
  announced_ = {new std::string(std::move(path)), Withdraw{storage_}};
  return Status::OK();
}

void DeltaWriting::Withdraw::operator()(const std::string* path) const {
  ARROW_UNUSED(storage->Delete(*path));  // one that stays is left to `vacuum`
  delete path;
}

std::optional<Schema> DeltaWriting::DeclaredSchema(const arrow::Schema& given) const {
  if (options_.schema || !version_ || options_.mode == "overwrite") {
    return options_.schema;
  }
  std::vector<Field> fields;
  for (const auto& column : table_schema_->fields()) {
    const auto declared = schema::DeclaredField(*column);
    if (!declared.ok() || !*declared || (*declared)->codec == "arrow") continue;
    if (given.GetFieldByName(column->name()) != nullptr) fields.push_back(**declared);
  }
  if (fields.empty()) return {};
  auto known = Schema::Make(std::move(fields));
  return known.ok() ? std::optional<Schema>(*known) : std::nullopt;
}

Status DeltaWriting::Check(const arrow::Schema& stored) {
  stored_ = arrow::schema(stored.fields());
  for (const std::string& name : partition_by_) {
    if (stored.GetFieldByName(name) == nullptr) {
      return Error(ErrorKind::kNotFound, "partition_by names \"" + name +
                                             "\", which the rows have no column of");
    }
  }
  if (!version_ || options_.mode == "overwrite") return Status::OK();
  return CheckColumns(stored);
}

Status DeltaWriting::CheckColumns(const arrow::Schema& stored) const {
  const std::string display = storage_->Display(root_);
  for (const auto& field : stored.fields()) {
    const auto known = table_schema_->GetFieldByName(field->name());
    if (known == nullptr) {
      return Error(ErrorKind::kSchemaMismatch,
                   "column \"" + field->name() + "\" is not in " + display +
                       ": leave it out, or overwrite the table");
    }
    if (!known->type()->Equals(*field->type())) {
      return Error(ErrorKind::kSchemaMismatch, "column \"" + field->name() + "\" is " +
                                                   field->type()->ToString() + ", and " +
                                                   known->type()->ToString() + " in " +
                                                   display + ": cast it");
    }
    if (schema::DeclareDifferently(*known, *field)) {
      return Error(ErrorKind::kSchemaMismatch,
                   "column \"" + field->name() + "\" is declared otherwise than in " +
                       display + ": leave the schema out to take the table's");
    }
  }
  for (const auto& field : table_schema_->fields()) {
    if (!field->nullable() && stored.GetFieldByName(field->name()) == nullptr) {
      return Error(ErrorKind::kSchemaMismatch, "column \"" + field->name() +
                                                   "\" is missing, and " + display +
                                                   " allows no nulls in it");
    }
  }
  return Status::OK();
}

// Columns without nulls, by what was counted while writing.
Status DeltaWriting::CheckNulls(const std::vector<DataFile>& files) const {
  if (!version_ || options_.mode == "overwrite") return Status::OK();
  for (const auto& field : table_schema_->fields()) {
    const auto stored = stored_->GetFieldByName(field->name());
    if (field->nullable() || stored == nullptr || !stored->nullable()) continue;
    for (const DataFile& file : files) {
      const std::string path[] = {field->name()};
      const auto bounds = table::delta::BoundsOf(file.stats, path, field->type());
      if (bounds.null_count == 0 || file.partition_values.count(field->name()) > 0) {
        continue;
      }
      return Error(ErrorKind::kSchemaMismatch,
                   "column \"" + field->name() + "\" has nulls, or may have, and " +
                       storage_->Display(root_) + " allows none: fill them");
    }
  }
  return Status::OK();
}

Status DeltaWriting::AddSchema(CommitSpec* spec) const {
  ARROW_ASSIGN_OR_RAISE(const std::string schema, table::delta::ToDeltaSchema(*stored_));
  const bool same = version_ && version_->metadata.schema == schema &&
                    version_->metadata.partition_columns == partition_by_;
  if (same) return Status::OK();
  std::optional<Protocol> before;
  table::delta::Metadata metadata;
  if (version_) {
    before = version_->protocol;
    metadata = version_->metadata;
  } else {
    metadata.id = base::RandomUuid();
    metadata.created_ms = base::NowMs();
  }
  metadata.schema = schema;
  metadata.partition_columns = partition_by_;
  ARROW_ASSIGN_OR_RAISE(Protocol protocol, ProtocolFor(*stored_, before));
  if (before != protocol) spec->protocol = std::move(protocol);
  spec->metadata = std::move(metadata);
  return Status::OK();
}

void DeltaWriting::AddRemoves(const std::vector<DataFile>& files,
                              CommitSpec* spec) const {
  std::set<PartitionValues> written;
  const bool partitions = options_.mode == "overwrite_partitions";
  if (partitions) {
    for (const DataFile& file : files) written.insert(file.partition_values);
    spec->partitions.assign(written.begin(), written.end());
  }
  const int64_t now = base::NowMs();
  for (const auto& add : version_->files) {
    if (partitions && written.count(add.file.partition_values) == 0) continue;
    spec->removes.push_back({add.file.path, add.deletion_vector, now, true});
  }
}

Result<CommitSpec> DeltaWriting::SpecOf(const std::vector<DataFile>& files) const {
  CommitSpec spec;
  spec.operation = "WRITE";
  spec.parameters = {{"mode", replaces() ? "Overwrite" : "Append"},
                     {"partitionBy", Quoted(partition_by_)}};
  int64_t rows = 0, bytes = 0;
  for (const DataFile& file : files) {
    spec.adds.push_back({.file = file});
    rows += file.rows.value_or(0);
    bytes += file.size;
  }
  spec.metrics = {{"numFiles", static_cast<int64_t>(files.size())},
                  {"numOutputRows", rows},
                  {"numOutputBytes", bytes}};
  spec.reads_all = replaces();
  if (!version_ || options_.mode == "overwrite") {
    ARROW_RETURN_NOT_OK(AddSchema(&spec));
  }
  if (!version_) return spec;
  spec.GoBy(*version_);
  if (replaces()) AddRemoves(files, &spec);
  return spec;
}

Result<int64_t> DeltaWriting::Commit(const std::vector<DataFile>& files,
                                     base::Executor& executor) {
  while (true) {
    ARROW_RETURN_NOT_OK(CheckNulls(files));
    if (version_ && files.empty() && options_.mode != "overwrite") {
      return version_->number;
    }
    ARROW_ASSIGN_OR_RAISE(const CommitSpec spec, SpecOf(files));
    auto committed = CommitTo(storage_, root_, spec, executor);
    if (committed.ok()) {
      files_replaced_ = static_cast<int64_t>(spec.removes.size());
      return committed;
    }
    // Someone else made the table first: these rows are for it.
    const bool made = !version_ && options_.mode == "append" &&
                      KindOf(committed.status()) == ErrorKind::kConflict;
    if (!made) return committed;
    ARROW_RETURN_NOT_OK(ReadTable({}, executor));
    if (!version_) return committed;
    if (partition_by_ != options_.partition_by) return committed;
    ARROW_RETURN_NOT_OK(CheckColumns(*stored_));
  }
}

Status DeltaWriting::CommitWritten(Written* written, base::Executor& executor) {
  const auto version = Commit(written->files, executor);
  if (!version.ok()) {
    if (IsSettled(version.status())) DeleteFiles(*storage_, root_, written->files);
    return version.status();
  }
  written->summary.version = *version;
  written->summary.files_replaced = files_replaced_;
  return Status::OK();
}

}  // namespace headrace::pipeline
