#include <headrace/catalog.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "catalog/time.h"

namespace headrace {

namespace catalog {

std::string TimeText(int64_t us) {
  constexpr int64_t kSecond = 1'000'000;
  int64_t fraction = us % kSecond;
  if (fraction < 0) fraction += kSecond;
  const auto seconds = static_cast<std::time_t>((us - fraction) / kSecond);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[96];
  std::snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                parts.tm_min, parts.tm_sec, static_cast<int>(fraction));
  return text;
}

}  // namespace catalog

namespace {

using Json = nlohmann::ordered_json;

Json ToJsonValue(const std::optional<int64_t>& number) {
  return number ? Json(*number) : Json();
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string Padded(const std::string& text, size_t width) {
  return text + std::string(width - std::min(width, text.size()), ' ');
}

void AddLine(const char* name, const std::string& value, std::string* text) {
  constexpr size_t kNameWidth = 16;
  if (!value.empty()) *text += "  " + Padded(name, kNameWidth) + value + "\n";
}

std::string Text(const std::optional<int64_t>& number) {
  return number ? std::to_string(*number) : "";
}

std::string Text(const std::map<std::string, std::string>& options) {
  std::vector<std::string> pairs;
  pairs.reserve(options.size());
  for (const auto& [name, value] : options) {
    pairs.push_back(name);
    pairs.back().append("=").append(value);
  }
  return Joined(pairs);
}

void AddColumns(const std::vector<CatalogEntry::Column>& columns, std::string* text) {
  size_t names = 0;
  size_t types = 0;
  for (const auto& column : columns) {
    names = std::max(names, column.name.size());
    types = std::max(types, column.type.size());
  }
  *text += "columns\n";
  for (const auto& column : columns) {
    std::string line = "  " + Padded(column.name, names) + "  " +
                       Padded(column.type, types) + "  " + column.comment;
    line.erase(line.find_last_not_of(' ') + 1);
    *text += line + "\n";
  }
}

}  // namespace

std::string CatalogEntry::ToString() const {
  std::string text = name + "\n";
  AddLine("description", description, &text);
  AddLine("uri", uri, &text);
  AddLine("owner", owner, &text);
  AddLine("format", format, &text);
  AddLine("version", Text(version), &text);
  AddLine("rows", Text(rows), &text);
  AddLine("bytes", Text(bytes), &text);
  AddLine("files", Text(files), &text);
  AddLine("partitioned by", Joined(partition_columns), &text);
  AddLine("partition types", Text(partition_types), &text);
  AddLine("storage options", Text(storage_options), &text);
  AddLine("last writer", last_writer, &text);
  AddLine("created", created_us == 0 ? "" : catalog::TimeText(created_us), &text);
  AddLine("updated", updated_us == 0 ? "" : catalog::TimeText(updated_us), &text);
  for (const auto& [tag, tagged] : tags) {
    AddLine("tag", tag + " is version " + std::to_string(tagged), &text);
  }
  if (!columns.empty()) AddColumns(columns, &text);
  text.pop_back();
  return text;
}

std::string CatalogEntry::ToJson() const {
  Json all = Json::array();
  for (const Column& column : columns) {
    all.push_back(
        {{"name", column.name}, {"type", column.type}, {"comment", column.comment}});
  }
  const Json json = {
      {"name", name},
      {"uri", uri},
      {"description", description},
      {"owner", owner},
      {"format", format},
      {"version", ToJsonValue(version)},
      {"rows", ToJsonValue(rows)},
      {"bytes", ToJsonValue(bytes)},
      {"files", ToJsonValue(files)},
      {"columns", std::move(all)},
      {"partition_columns", partition_columns},
      {"partition_types", Json(partition_types)},
      {"storage_options", Json(storage_options)},
      {"tags", Json(tags)},
      {"last_writer", last_writer},
      {"created", created_us == 0 ? Json() : Json(catalog::TimeText(created_us))},
      {"updated", updated_us == 0 ? Json() : Json(catalog::TimeText(updated_us))}};
  return base::JsonText(json);
}

}  // namespace headrace
