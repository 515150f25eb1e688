#include "catalog/entry.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/closest.h"
#include "storage/system.h"

namespace headrace::catalog {
namespace {

constexpr size_t kNameBytesMax = 255;

bool IsWordCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         c == '_';
}

bool IsIdentifier(std::string_view part) {
  return !part.empty() && IsWordCharacter(part[0]) &&
         std::ranges::all_of(part, [](char c) { return IsWordCharacter(c) || c == '-'; });
}

// What was found, fit for a message.
std::string Shown(std::string_view text) {
  constexpr size_t kShown = 80;
  const std::string shown(text.substr(0, kShown));
  return "\"" + shown + (text.size() > kShown ? "...\"" : "\"");
}

Status CheckCount(const char* what, const std::optional<int64_t>& count,
                  const CatalogEntry& entry) {
  if (!count || *count >= 0) return Status::OK();
  return Error(ErrorKind::kInvalidArgument, "entry " + entry.name + ": " + what + " is " +
                                                std::to_string(*count) +
                                                ", expected at least 0");
}

}  // namespace

Status CheckName(std::string_view name) {
  bool fits = name.size() <= kNameBytesMax;
  for (size_t begin = 0; fits && begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    fits = IsIdentifier(name.substr(begin, end - begin));
    begin = end + 1;
  }
  if (fits) return Status::OK();
  return Error(ErrorKind::kInvalidArgument,
               "the name of a table is " + Shown(name) +
                   ", expected words of letters, digits, _ and - with dots between them, "
                   "of at most 255 characters, as in prod.flights");
}

Status CheckTag(std::string_view tag) {
  const bool fits =
      !tag.empty() && tag.size() <= kNameBytesMax && IsWordCharacter(tag[0]) &&
      std::ranges::all_of(
          tag, [](char c) { return IsWordCharacter(c) || c == '-' || c == '.'; }) &&
      tag.find_first_not_of("0123456789") != std::string_view::npos;
  if (fits) return Status::OK();
  return Error(ErrorKind::kInvalidArgument,
               "the tag is " + Shown(tag) +
                   ", expected letters, digits, _, - and dots, not digits alone, as in "
                   "train-2026-11");
}

Status CheckEntry(const CatalogEntry& entry) {
  ARROW_RETURN_NOT_OK(CheckName(entry.name));
  for (const auto& [tag, version] : entry.tags) {
    ARROW_RETURN_NOT_OK(CheckTag(tag));
    ARROW_RETURN_NOT_OK(CheckCount("the version of a tag", version, entry));
  }
  if (entry.uri.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "entry " + entry.name + " has no URI, expected where the table lies");
  }
  if (storage::HoldsSecrets(entry.uri)) {
    return Error(ErrorKind::kInvalidArgument,
                 "entry " + entry.name +
                     ": its URI holds a credential, which no catalog keeps: give it to "
                     "open as a storage option, or in the environment");
  }
  for (const auto& [option, value] : entry.storage_options) {
    if (!storage::IsSecretOption(option)) continue;
    return Error(ErrorKind::kInvalidArgument,
                 "entry " + entry.name + ": storage option \"" + option +
                     "\" is a credential, which no catalog keeps: give it to open, or in "
                     "the environment");
  }
  ARROW_RETURN_NOT_OK(CheckCount("rows", entry.rows, entry));
  ARROW_RETURN_NOT_OK(CheckCount("bytes", entry.bytes, entry));
  ARROW_RETURN_NOT_OK(CheckCount("files", entry.files, entry));
  return CheckCount("version", entry.version, entry);
}

Status NoSuchTable(const std::string& catalog, const std::string& name,
                   const std::vector<std::string>& names) {
  return Error(ErrorKind::kNotFound,
               "catalog " + catalog + " has no table " + name +
                   (names.empty() ? ": it is empty"
                                  : "; it has " + base::ListClosest(name, names)));
}

Status NameTaken(const std::string& catalog, const std::string& name) {
  return Error(ErrorKind::kConflict, "catalog " + catalog + " has a table " + name +
                                         " already: choose another name, or replace it");
}

Result<int64_t> VersionOfTag(const CatalogEntry& entry, const std::string& tag) {
  const auto found = entry.tags.find(tag);
  if (found != entry.tags.end()) return found->second;
  std::vector<std::string> tags;
  tags.reserve(entry.tags.size());
  for (const auto& [name, version] : entry.tags) tags.push_back(name);
  return Error(
      ErrorKind::kNotFound,
      "table " + entry.name + " has no tag " + tag +
          (tags.empty() ? ", and no other" : "; it has " + base::ListClosest(tag, tags)));
}

Status CheckTagFree(const CatalogEntry& entry, const std::string& tag, int64_t version,
                    bool replace) {
  const auto found = entry.tags.find(tag);
  if (replace || found == entry.tags.end() || found->second == version) {
    return Status::OK();
  }
  return Error(ErrorKind::kConflict,
               "tag " + tag + " of table " + entry.name + " stands for version " +
                   std::to_string(found->second) + ", not " + std::to_string(version) +
                   ": choose another tag, or replace it");
}

void Apply(const CatalogUpdate& update, CatalogEntry* entry) {
  if (update.columns) {
    std::map<std::string, std::string> comments;
    for (auto& column : entry->columns) {
      comments[column.name] = std::move(column.comment);
    }
    entry->columns = *update.columns;
    entry->partition_columns = update.partition_columns;
    for (auto& column : entry->columns) {
      if (column.comment.empty()) column.comment = comments[column.name];
    }
  }
  if (update.rows) entry->rows = update.rows;
  if (update.bytes) entry->bytes = update.bytes;
  if (update.files) entry->files = update.files;
  if (update.version) entry->version = update.version;
  if (!update.last_writer.empty()) entry->last_writer = update.last_writer;
}

}  // namespace headrace::catalog
