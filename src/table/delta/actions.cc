#include "table/delta/actions.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_text.h"
#include "table/delta/json_depth.h"
#include "table/percent.h"

namespace headrace::table::delta {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// What is no action is thrown by the accessors that follow, and caught by ParseActions
// alone.

const std::string& TextOf(const json& value) {
  return value.get_ref<const std::string&>();
}

// The member, if it is there and not null.
const json* Find(const json& from, const char* name) {
  const auto found = from.find(name);
  return found == from.end() || found->is_null() ? nullptr : &*found;
}

std::string Text(const json& from, const char* name) {
  const json* found = Find(from, name);
  return found != nullptr ? TextOf(*found) : "";
}

// Engines write integers as such, and some as numbers with a fraction of 0.
int64_t IntegerOf(const json& value) {
  if (!value.is_number_float()) return value.get<int64_t>();
  constexpr double kMost = 9e18;
  const auto real = value.get<double>();
  return real > -kMost && real < kMost ? static_cast<int64_t>(real) : 0;
}

std::optional<int64_t> Integer(const json& from, const char* name) {
  const json* found = Find(from, name);
  if (found == nullptr) return {};
  return IntegerOf(*found);
}

bool Flag(const json& from, const char* name, bool otherwise) {
  const json* found = Find(from, name);
  return found != nullptr ? found->get<bool>() : otherwise;
}

const json& ObjectOf(const json& value) {
  (void)value.get_ref<const json::object_t&>();
  return value;
}

std::map<std::string, std::string> Texts(const json& from, const char* name) {
  std::map<std::string, std::string> texts;
  const json* found = Find(from, name);
  if (found == nullptr) return texts;
  for (const auto& [key, value] : ObjectOf(*found).items()) {
    if (!value.is_null()) texts[key] = TextOf(value);
  }
  return texts;
}

std::vector<std::string> List(const json& from, const char* name) {
  std::vector<std::string> list;
  const json* found = Find(from, name);
  if (found == nullptr) return list;
  for (const json& value : found->get_ref<const json::array_t&>()) {
    list.push_back(TextOf(value));
  }
  return list;
}

std::string Json(const json& from, const char* name) {
  const json* found = Find(from, name);
  return found != nullptr ? base::JsonText(*found) : "";
}

std::optional<DeletionVector> VectorOf(const json& action) {
  const auto found = Find(action, "deletionVector");
  if (!found) return {};
  const json& from = ObjectOf(*found);
  DeletionVector vector;
  const std::string storage = TextOf(from.at("storageType"));
  vector.storage = storage.size() == 1 ? storage[0] : '?';
  vector.path_or_bytes = TextOf(from.at("pathOrInlineDv"));
  vector.offset = Integer(from, "offset");
  vector.size = IntegerOf(from.at("sizeInBytes"));
  vector.cardinality = IntegerOf(from.at("cardinality"));
  return vector;
}

AddFile AddOf(const json& from) {
  AddFile add;
  add.file.path = PercentDecoded(TextOf(from.at("path")));
  if (const auto values = Find(from, "partitionValues")) {
    for (const auto& [key, value] : ObjectOf(*values).items()) {
      auto& stored = add.file.partition_values[key];
      if (!value.is_null()) stored = TextOf(value);
    }
  }
  add.file.size = IntegerOf(from.at("size"));
  add.file.modified_ms = Integer(from, "modificationTime").value_or(0);
  add.file.stats = Text(from, "stats");
  add.deletion_vector = VectorOf(from);
  add.data_change = Flag(from, "dataChange", true);
  add.tags = Texts(from, "tags");
  return add;
}

RemoveFile RemoveOf(const json& from) {
  RemoveFile remove;
  remove.path = PercentDecoded(TextOf(from.at("path")));
  remove.deletion_vector = VectorOf(from);
  remove.deleted_ms = Integer(from, "deletionTimestamp").value_or(0);
  remove.data_change = Flag(from, "dataChange", true);
  return remove;
}

Protocol ProtocolOf(const json& from) {
  Protocol protocol;
  protocol.reader_version = static_cast<int>(IntegerOf(from.at("minReaderVersion")));
  protocol.writer_version = static_cast<int>(IntegerOf(from.at("minWriterVersion")));
  protocol.reader_features = List(from, "readerFeatures");
  protocol.writer_features = List(from, "writerFeatures");
  return protocol;
}

Metadata MetadataOf(const json& from) {
  Metadata metadata;
  metadata.id = TextOf(from.at("id"));
  metadata.name = Text(from, "name");
  metadata.description = Text(from, "description");
  metadata.schema = TextOf(from.at("schemaString"));
  metadata.partition_columns = List(from, "partitionColumns");
  metadata.configuration = Texts(from, "configuration");
  metadata.created_ms = Integer(from, "createdTime");
  return metadata;
}

CommitInfo CommitInfoOf(const json& from) {
  CommitInfo info;
  info.timestamp_ms = Integer(from, "timestamp");
  info.in_commit_timestamp_ms = Integer(from, "inCommitTimestamp");
  info.operation = Text(from, "operation");
  info.parameters = Json(from, "operationParameters");
  info.metrics = Json(from, "operationMetrics");
  info.engine = Text(from, "engineInfo");
  return info;
}

// The format of a table's files, if it is another than Parquet.
std::string OtherFormat(std::string_view name, const json& from) {
  if (name != "metaData") return "";
  const auto format = Find(from, "format");
  const std::string provider =
      format != nullptr ? Text(ObjectOf(*format), "provider") : "";
  return provider == "parquet" ? "" : provider;
}

void AddAction(std::string_view name, const json& from, Actions* actions) {
  if (name == "add") {
    actions->adds.push_back(AddOf(from));
  } else if (name == "remove") {
    actions->removes.push_back(RemoveOf(from));
  } else if (name == "protocol") {
    actions->protocol = ProtocolOf(from);
  } else if (name == "metaData") {
    actions->metadata = MetadataOf(from);
  } else if (name == "commitInfo") {
    actions->commit_info = CommitInfoOf(from);
  } else if (name == "txn") {
    actions->applications.push_back({TextOf(from.at("appId")),
                                     IntegerOf(from.at("version")),
                                     Integer(from, "lastUpdated")});
  } else if (name == "domainMetadata") {
    actions->domains.push_back({TextOf(from.at("domain")), Text(from, "configuration"),
                                Flag(from, "removed", false)});
  } else if (name == "sidecar") {
    actions->sidecars.push_back(
        {TextOf(from.at("path")), IntegerOf(from.at("sizeInBytes"))});
  }
}

ordered_json VectorJson(const DeletionVector& vector) {
  ordered_json j = {{"storageType", std::string(1, vector.storage)},
                    {"pathOrInlineDv", vector.path_or_bytes}};
  if (vector.offset) j["offset"] = *vector.offset;
  j["sizeInBytes"] = vector.size;
  j["cardinality"] = vector.cardinality;
  return j;
}

std::string Line(const char* name, ordered_json action) {
  const ordered_json line = {{name, std::move(action)}};
  return base::JsonText(line) + "\n";
}

std::string KeyOf(const std::string& path, const std::optional<DeletionVector>& vector) {
  return vector ? path + "\n" + vector->UniqueId() : path;
}

}  // namespace

