#include "cache/records.h"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "base/uuid.h"
#include "table/delta/log.h"

namespace headrace::cache {
namespace {

using Json = nlohmann::ordered_json;
using table::delta::ParseTime;
using table::delta::TimeText;

constexpr int kFormat = 1;
constexpr size_t kTimeDigits = 14;
constexpr size_t kUuidSize = 36;
// Of each part of a name: names of directories end at 255 bytes.
constexpr size_t kNamePartMax = 80;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         c == '_' || c == '.' || c == '-';
}

std::string NamePart(std::string text) {
  text.resize(std::min(text.size(), kNamePartMax));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return !IsNameCharacter(c); }, '_');
  return text.empty() ? "_" : text;
}

// An object of a format that we know.
Result<Json> ParseRecord(std::string_view text, const std::string& where) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto format = json.is_object() ? json.find("format") : json.end();
  if (!json.is_object() || format == json.end() || !format->is_number_integer()) {
    return Error(ErrorKind::kCorrupt,
                 where +
                     " is no record of a cache directory, expected a JSON object "
                     "with a format: `headrace cache gc` deletes it");
  }
  if (*format > kFormat) {
    return Error(ErrorKind::kUnsupported,
                 where + " has format " + format->dump() + ", expected at most " +
                     std::to_string(kFormat) + ": a newer Headrace wrote it");
  }
  return json;
}

// What is missing, or of another type, is as the default says.
std::string TextAt(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<int64_t> NumberAt(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

int64_t TimeAt(const Json& json, const char* name) {
  return ParseTime(TextAt(json, name)).ValueOr(0);
}

Process ProcessOf(const Json& json) {
  return {TextAt(json, "host"), NumberAt(json, "pid").value_or(0),
          TextAt(json, "process_started"), TextAt(json, "boot_id"),
          TextAt(json, "pid_namespace")};
}

void AddProcess(const Process& process, Json* json) {
  json->update(Json{{"host", process.host},
                    {"pid", process.pid},
                    {"process_started", process.started},
                    {"boot_id", process.boot_id},
                    {"pid_namespace", process.pid_namespace}});
}

CacheOwner OwnerOf(const Json& json) {
  return {TextAt(json, "application"), TextAt(json, "application_id")};
}

}  // namespace

std::string DirectoryName(const CacheOwner& owner, int64_t now_ms) {
  const auto seconds = static_cast<std::time_t>(now_ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char time[kTimeDigits + 1] = {};
  std::strftime(time, sizeof(time), "%Y%m%d%H%M%S", &parts);
  return std::string(time) + "-" + NamePart(owner.application) + "-" +
         NamePart(owner.application_id) + "-" + base::RandomUuid();
}

bool IsDirectoryName(std::string_view name) {
  // "<time>-a-b-<uuid>"
  if (name.size() < kTimeDigits + kUuidSize + 5) return false;
  const std::string_view time = name.substr(0, kTimeDigits);
  const std::string_view uuid = name.substr(name.size() - kUuidSize);
  auto is_uuid = [&] {
    for (size_t i = 0; i < uuid.size(); ++i) {
      const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      if (dash ? uuid[i] != '-'
               : std::string_view("0123456789abcdef").find(uuid[i]) == std::string::npos)
        return false;
    }
    return true;
  };
  return time.find_first_not_of("0123456789") == std::string_view::npos &&
         std::ranges::all_of(name, IsNameCharacter) && name[kTimeDigits] == '-' &&
         name[name.size() - kUuidSize - 1] == '-' && is_uuid();
}

std::string TableRecord::ToJson() const {
  return base::JsonText(Json{{"format", kFormat},
                             {"application", owner.application},
                             {"application_id", owner.application_id},
                             {"created", TimeText(created_ms)}});
}

Result<TableRecord> TableRecord::Parse(std::string_view text, const std::string& where) {
  ARROW_ASSIGN_OR_RAISE(const Json json, ParseRecord(text, where));
  return TableRecord{OwnerOf(json), TimeAt(json, "created")};
}

std::string KeyRecord::ToJson() const {
  return base::JsonText(Json{{"format", kFormat},
                             {"key", key},
                             {"directory", directory},
                             {"rows", rows ? Json(*rows) : Json()},
                             {"bytes", bytes}});
}

Result<KeyRecord> KeyRecord::Parse(std::string_view text, const std::string& where) {
  ARROW_ASSIGN_OR_RAISE(const Json json, ParseRecord(text, where));
  KeyRecord record{TextAt(json, "key"), TextAt(json, "directory"), NumberAt(json, "rows"),
                   NumberAt(json, "bytes").value_or(0)};
  if (!IsDirectoryName(record.directory)) {
    return Error(
        ErrorKind::kCorrupt,
        where + " names the directory \"" + record.directory +
            "\", expected one of a cached table: `headrace cache gc` deletes it");
  }
  return record;
}

std::string LeaseRecord::ToJson() const {
  Json json{{"format", kFormat},
            {"application", owner.application},
            {"application_id", owner.application_id}};
  AddProcess(process, &json);
  json["heartbeat"] = TimeText(heartbeat_ms);
  return base::JsonText(json);
}

Result<LeaseRecord> LeaseRecord::Parse(std::string_view text, const std::string& where) {
  ARROW_ASSIGN_OR_RAISE(const Json json, ParseRecord(text, where));
  return LeaseRecord{OwnerOf(json), ProcessOf(json), TimeAt(json, "heartbeat")};
}

std::string ExclusiveRecord::ToJson() const {
  Json json{{"format", kFormat}, {"held", held}};
  AddProcess(process, &json);
  json["since"] = TimeText(since_ms);
  json["heartbeat"] = TimeText(heartbeat_ms);
  return base::JsonText(json);
}

Result<ExclusiveRecord> ExclusiveRecord::Parse(std::string_view text,
                                               const std::string& where) {
  ARROW_ASSIGN_OR_RAISE(const Json json, ParseRecord(text, where));
  const auto held = json.find("held");
  return ExclusiveRecord{ProcessOf(json), TimeAt(json, "since"),
                         TimeAt(json, "heartbeat"),
                         held != json.end() && held->is_boolean() && held->get<bool>()};
}

std::string MarkToJson(int64_t now_ms, const std::string& id) {
  return base::JsonText(
      Json{{"format", kFormat}, {"time", TimeText(now_ms)}, {"id", id}});
}

}  // namespace headrace::cache
