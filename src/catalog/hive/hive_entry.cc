#include "catalog/hive/hive_entry.h"

#include <arrow/api.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/json_text.h"
#include "catalog/hive/types.h"

// What Headrace adds is in parameters "headrace.*", docs/format/catalog.md.
namespace headrace::catalog {
namespace {

using nlohmann::json;
using Parameters = std::map<std::string, std::string>;

constexpr std::string_view kTag = "headrace.tag.";
constexpr std::string_view kStorage = "headrace.storage.";
constexpr std::string_view kSparkSchema = "spark.sql.sources.schema";
constexpr int64_t kMicro = 1'000'000;

std::string Lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

std::string Parameter(const Parameters& parameters, const std::string& name) {
  const auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

// The first of the parameters that is a count.
std::optional<int64_t> Count(const Parameters& parameters,
                             std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const std::string text = Parameter(parameters, name);
    int64_t count = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), count);
    if (!text.empty() && error == std::errc() && end == text.data() + text.size() &&
        count >= 0) {
      return count;
    }
  }
  return std::nullopt;
}

// What was kept under names that begin so, without that.
Parameters Below(const Parameters& parameters, std::string_view prefix) {
  Parameters below;
  for (auto it = parameters.lower_bound(std::string(prefix));
       it != parameters.end() && it->first.starts_with(prefix); ++it) {
    below[it->first.substr(prefix.size())] = it->second;
  }
  return below;
}

std::string FormatOf(const hive::Table& table) {
  if (table.tableType.find("VIEW") != std::string::npos) return "view";
  if (Lower(Parameter(table.parameters, "table_type")) == "iceberg") return "iceberg";
  std::string provider = Lower(Parameter(table.parameters, "spark.sql.sources.provider"));
  if (!provider.empty() && provider != "hive") return provider;
  const std::string input = Lower(table.sd.inputFormat);
  for (const char* format : {"parquet", "orc", "avro", "text"}) {
    if (input.find(format) != std::string::npos) return format;
  }
  return table.sd.inputFormat;
}