std::string DeletionVector::UniqueId() const {
  std::string id = storage + path_or_bytes;
  if (offset) id += "@" + std::to_string(*offset);
  return id;
}

std::string AddFile::Key() const { return KeyOf(file.path, deletion_vector); }
std::string RemoveFile::Key() const { return KeyOf(path, deletion_vector); }

std::string Metadata::Property(const std::string& property,
                               const std::string& otherwise) const {
  const auto found = configuration.find(property);
  return found == configuration.end() ? otherwise : found->second;
}

Result<Actions> ParseActions(std::string_view lines, const std::string& where) {
  Actions actions;
  int64_t number = 0;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (IsTooDeep(line)) {
      return Error(ErrorKind::kUnsupported, where + ": line " + std::to_string(number) +
                                                " is nested more than 100 deep");
    }
    try {
      const json action = json::parse(line);
      for (const auto& [name, value] : ObjectOf(action).items()) {
        if (!value.is_object()) continue;
        AddAction(name, value, &actions);
        if (const auto format = OtherFormat(name, value); !format.empty()) {
          std::string said = where;
          said.append(": the table's files are \"").append(format);
          said.append("\", expected parquet: copy it to a table of Parquet");
          return Error(ErrorKind::kUnsupported, said);
        }
      }
    } catch (const json::exception& e) {
      return Error(ErrorKind::kCorrupt,
                   where + ": line " + std::to_string(number) +
                       " is no action of a Delta log (" + e.what() +
                       "): restore the file, or open a version before it");
    }
  }
  return actions;
}

std::string ToLine(const AddFile& add) {
  ordered_json j = {{"path", EscapePath(add.file.path)}};
  j["partitionValues"] = ordered_json::object();
  for (const auto& [name, value] : add.file.partition_values) {
    j["partitionValues"][name] = value ? ordered_json(*value) : ordered_json(nullptr);
  }
  j["size"] = add.file.size;
  j["modificationTime"] = add.file.modified_ms;
  j["dataChange"] = add.data_change;
  if (!add.file.stats.empty()) j["stats"] = add.file.stats;
  if (!add.tags.empty()) j["tags"] = add.tags;
  if (add.deletion_vector) j["deletionVector"] = VectorJson(*add.deletion_vector);
  return Line("add", std::move(j));
}

std::string ToLine(const RemoveFile& remove) {
  ordered_json j = {{"path", EscapePath(remove.path)},
                    {"deletionTimestamp", remove.deleted_ms},
                    {"dataChange", remove.data_change}};
  if (remove.deletion_vector) j["deletionVector"] = VectorJson(*remove.deletion_vector);
  return Line("remove", std::move(j));
}

std::string ToLine(const Protocol& protocol) {
  ordered_json j = {{"minReaderVersion", protocol.reader_version},
                    {"minWriterVersion", protocol.writer_version}};
  if (protocol.reader_version >= 3) j["readerFeatures"] = protocol.reader_features;
  if (protocol.writer_version >= 7) j["writerFeatures"] = protocol.writer_features;
  return Line("protocol", std::move(j));
}

std::string ToLine(const Metadata& metadata) {
  ordered_json j = {{"id", metadata.id}};
  if (!metadata.name.empty()) j["name"] = metadata.name;
  if (!metadata.description.empty()) j["description"] = metadata.description;
  j["format"] = {{"provider", "parquet"}, {"options", ordered_json::object()}};
  j["schemaString"] = metadata.schema;
  j["partitionColumns"] = metadata.partition_columns;
  j["configuration"] = metadata.configuration;
  if (metadata.created_ms) j["createdTime"] = *metadata.created_ms;
  return Line("metaData", std::move(j));
}

std::string EscapePath(std::string_view path) {
  constexpr std::string_view kPlain = "-_.~/=:@!$&'()*+,;";
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                       (c >= 'A' && c <= 'Z') || kPlain.find(c) != std::string_view::npos;
    if (plain) {
      escaped += c;
    } else {
      escaped += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return escaped;
}

}  // namespace headrace::table::delta
