#include "table/delta/checkpoint_reader.h"

#include <arrow/api.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>

#include <exception>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "base/one_line.h"
#include "table/percent.h"

namespace headrace::table::delta {
namespace {

using arrow::Array;
using nlohmann::ordered_json;

/// The members of a struct, by name; absent ones have no rows that are there.
class Struct {
 public:
  explicit Struct(const std::shared_ptr<Array>& values)
      : values_(values != nullptr && values->type_id() == arrow::Type::STRUCT
                    ? std::static_pointer_cast<arrow::StructArray>(values)
                    : nullptr) {}

  bool Has(int64_t row) const { return values_ != nullptr && values_->IsValid(row); }

  std::shared_ptr<Array> Member(const std::string& name) const {
    return values_ == nullptr ? nullptr : values_->GetFieldByName(name);
  }

 private:
  std::shared_ptr<arrow::StructArray> values_;
};

bool Has(const std::shared_ptr<Array>& values, int64_t row) {
  return values != nullptr && values->IsValid(row);
}

std::string Text(const std::shared_ptr<Array>& values, int64_t row) {
  if (!Has(values, row)) return "";
  switch (values->type_id()) {
    case arrow::Type::STRING:
      return static_cast<const arrow::StringArray&>(*values).GetString(row);
    case arrow::Type::LARGE_STRING:
      return static_cast<const arrow::LargeStringArray&>(*values).GetString(row);
    default:
      return "";
  }
}

std::optional<int64_t> Integer(const std::shared_ptr<Array>& values, int64_t row) {
  if (!Has(values, row)) return {};
  switch (values->type_id()) {
    case arrow::Type::INT32:
      return static_cast<const arrow::Int32Array&>(*values).Value(row);
    case arrow::Type::INT64:
      return static_cast<const arrow::Int64Array&>(*values).Value(row);
    default:
      return {};
  }
}

std::vector<std::string> List(const std::shared_ptr<Array>& values, int64_t row) {
  std::vector<std::string> list;
  if (!Has(values, row) || values->type_id() != arrow::Type::LIST) return list;
  const auto& lists = static_cast<const arrow::ListArray&>(*values);
  for (int64_t i = lists.value_offset(row); i < lists.value_offset(row + 1); ++i) {
    list.push_back(Text(lists.values(), i));
  }
  return list;
}

std::map<std::string, std::optional<std::string>> Map(
    const std::shared_ptr<Array>& values, int64_t row) {
  std::map<std::string, std::optional<std::string>> map;
  if (!Has(values, row) || values->type_id() != arrow::Type::MAP) return map;
  const auto& maps = static_cast<const arrow::MapArray&>(*values);
  for (int64_t i = maps.value_offset(row); i < maps.value_offset(row + 1); ++i) {
    auto& value = map[Text(maps.keys(), i)];
    if (Has(maps.items(), i)) value = Text(maps.items(), i);
  }
  return map;
}

// A value of `stats_parsed` as `stats` would have it.
ordered_json StatJson(const std::shared_ptr<Array>& values, int64_t row) {
  if (!Has(values, row)) return nullptr;
  switch (values->type_id()) {
    case arrow::Type::STRUCT: {
      ordered_json json = ordered_json::object();
      for (const auto& field : values->type()->fields()) {
        auto member = StatJson(Struct(values).Member(field->name()), row);
        if (!member.is_null()) json[field->name()] = std::move(member);
      }
      return json;
    }
    case arrow::Type::BOOL:
      return static_cast<const arrow::BooleanArray&>(*values).Value(row);
    case arrow::Type::FLOAT:
      return static_cast<const arrow::FloatArray&>(*values).Value(row);
    case arrow::Type::DOUBLE:
      return static_cast<const arrow::DoubleArray&>(*values).Value(row);
    case arrow::Type::STRING:
      return Text(values, row);
    default:
      break;
  }
  const auto scalar = values->GetScalar(row);
  if (!scalar.ok()) return nullptr;
  std::string text = (*scalar)->ToString();
  if (arrow::is_integer(values->type_id())) {
    return ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  }
  return text;
}

std::string StatsText(const Struct& add, int64_t row) {
  std::string text = Text(add.Member("stats"), row);
  if (!text.empty()) return text;
  const ordered_json parsed = StatJson(add.Member("stats_parsed"), row);
  if (!parsed.is_object()) return "";
  return base::JsonText(parsed);
}

/// The members of `deletionVector`.
class Vectors {
 public:
  explicit Vectors(const Struct& action) : vector_(action.Member("deletionVector")) {}

