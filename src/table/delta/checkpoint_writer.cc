#include "table/delta/checkpoint_writer.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/writer.h>

#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/one_line.h"
#include "table/delta/paths.h"

namespace headrace::table::delta {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kRetentionMs = int64_t{7} * 24 * 60 * 60 * 1000;

std::shared_ptr<arrow::Schema> CheckpointSchema() {
  using arrow::field;
  const auto& text = arrow::utf8();
  const auto& whole = arrow::int64();
  const auto& small = arrow::int32();
  const auto texts = arrow::map(text, text);
  const auto names = arrow::list(field("element", text));
  const auto vector = arrow::struct_(
      {field("storageType", text), field("pathOrInlineDv", text), field("offset", small),
       field("sizeInBytes", small), field("cardinality", whole)});
  const auto& flag = arrow::boolean();
  return arrow::schema(
      {field("txn", arrow::struct_({field("appId", text), field("version", whole),
                                    field("lastUpdated", whole)})),
       field("add",
             arrow::struct_({field("path", text), field("partitionValues", texts),
                             field("size", whole), field("modificationTime", whole),
                             field("dataChange", flag), field("stats", text),
                             field("tags", texts), field("deletionVector", vector)})),
       field("remove", arrow::struct_(
                           {field("path", text), field("deletionTimestamp", whole),
                            field("dataChange", flag), field("deletionVector", vector)})),
       field("metaData",
             arrow::struct_(
                 {field("id", text), field("name", text), field("description", text),
                  field("format", arrow::struct_({field("provider", text),
                                                  field("options", texts)})),
                  field("schemaString", text), field("partitionColumns", names),
                  field("configuration", texts), field("createdTime", whole)})),
       field("protocol",
             arrow::struct_(
                 {field("minReaderVersion", small), field("minWriterVersion", small),
                  field("readerFeatures", names), field("writerFeatures", names)})),
       field("domainMetadata",
             arrow::struct_({field("domain", text), field("configuration", text),
                             field("removed", flag)}))});
}

// Appends what the log has as JSON; members that are not there are null.
Status Append(const ordered_json& value, arrow::ArrayBuilder* to) {
  if (value.is_null()) return to->AppendNull();
  switch (to->type()->id()) {
    case arrow::Type::STRING:
      return static_cast<arrow::StringBuilder*>(to)->Append(
          value.get_ref<const std::string&>());
    case arrow::Type::INT64:
      return static_cast<arrow::Int64Builder*>(to)->Append(value.get<int64_t>());
    case arrow::Type::INT32:
      return static_cast<arrow::Int32Builder*>(to)->Append(value.get<int32_t>());
    case arrow::Type::BOOL:
      return static_cast<arrow::BooleanBuilder*>(to)->Append(value.get<bool>());
    case arrow::Type::LIST: {
      auto* list = static_cast<arrow::ListBuilder*>(to);
      ARROW_RETURN_NOT_OK(list->Append());
      for (const auto& element : value) {
        ARROW_RETURN_NOT_OK(Append(element, list->value_builder()));
      }
      return Status::OK();
    }
    case arrow::Type::MAP: {
      auto* map = static_cast<arrow::MapBuilder*>(to);
      ARROW_RETURN_NOT_OK(map->Append());
      for (const auto& [key, item] : value.items()) {
        ARROW_RETURN_NOT_OK(
            static_cast<arrow::StringBuilder*>(map->key_builder())->Append(key));
        ARROW_RETURN_NOT_OK(Append(item, map->item_builder()));
      }
      return Status::OK();
    }
    default: {
      auto* members = static_cast<arrow::StructBuilder*>(to);
      ARROW_RETURN_NOT_OK(members->Append());
      for (int i = 0; i < members->num_fields(); ++i) {
        const auto found = value.find(members->type()->field(i)->name());
        ARROW_RETURN_NOT_OK(Append(found == value.end() ? ordered_json() : *found,
                                   members->field_builder(i)));
      }
      return Status::OK();
    }
  }
}

/// Rows of a checkpoint, each an action.
class Rows {
 public:
  Rows() : type_(arrow::struct_(CheckpointSchema()->fields())) {}

