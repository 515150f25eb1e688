// Table: what a Delta log says of a version.

#include <arrow/util/key_value_metadata.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <utility>

#include "base/hash.h"
#include "schema/field.h"
#include "table/delta/delta_schema.h"
#include "table/delta/file_stats.h"
#include "table/delta/paths.h"
#include "table/table.h"

namespace headrace::table {
namespace {

std::string MetadataOf(const arrow::Field& field, const char* key) {
  if (field.metadata() == nullptr) return "";
  return field.metadata()->Get(key).ValueOr("");
}

std::string PhysicalName(const arrow::Field& field) {
  std::string name = MetadataOf(field, delta::kPhysicalName);
  return name.empty() ? field.name() : name;
}

using Change =
    std::function<std::shared_ptr<arrow::Field>(const std::shared_ptr<arrow::Field>&)>;

// The type with all fields inside of it changed.
std::shared_ptr<arrow::DataType> WithFields(const std::shared_ptr<arrow::DataType>& type,
                                            const Change& change) {
  auto plain = [&](const std::shared_ptr<arrow::Field>& field) {
    return change(field->WithType(WithFields(field->type(), change)));
  };
  switch (type->id()) {
    case arrow::Type::STRUCT: {
      arrow::FieldVector fields;
      for (const auto& field : type->fields()) fields.push_back(plain(field));
      return arrow::struct_(fields);
    }
    case arrow::Type::LIST:
      return arrow::list(plain(type->field(0)));
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapType&>(*type);
      return std::make_shared<arrow::MapType>(plain(map.key_field()),
                                              plain(map.item_field()));
    }
    default:
      return type;
  }
}

std::shared_ptr<arrow::Field> WithoutMetadata(const std::shared_ptr<arrow::Field>& f) {
  return f->RemoveMetadata();
}

// The first field that lacks what files are searched by; empty: none does.
std::string UnmappedField(const arrow::DataType& type, bool by_id) {
  if (type.id() == arrow::Type::MAP) {
    // Its entries are a struct without names of their own.
    const auto& map = static_cast<const arrow::MapType&>(type);
    std::string key = UnmappedField(*map.key_type(), by_id);
    return key.empty() ? UnmappedField(*map.item_type(), by_id) : key;
  }
  const char* key = by_id ? delta::kPhysicalId : delta::kPhysicalName;
  for (const auto& field : type.fields()) {
    const bool named = type.id() == arrow::Type::STRUCT;
    if (named && MetadataOf(*field, key).empty()) return field->name();
    std::string inner = UnmappedField(*field->type(), by_id);
    if (!inner.empty()) return inner;
  }
  return "";
}

// The fields with what files call them, and without other metadata: ids only where files
// are to be searched by them.
std::shared_ptr<arrow::Schema> Mapped(const arrow::Schema& schema, bool by_id) {
  const Change names = [&](const std::shared_ptr<arrow::Field>& field) {
    auto metadata = std::make_shared<arrow::KeyValueMetadata>();
    const std::string name = MetadataOf(*field, delta::kPhysicalName);
    const std::string id = MetadataOf(*field, delta::kPhysicalId);
    if (!name.empty()) metadata->Append(delta::kPhysicalName, name);
    if (by_id && !id.empty()) metadata->Append(delta::kPhysicalId, id);
    return field->WithMetadata(std::move(metadata));
  };
  return arrow::schema(WithFields(arrow::struct_(schema.fields()), names)->fields());
}

}  // namespace

Status Table::ReadLog(const delta::Log& log, base::Executor& executor) {
  root_ = log.root();
  int64_t number = options_.version.value_or(log.last());
  if (options_.as_of_ms) {
    if (options_.version) {
      return Error(ErrorKind::kInvalidArgument,
                   "version and as_of were both given, expected one of them");
    }
    ARROW_ASSIGN_OR_RAISE(number, log.VersionAt(*options_.as_of_ms, executor));
  }
  ARROW_ASSIGN_OR_RAISE(const delta::Version version, log.Read(number, executor));
  return TakeVersion(version, executor);
}

Status Table::ReadActions(const std::string& root, base::Executor& executor) {
  root_ = root;
  while (root_.size() > 1 && root_.ends_with('/')) root_.pop_back();
  const std::string display = storage_->Display(root_);
  ARROW_ASSIGN_OR_RAISE(auto actions, delta::ParseActions(options_.actions, display));
  ARROW_ASSIGN_OR_RAISE(
      const delta::Version version,
      delta::VersionOf(std::move(actions), options_.version.value_or(0), display));
  return TakeVersion(version, executor);
}

