#include "table/delta/actions.h"

#include <simdjson.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace headrace::table::delta {
namespace {

using nlohmann::ordered_json;
using simdjson::dom::element;
using simdjson::dom::object;

// simdjson's errors are thrown by what follows, and caught by ParseActions alone.

std::string TextOf(const element& value) {
  return std::string(std::string_view(value.get_string()));
}

// The member, if it is there and not null.
std::optional<element> Find(const object& from, std::string_view name) {
  element found;
  if (from.at_key(name).get(found) != simdjson::SUCCESS || found.is_null()) return {};
  return found;
}

std::string Text(const object& from, std::string_view name) {
  const auto found = Find(from, name);
  return found ? TextOf(*found) : "";
}

// Engines write integers as such, and some as numbers with a fraction of 0.
int64_t IntegerOf(const element& value) {
  int64_t integer = 0;
  if (value.get(integer) == simdjson::SUCCESS) return integer;
  return static_cast<int64_t>(double(value.get_double()));
}

std::optional<int64_t> Integer(const object& from, std::string_view name) {
  const auto found = Find(from, name);
  if (!found) return {};
  return IntegerOf(*found);
}

bool Flag(const object& from, std::string_view name, bool otherwise) {
  const auto found = Find(from, name);
  return found ? bool(found->get_bool()) : otherwise;
}

std::map<std::string, std::string> Texts(const object& from, std::string_view name) {
  std::map<std::string, std::string> texts;
  const auto found = Find(from, name);
  if (!found) return texts;
  for (const auto& [key, value] : object(found->get_object())) {
    if (!value.is_null()) texts[std::string(key)] = TextOf(value);
  }
  return texts;
}

std::vector<std::string> List(const object& from, std::string_view name) {
  std::vector<std::string> list;
  const auto found = Find(from, name);
  if (!found) return list;
  for (const element& value : found->get_array()) list.push_back(TextOf(value));
  return list;
}

std::string Json(const object& from, std::string_view name) {
  const auto found = Find(from, name);
  return found ? simdjson::minify(*found) : "";
}

std::optional<DeletionVector> VectorOf(const object& action) {
  const auto found = Find(action, "deletionVector");
  if (!found) return {};
  const object from = found->get_object();
  DeletionVector vector;
  const std::string storage = TextOf(from["storageType"]);
  vector.storage = storage.size() == 1 ? storage[0] : '?';
  vector.path_or_bytes = TextOf(from["pathOrInlineDv"]);
  vector.offset = Integer(from, "offset");
  vector.size = IntegerOf(from["sizeInBytes"]);
  vector.cardinality = IntegerOf(from["cardinality"]);
  return vector;
}

AddFile AddOf(const object& from) {
  AddFile add;
  add.file.path = UnescapePath(std::string_view(from["path"].get_string()));
  if (const auto values = Find(from, "partitionValues")) {
    for (const auto& [key, value] : object(values->get_object())) {
      auto& stored = add.file.partition_values[std::string(key)];
      if (!value.is_null()) stored = TextOf(value);
    }
  }
  add.file.size = IntegerOf(from["size"]);
  add.file.modified_ms = Integer(from, "modificationTime").value_or(0);
  add.file.stats = Text(from, "stats");
  add.deletion_vector = VectorOf(from);
  add.data_change = Flag(from, "dataChange", true);
  add.tags = Texts(from, "tags");
  return add;
}

RemoveFile RemoveOf(const object& from) {
  RemoveFile remove;
  remove.path = UnescapePath(std::string_view(from["path"].get_string()));
  remove.deletion_vector = VectorOf(from);
  remove.deleted_ms = Integer(from, "deletionTimestamp").value_or(0);
  remove.data_change = Flag(from, "dataChange", true);
  return remove;
}

Protocol ProtocolOf(const object& from) {
  Protocol protocol;
  protocol.reader_version = static_cast<int>(IntegerOf(from["minReaderVersion"]));
  protocol.writer_version = static_cast<int>(IntegerOf(from["minWriterVersion"]));
  protocol.reader_features = List(from, "readerFeatures");
  protocol.writer_features = List(from, "writerFeatures");
  return protocol;
}

Metadata MetadataOf(const object& from) {
  Metadata metadata;
  metadata.id = TextOf(from["id"]);
  metadata.name = Text(from, "name");
  metadata.description = Text(from, "description");
  metadata.schema = TextOf(from["schemaString"]);
  metadata.partition_columns = List(from, "partitionColumns");
  metadata.configuration = Texts(from, "configuration");
  metadata.created_ms = Integer(from, "createdTime");
  return metadata;
}

CommitInfo CommitInfoOf(const object& from) {
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
std::string OtherFormat(std::string_view name, const object& from) {
  if (name != "metaData") return "";
  const auto format = Find(from, "format");
  const std::string provider =
      format ? Text(object(format->get_object()), "provider") : "";
  return provider == "parquet" ? "" : provider;
}

void AddAction(std::string_view name, const object& from, Actions* actions) {
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
    actions->applications.push_back({TextOf(from["appId"]), IntegerOf(from["version"]),
                                     Integer(from, "lastUpdated")});
  } else if (name == "domainMetadata") {
    actions->domains.push_back({TextOf(from["domain"]), Text(from, "configuration"),
                                Flag(from, "removed", false)});
  } else if (name == "sidecar") {
    actions->sidecars.push_back({TextOf(from["path"]), IntegerOf(from["sizeInBytes"])});
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
  return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
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
  simdjson::dom::parser parser;
  int64_t number = 0;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    try {
      const object action = parser.parse(line.data(), line.size()).get_object();
      for (const auto& [name, value] : action) {
        if (!value.is_object()) continue;
        AddAction(name, value.get_object(), &actions);
        if (const auto format = OtherFormat(name, value.get_object()); !format.empty()) {
          return Error(ErrorKind::kUnsupported,
                       where + ": the table's files are \"" + format +
                           "\", expected parquet: copy it to a table of Parquet");
        }
      }
    } catch (const simdjson::simdjson_error& e) {
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

std::string UnescapePath(std::string_view path) {
  auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string plain;
  plain.reserve(path.size());
  for (size_t i = 0; i < path.size(); ++i) {
    const int high = path[i] == '%' && i + 2 < path.size() ? digit(path[i + 1]) : -1;
    const int low = high < 0 ? -1 : digit(path[i + 2]);
    if (low < 0) {
      plain += path[i];
      continue;
    }
    plain += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return plain;
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