  Status Init() {
    ARROW_RETURN_NOT_OK(arrow::MakeBuilder(arrow::default_memory_pool(), type_, &rows_));
    return Status::OK();
  }
  // What a commit has in a line.
  Status AddLine(const std::string& line) {
    return Append(ordered_json::parse(line), rows_.get());
  }
  Result<std::shared_ptr<arrow::Table>> Finish() {
    ARROW_ASSIGN_OR_RAISE(auto rows, rows_->Finish());
    ARROW_ASSIGN_OR_RAISE(auto batch, arrow::RecordBatch::FromStructArray(rows));
    return arrow::Table::FromRecordBatches({std::move(batch)});
  }

 private:
  std::shared_ptr<arrow::DataType> type_;
  std::unique_ptr<arrow::ArrayBuilder> rows_;
};

std::string ToLine(const ApplicationVersion& application) {
  ordered_json j = {{"appId", application.app_id}, {"version", application.version}};
  if (application.updated_ms) j["lastUpdated"] = *application.updated_ms;
  return ordered_json{{"txn", std::move(j)}}.dump();
}

std::string ToLine(const DomainMetadata& domain) {
  return ordered_json{{"domainMetadata",
                       {{"domain", domain.domain},
                        {"configuration", domain.configuration},
                        {"removed", false}}}}
      .dump();
}

Result<std::shared_ptr<arrow::Table>> TableOf(const Version& version,
                                              int64_t removed_after_ms) {
  Rows rows;
  ARROW_RETURN_NOT_OK(rows.Init());
  ARROW_RETURN_NOT_OK(rows.AddLine(ToLine(version.protocol)));
  ARROW_RETURN_NOT_OK(rows.AddLine(ToLine(version.metadata)));
  for (const ApplicationVersion& application : version.applications) {
    ARROW_RETURN_NOT_OK(rows.AddLine(ToLine(application)));
  }
  for (const DomainMetadata& domain : version.domains) {
    ARROW_RETURN_NOT_OK(rows.AddLine(ToLine(domain)));
  }
  for (AddFile add : version.files) {
    add.data_change = false;
    ARROW_RETURN_NOT_OK(rows.AddLine(ToLine(add)));
  }
  for (RemoveFile remove : version.removed) {
    if (remove.deleted_ms < removed_after_ms) continue;
    remove.data_change = false;
    ARROW_RETURN_NOT_OK(rows.AddLine(ToLine(remove)));
  }
  return rows.Finish();
}

}  // namespace

Result<std::shared_ptr<arrow::Buffer>> EncodeCheckpoint(const Version& version,
                                                        int64_t removed_after_ms) {
  try {
    ARROW_ASSIGN_OR_RAISE(const auto table, TableOf(version, removed_after_ms));
    ARROW_ASSIGN_OR_RAISE(auto out, arrow::io::BufferOutputStream::Create());
    const auto properties = parquet::WriterProperties::Builder()
                                .compression(arrow::Compression::SNAPPY)
                                ->build();
    ARROW_RETURN_NOT_OK(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(),
                                                   out, 256 << 10, properties));
    return out->Finish();
  } catch (const std::exception& e) {
    return Error(ErrorKind::kInternal,
                 "the checkpoint of version " + std::to_string(version.number) +
                     " was not written: " + base::OneLine(e.what()));
  }
}

Status WriteCheckpoint(const Log& log, const Version& version, int64_t now_ms) {
  ARROW_ASSIGN_OR_RAISE(const auto bytes,
                        EncodeCheckpoint(version, now_ms - kRetentionMs));
  std::string name = CommitName(version.number);
  name.replace(name.rfind(".json"), std::string::npos, ".checkpoint.parquet");
  ARROW_ASSIGN_OR_RAISE(
      const bool written,
      log.storage().PutIfAbsent(log.PathOf(name), std::string_view(*bytes)));
  if (!written) return Status::OK();
  const ordered_json last = {
      {"version", version.number},
      {"size", static_cast<int64_t>(version.files.size() + version.removed.size()) + 2},
      {"sizeInBytes", bytes->size()},
      {"numOfAddFiles", version.files.size()}};
  return log.storage().Replace(log.PathOf("_last_checkpoint"), last.dump());
}

}  // namespace headrace::table::delta