Status Table::TakeVersion(const delta::Version& version, base::Executor& executor) {
  version_ = version.number;
  ARROW_RETURN_NOT_OK(SetSchema(version));
  fingerprint_ = base::HashHex("delta\n" + version.metadata.id + "\n" +
                               std::to_string(version.number));
  fragments_.reserve(version.files.size());
  for (const delta::AddFile& add : version.files) {
    ARROW_RETURN_NOT_OK(AddFile(add, root_));
  }
  // Rows that the log does not count, footers do.
  std::vector<uint8_t> uncounted(fragments_.size());
  for (size_t f = 0; f < fragments_.size(); ++f) {
    uncounted[f] = fragments_[f].rows < 0 ? 1 : 0;
  }
  if (std::ranges::find(uncounted, 1) != uncounted.end()) {
    ARROW_RETURN_NOT_OK(ReadFacts(uncounted, executor));
  }
  TakeFacts(uncounted);
  loaded_ = fragments_.empty();
  return Status::OK();
}

Status Table::SetSchema(const delta::Version& version) {
  const std::string display = storage_->Display(root_);
  ARROW_ASSIGN_OR_RAISE(mapped_schema_,
                        delta::FromDeltaSchema(version.metadata.schema, display));
  // The property counts only where the protocol has what it asks for.
  const auto& features = version.protocol.reader_features;
  const bool mapped = version.protocol.reader_version == 2 ||
                      std::ranges::find(features, "columnMapping") != features.end();
  const std::string mode =
      mapped ? version.metadata.Property("delta.columnMapping.mode", "none") : "none";
  if (mode != "none" && mode != "name" && mode != "id") {
    return Error(ErrorKind::kUnsupported,
                 display + ": the table maps its columns by \"" + mode +
                     "\", which this build does not know: use a newer headrace");
  }
  arrow::FieldVector fields;
  for (const auto& field : mapped_schema_->fields()) {
    fields.push_back(schema::WithFieldMetadataOnly(
        field->WithType(WithFields(field->type(), WithoutMetadata))));
  }
  schema_ = arrow::schema(std::move(fields));
  if (mode != "none") {
    const std::string unmapped =
        UnmappedField(*arrow::struct_(mapped_schema_->fields()), mode == "id");
    if (!unmapped.empty()) {
      return Error(ErrorKind::kCorrupt,
                   display + ": the table maps its columns by " + mode +
                       ", and column \"" + unmapped + "\" has no " + mode +
                       " in files: restore the log, or open a version before it");
    }
  }
  mapped_schema_ = mode == "none" ? schema_ : Mapped(*mapped_schema_, mode == "id");
  for (const std::string& name : version.metadata.partition_columns) {
    const auto field = schema_->GetFieldByName(name);
    if (field == nullptr) {
      std::string said = display;
      said.append(": the partition column \"").append(name);
      said.append(
          "\" is not in the schema: restore the log, or open a version before it");
      return Error(ErrorKind::kCorrupt, said);
    }
    partition_fields_.push_back(field);
  }
  NameSchema();
  return Status::OK();
}

Status Table::AddFile(const delta::AddFile& add, const std::string& root) {
  Fragment& fragment = fragments_.emplace_back();
  ARROW_ASSIGN_OR_RAISE(fragment.file.path,
                        delta::ResolvePath(*storage_, root, add.file.path));
  fragment.relative_path = fragment.file.relative_path = add.file.path;
  fragment.file.size = add.file.size;
  if (add.file.size <= 0) {
    return Error(ErrorKind::kCorrupt, storage_->Display(fragment.file.path) +
                                          ": the log says that it has " +
                                          std::to_string(add.file.size) + " bytes");
  }
  for (const auto& field : partition_fields_) {
    const auto mapped = mapped_schema_->GetFieldByName(field->name());
    const auto found = add.file.partition_values.find(PhysicalName(*mapped));
    auto value = delta::PartitionScalar(
        found == add.file.partition_values.end() ? std::nullopt : found->second,
        field->type());
    if (!value.ok()) {
      return Error(ErrorKind::kCorrupt, storage_->Display(fragment.file.path) +
                                            ": column \"" + field->name() +
                                            "\": " + MessageOf(value.status()));
    }
    fragment.partition_values.push_back(*std::move(value));
  }
  fragment.rows = delta::RowsOf(add.file.stats).value_or(-1);
  fragment.stats = add.file.stats;
  if (add.deletion_vector) {
    fragment.deletion_vector =
        std::make_shared<const delta::DeletionVector>(*add.deletion_vector);
    fragment.deleted_count = add.deletion_vector->cardinality;
  }
  return Status::OK();
}

FileField FileFieldOf(const arrow::Field& field) {
  const std::string id = MetadataOf(field, delta::kPhysicalId);
  FileField found{PhysicalName(field), {}};
  if (!id.empty()) found.id = std::atoi(id.c_str());
  return found;
}

arrow::FieldVector Table::MappedPath(const std::vector<std::string>& path) const {
  arrow::FieldVector steps;
  const arrow::FieldVector* fields = &mapped_schema_->fields();
  for (const std::string& name : path) {
    const auto found = std::ranges::find(*fields, name, &arrow::Field::name);
    steps.push_back(*found);
    fields = &steps.back()->type()->fields();
  }
  return steps;
}

}  // namespace headrace::table