// Spark's schema; older versions cut it into parts. Not an object where there is none.
json SparkSchema(const Parameters& parameters) {
  std::string text = Parameter(parameters, std::string(kSparkSchema));
  if (text.empty()) {
    const auto parts = Count(parameters, {"spark.sql.sources.schema.numParts"});
    for (int64_t part = 0; parts && part < std::min<int64_t>(*parts, 10'000); ++part) {
      text += Parameter(parameters,
                        std::string(kSparkSchema) + ".part." + std::to_string(part));
    }
  }
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// Columns by Spark's schema; none if it is not as it should be.
std::vector<CatalogEntry::Column> SparkColumns(const Parameters& parameters) {
  std::vector<CatalogEntry::Column> columns;
  try {
    const json schema = SparkSchema(parameters);
    if (!schema.is_object()) return columns;
    for (const json& field : schema.at("fields")) {
      const json& type = field.at("type");
      const auto known = TypeOfSpark(type);
      const json metadata = field.value("metadata", json::object());
      columns.push_back({field.at("name").get<std::string>(),
                         known != nullptr
                             ? known->ToString()
                             : (type.is_string() ? type.get<std::string>() : type.dump()),
                         metadata.value("comment", "")});
    }
  } catch (const json::exception&) {
    columns.clear();
  }
  return columns;
}

CatalogEntry::Column HiveColumn(const hive::FieldSchema& field) {
  const auto known = TypeOfHive(field.type);
  return {field.name, known != nullptr ? known->ToString() : field.type, field.comment};
}

std::string LocationOf(const hive::Table& table) {
  // Of tables that are not Hive's, Spark keeps it here.
  const std::string path = Parameter(table.sd.serdeInfo.parameters, "path");
  const bool foreign = table.parameters.contains("spark.sql.sources.provider");
  return foreign && !path.empty() ? path : table.sd.location;
}

std::vector<std::string> PartitionColumns(const hive::Table& table) {
  std::vector<std::string> names;
  names.reserve(table.partitionKeys.size());
  for (const auto& key : table.partitionKeys) names.push_back(key.name);
  if (!names.empty()) return names;
  const auto count = Count(table.parameters, {"spark.sql.sources.schema.numPartCols"});
  for (int64_t i = 0; count && i < std::min<int64_t>(*count, 10'000); ++i) {
    names.push_back(Parameter(table.parameters,
                              "spark.sql.sources.schema.partCol." + std::to_string(i)));
  }
  return names;
}

void SetOptional(const char* name, const std::optional<int64_t>& value,
                 Parameters* parameters) {
  if (value) {
    (*parameters)[name] = std::to_string(*value);
  } else {
    parameters->erase(name);
  }
}

void EraseBelow(std::string_view prefix, Parameters* parameters) {
  std::erase_if(*parameters,
                [&](const auto& each) { return each.first.starts_with(prefix); });
}

bool IsPartition(const CatalogEntry& entry, const std::string& column) {
  return std::ranges::find(entry.partition_columns, column) !=
         entry.partition_columns.end();
}

std::string CommentOf(const CatalogEntry& entry, const std::string& name) {
  const auto found = std::ranges::find(entry.columns, name, &CatalogEntry::Column::name);
  return found == entry.columns.end() ? "" : found->comment;
}

// A path as Hadoop wants it.
std::string HadoopUri(const std::string& uri) {
  if (uri.starts_with('/')) return "file:" + uri;
  if (uri.starts_with("s3://")) return "s3a://" + uri.substr(5);
  return uri;
}

void SetStorage(const CatalogEntry& entry, hive::Table* table) {
  hive::StorageDescriptor& sd = table->sd;
  const std::string location = HadoopUri(entry.uri);
  sd.__set_location(location);
  hive::SerDeInfo serde;
  serde.__set_parameters({{"path", location}, {"serialization.format", "1"}});
  if (entry.format == "parquet") {
    const std::string package = "org.apache.hadoop.hive.ql.io.parquet.";
    sd.__set_inputFormat(package + "MapredParquetInputFormat");
    sd.__set_outputFormat(package + "MapredParquetOutputFormat");
    serde.__set_serializationLib(package + "serde.ParquetHiveSerDe");
  } else {
    // What Spark writes for tables that Hive cannot read.
    sd.__set_inputFormat("org.apache.hadoop.mapred.SequenceFileInputFormat");
    sd.__set_outputFormat("org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat");
    serde.__set_serializationLib("org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe");
  }
  sd.__set_serdeInfo(serde);
}

}  // namespace

std::string UriOfLocation(const std::string& location) {
  for (const char* scheme : {"s3a://", "s3n://"}) {
    if (location.starts_with(scheme)) return "s3://" + location.substr(6);
  }
  if (!location.starts_with("file:/")) return location;
  const size_t path = location.find_first_not_of('/', 5);
  return path == std::string::npos ? "/" : location.substr(path - 1);
}

CatalogEntry EntryOf(const hive::Table& table) {
  const Parameters& parameters = table.parameters;
  CatalogEntry entry;
  entry.name = table.dbName + "." + table.tableName;
  entry.uri = UriOfLocation(LocationOf(table));
  entry.description = Parameter(parameters, "comment");
  entry.owner = table.owner;
  entry.format = FormatOf(table);
  entry.columns = SparkColumns(parameters);
  if (entry.columns.empty()) {
    for (const auto& field : table.sd.cols) entry.columns.push_back(HiveColumn(field));
    for (const auto& field : table.partitionKeys) {
      entry.columns.push_back(HiveColumn(field));
    }
  }
  entry.partition_columns = PartitionColumns(table);
  for (const auto& column : entry.partition_columns) {
    for (const auto& key : table.partitionKeys) {
      const auto type = TypeOfHive(key.type);
      if (key.name != Lower(column) || type == nullptr) continue;
      const std::string name = PartitionTypeOf(*type);
      if (!name.empty()) entry.partition_types[column] = name;
    }
  }
  for (const auto& [tag, version] : Below(parameters, kTag)) {
    if (const auto number = Count({{"", version}}, {""})) entry.tags[tag] = *number;
  }
  entry.rows =
      Count(parameters, {"headrace.rows", "spark.sql.statistics.numRows", "numRows"});
  entry.bytes = Count(parameters,
                      {"headrace.bytes", "spark.sql.statistics.totalSize", "totalSize"});
  entry.files = Count(parameters, {"headrace.files", "numFiles"});
  entry.version = Count(parameters, {"headrace.version"});
  entry.last_writer = Parameter(parameters, "headrace.last_writer");
  if (const auto spark = Parameter(parameters, "spark.sql.create.version");
      entry.last_writer.empty() && !spark.empty()) {
    entry.last_writer = "Spark " + spark;
  }
  entry.created_us = table.createTime * kMicro;
  entry.updated_us =
      Count(parameters, {"transient_lastDdlTime"}).value_or(table.createTime) * kMicro;
  entry.storage_options = Below(parameters, kStorage);
  return entry;
}

std::map<std::string, std::string> PartitionKeys(const hive::Table& table) {
  std::map<std::string, std::string> keys;
  for (const auto& key : table.partitionKeys) keys[Lower(key.name)] = key.type;
  return keys;
}

bool KeepsPartitions(const hive::Table& table) {
  if (table.partitionKeys.empty()) return false;
  const std::string provider =
      Lower(Parameter(table.parameters, "spark.sql.sources.provider"));
  return provider.empty() || provider == "hive" ||
         Parameter(table.parameters, "spark.sql.partitionProvider") == "catalog";
}

// For Hive, and for Spark, which wants partition columns last.
Status SetColumns(const CatalogEntry& entry, hive::Table* table) {
  json data = json::array();
  json partitions = json::array();
  table->sd.cols.clear();
  table->partitionKeys.clear();
  for (const auto& field : entry.schema->fields()) {
    hive::FieldSchema column;
    column.name = Lower(field->name());
    column.comment = CommentOf(entry, field->name());
    auto hive_type = ToHive(*field->type());
    auto spark_type = ToSpark(*field->type());
    if (!hive_type.ok() || !spark_type.ok()) {
      return WithContext(hive_type.ok() ? spark_type.status() : hive_type.status(),
                         "column \"" + field->name() + "\" of table " + entry.name);
    }
    column.type = *hive_type;
    json metadata = json::object();
    if (!column.comment.empty()) metadata["comment"] = column.comment;
    const bool is_partition = IsPartition(entry, field->name());
    (is_partition ? partitions : data)
        .push_back({{"name", field->name()},
                    {"type", *std::move(spark_type)},
                    {"nullable", true},
                    {"metadata", std::move(metadata)}});
    (is_partition ? table->partitionKeys : table->sd.cols).push_back(std::move(column));
  }
  for (json& each : partitions) data.push_back(std::move(each));
  EraseBelow(kSparkSchema, &table->parameters);
  const json schema = {{"type", "struct"}, {"fields", std::move(data)}};
  table->parameters[std::string(kSparkSchema)] = base::JsonText(schema);
  if (entry.partition_columns.empty()) return Status::OK();
  const std::string prefix(kSparkSchema);
  table->parameters[prefix + ".numPartCols"] =
      std::to_string(entry.partition_columns.size());
  for (size_t i = 0; i < entry.partition_columns.size(); ++i) {
    table->parameters[prefix + ".partCol." + std::to_string(i)] =
        entry.partition_columns[i];
  }
  return Status::OK();
}

Status Describe(const CatalogEntry& entry, hive::Table* table) {
  if (entry.schema == nullptr) {
    return Error(ErrorKind::kInvalidArgument,
                 "entry " + entry.name + " says no types, which a Hive Metastore wants");
  }
  if (entry.format != "parquet" && entry.format != "delta") {
    return Error(ErrorKind::kUnsupported,
                 "table " + entry.name + " is stored as " + entry.format +
                     ", expected parquet or delta for a Hive Metastore");
  }
  ARROW_RETURN_NOT_OK(SetColumns(entry, table));
  SetStorage(entry, table);
  table->owner = entry.owner;
  table->__isset.owner = true;
  table->tableType = "EXTERNAL_TABLE";
  Parameters& parameters = table->parameters;
  parameters["EXTERNAL"] = "TRUE";
  parameters["spark.sql.sources.provider"] = entry.format;
  parameters.erase("spark.sql.partitionProvider");  // partitions are found by looking
  parameters["comment"] = entry.description;
  EraseBelow(kStorage, &parameters);
  for (const auto& [name, value] : entry.storage_options) {
    parameters[std::string(kStorage) + name] = value;
  }
  SetCounts(entry, table);
  for (const auto& [tag, version] : entry.tags) SetTag(tag, version, table);
  return Status::OK();
}

void SetTag(const std::string& tag, int64_t version, hive::Table* table) {
  table->parameters[std::string(kTag) + tag] = std::to_string(version);
}

void EraseTag(const std::string& tag, hive::Table* table) {
  table->parameters.erase(std::string(kTag) + tag);
}

void SetCounts(const CatalogEntry& entry, hive::Table* table) {
  SetOptional("headrace.rows", entry.rows, &table->parameters);
  SetOptional("headrace.bytes", entry.bytes, &table->parameters);
  SetOptional("headrace.files", entry.files, &table->parameters);
  SetOptional("headrace.version", entry.version, &table->parameters);
  table->parameters["headrace.last_writer"] = entry.last_writer;
}

}  // namespace headrace::catalog