  std::optional<DeletionVector> At(int64_t row) const {
    const auto storage = vector_.Member("storageType");
    if (!vector_.Has(row) || !delta::Has(storage, row)) return {};
    DeletionVector vector;
    const std::string kind = Text(storage, row);
    vector.storage = kind.size() == 1 ? kind[0] : '?';
    vector.path_or_bytes = Text(vector_.Member("pathOrInlineDv"), row);
    vector.offset = Integer(vector_.Member("offset"), row);
    vector.size = Integer(vector_.Member("sizeInBytes"), row).value_or(0);
    vector.cardinality = Integer(vector_.Member("cardinality"), row).value_or(0);
    return vector;
  }

 private:
  Struct vector_;
};

void AddRemoves(const std::shared_ptr<Array>& column, Actions* actions) {
  const Struct remove(column);
  const auto path = remove.Member("path"), time = remove.Member("deletionTimestamp");
  const Vectors vectors(remove);
  for (int64_t row = 0; column != nullptr && row < column->length(); ++row) {
    if (!remove.Has(row) || !Has(path, row)) continue;
    RemoveFile& file = actions->removes.emplace_back();
    file.path = PercentDecoded(Text(path, row));
    file.deletion_vector = vectors.At(row);
    file.deleted_ms = Integer(time, row).value_or(0);
    file.data_change = false;
  }
}

void AddAdds(const std::shared_ptr<Array>& column, Actions* actions) {
  const Struct add(column);
  const auto path = add.Member("path"), values = add.Member("partitionValues"),
             size = add.Member("size"), time = add.Member("modificationTime"),
             tags = add.Member("tags");
  const Vectors vectors(add);
  for (int64_t row = 0; column != nullptr && row < column->length(); ++row) {
    if (!add.Has(row) || !Has(path, row)) continue;
    AddFile& file = actions->adds.emplace_back();
    file.file.path = PercentDecoded(Text(path, row));
    file.file.partition_values = Map(values, row);
    file.file.size = Integer(size, row).value_or(0);
    file.file.modified_ms = Integer(time, row).value_or(0);
    file.file.stats = StatsText(add, row);
    file.data_change = false;
    for (auto& [name, value] : Map(tags, row)) {
      if (value) file.tags[name] = std::move(*value);
    }
    file.deletion_vector = vectors.At(row);
  }
}

void AddOthers(const arrow::StructArray& batch, Actions* actions) {
  const Struct protocol(batch.GetFieldByName("protocol"));
  const Struct metadata(batch.GetFieldByName("metaData"));
  const Struct sidecar(batch.GetFieldByName("sidecar"));
  const Struct txn(batch.GetFieldByName("txn"));
  const Struct domain(batch.GetFieldByName("domainMetadata"));
  for (int64_t row = 0; row < batch.length(); ++row) {
    if (protocol.Has(row)) {
      const auto reader = Integer(protocol.Member("minReaderVersion"), row);
      if (reader) {
        actions->protocol =
            Protocol{static_cast<int>(*reader),
                     static_cast<int>(
                         Integer(protocol.Member("minWriterVersion"), row).value_or(2)),
                     List(protocol.Member("readerFeatures"), row),
                     List(protocol.Member("writerFeatures"), row)};
      }
    }
    if (metadata.Has(row) && Has(metadata.Member("schemaString"), row)) {
      Metadata& found = actions->metadata.emplace();
      found.id = Text(metadata.Member("id"), row);
      found.name = Text(metadata.Member("name"), row);
      found.description = Text(metadata.Member("description"), row);
      found.schema = Text(metadata.Member("schemaString"), row);
      found.partition_columns = List(metadata.Member("partitionColumns"), row);
      for (auto& [name, value] : Map(metadata.Member("configuration"), row)) {
        if (value) found.configuration[name] = std::move(*value);
      }
      found.created_ms = Integer(metadata.Member("createdTime"), row);
    }
    if (txn.Has(row) && Has(txn.Member("appId"), row)) {
      actions->applications.push_back({Text(txn.Member("appId"), row),
                                       Integer(txn.Member("version"), row).value_or(0),
                                       Integer(txn.Member("lastUpdated"), row)});
    }
    if (domain.Has(row) && Has(domain.Member("domain"), row)) {
      actions->domains.push_back({Text(domain.Member("domain"), row),
                                  Text(domain.Member("configuration"), row), false});
    }
    if (sidecar.Has(row) && Has(sidecar.Member("path"), row)) {
      actions->sidecars.push_back(
          {PercentDecoded(Text(sidecar.Member("path"), row)),
           Integer(sidecar.Member("sizeInBytes"), row).value_or(0)});
    }
  }
}

// The format of the table's files, if it is another than Parquet.
std::string OtherFormat(const arrow::StructArray& batch) {
  const Struct metadata(batch.GetFieldByName("metaData"));
  const Struct format(metadata.Member("format"));
  for (int64_t row = 0; row < batch.length(); ++row) {
    if (!metadata.Has(row) || !format.Has(row)) continue;
    std::string provider = Text(format.Member("provider"), row);
    if (!provider.empty() && provider != "parquet") return provider;
  }
  return "";
}

// The leaves that are read: `add.stats_parsed` only where there is no `add.stats`.
std::vector<int> WantedLeaves(const parquet::SchemaDescriptor& schema) {
  bool has_stats = false;
  for (int leaf = 0; leaf < schema.num_columns(); ++leaf) {
    has_stats |= schema.Column(leaf)->path()->ToDotString() == "add.stats";
  }
  std::vector<int> wanted;
  for (int leaf = 0; leaf < schema.num_columns(); ++leaf) {
    const std::string path = schema.Column(leaf)->path()->ToDotString();
    for (const std::string_view begin :
         {"add.path", "add.partitionValues.", "add.size", "add.modificationTime",
          "add.stats", "add.tags.", "add.deletionVector.", "protocol.", "metaData.",
          "remove.path", "remove.deletionTimestamp", "remove.deletionVector.", "txn.",
          "domainMetadata.", "sidecar.path", "sidecar.sizeInBytes"}) {
      if (!path.starts_with(begin)) continue;
      if (has_stats && path.starts_with("add.stats_parsed")) continue;
      wanted.push_back(leaf);
      break;
    }
  }
  return wanted;
}

Result<Actions> Read(std::shared_ptr<arrow::io::RandomAccessFile> file) {
  auto parquet = parquet::ParquetFileReader::Open(std::move(file));
  ARROW_ASSIGN_OR_RAISE(
      auto reader,
      parquet::arrow::FileReader::Make(arrow::default_memory_pool(), std::move(parquet)));
  const auto leaves = WantedLeaves(*reader->parquet_reader()->metadata()->schema());
  Actions actions;
  for (int group = 0; group < reader->num_row_groups(); ++group) {
    std::shared_ptr<arrow::Table> table;
    ARROW_ASSIGN_OR_RAISE(table, reader->ReadRowGroup(group, leaves));
    ARROW_ASSIGN_OR_RAISE(auto batch, table->CombineChunksToBatch());
    ARROW_RETURN_NOT_OK(batch->ValidateFull());
    ARROW_ASSIGN_OR_RAISE(auto rows, batch->ToStructArray());
    AddAdds(rows->GetFieldByName("add"), &actions);
    AddRemoves(rows->GetFieldByName("remove"), &actions);
    AddOthers(*rows, &actions);
    if (const std::string format = OtherFormat(*rows); !format.empty()) {
      return Error(ErrorKind::kUnsupported, "the table's files are \"" + format +
                                                "\", expected parquet: copy it to a "
                                                "table of Parquet");
    }
  }
  return actions;
}

}  // namespace

Result<Actions> ReadCheckpointFile(std::shared_ptr<arrow::io::RandomAccessFile> file,
                                   const std::string& where) {
  Result<Actions> read = Status::UnknownError("not read");
  try {
    read = Read(std::move(file));
  } catch (const std::exception& e) {
    read = Status::IOError(e.what());
  }
  if (read.ok()) return read;
  if (KindOf(read.status()) == ErrorKind::kUnsupported) {
    return WithContext(read.status(), where);
  }
  return Error(ErrorKind::kCorrupt,
               where + ": the checkpoint does not parse (" +
                   base::OneLine(read.status().message()) +
                   "): restore the file, or delete it if its commits are there");
}

}  // namespace headrace::table::delta
