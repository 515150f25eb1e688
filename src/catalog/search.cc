#include "catalog/search.h"

#include <strings.h>

#include <algorithm>
#include <utility>

#include "catalog/sqlite/database.h"

namespace headrace::catalog {
namespace {

size_t CharactersOf(std::string_view word) {
  return static_cast<size_t>(
      std::ranges::count_if(word, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string Quoted(std::string_view word) {
  std::string quoted = "\"";
  for (const char c : word) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string LikePattern(std::string_view word) {
  std::string pattern = "%";
  for (const char c : word) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + '%';
}

bool HasColumn(const CatalogEntry& entry, const std::string& name) {
  return std::ranges::any_of(entry.columns, [&](const CatalogEntry::Column& column) {
    return strcasecmp(column.name.c_str(), name.c_str()) == 0;
  });
}

// Of three and more characters, quoted, for MATCH; the shorter ones as patterns of LIKE,
// with `\` for escape: the index knows three characters at a time.
struct SearchWords {
  std::string match;
  std::vector<std::string> likes;
};

SearchWords Split(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  SearchWords words;
  for (size_t begin = text.find_first_not_of(kSpace); begin != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kSpace, begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    if (CharactersOf(word) < 3) {
      words.likes.push_back(LikePattern(word));
    } else {
      words.match += (words.match.empty() ? "" : " ") + Quoted(word);
    }
    begin = text.find_first_not_of(kSpace, end);
  }
  return words;
}

// An index in memory, so that the answer is the file's.
Result<std::set<int64_t>> PlacesMatching(const std::vector<CatalogEntry>& entries,
                                         std::string_view words) {
  ARROW_ASSIGN_OR_RAISE(const Database database, Database::Open(":memory:"));
  ARROW_RETURN_NOT_OK(database.Run(kMakeIndex));
  int64_t place = 0;
  for (const CatalogEntry& entry : entries) {
    const std::string text = SearchText(entry);
    ARROW_RETURN_NOT_OK(database.Run("INSERT INTO entry_text (rowid, text) VALUES (?, ?)",
                                     {place++, std::string_view(text)}));
  }
  return IdsMatching(database, words);
}

}  // namespace

std::string SearchText(const CatalogEntry& entry) {
  std::string text = entry.name + "\n" + entry.description;
  for (const CatalogEntry::Column& column : entry.columns) {
    text += "\n" + column.name + "\n" + column.comment;
  }
  return text;
}

Result<std::set<int64_t>> IdsMatching(const Database& database, std::string_view words) {
  std::optional<std::set<int64_t>> matching;
  auto keep = [&](const char* sql, std::string_view pattern) -> Status {
    ARROW_ASSIGN_OR_RAISE(std::set<int64_t> found, database.IdsOf(sql, {pattern}));
    if (matching)
      std::erase_if(found, [&](int64_t id) { return !matching->contains(id); });
    matching = std::move(found);
    return Status::OK();
  };
  const SearchWords split = Split(words);
  if (!split.match.empty()) {
    ARROW_RETURN_NOT_OK(
        keep("SELECT rowid FROM entry_text WHERE text MATCH ?", split.match));
  }
  for (const std::string& like : split.likes) {
    ARROW_RETURN_NOT_OK(
        keep("SELECT rowid FROM entry_text WHERE text LIKE ? ESCAPE '\\'", like));
  }
  if (matching) return *std::move(matching);
  return Error(ErrorKind::kInvalidArgument,
               "the text to find is blank, expected at least one word");
}

Result<std::vector<CatalogEntry>> Filtered(std::vector<CatalogEntry> entries,
                                           const CatalogQuery& query) {
  std::erase_if(entries, [&](const CatalogEntry& entry) {
    return (!query.column.empty() && !HasColumn(entry, query.column)) ||
           (!query.tag.empty() && !entry.tags.contains(query.tag)) ||
           (!query.owner.empty() && entry.owner != query.owner);
  });
  if (query.text.empty()) return entries;
  ARROW_ASSIGN_OR_RAISE(const auto places, PlacesMatching(entries, query.text));
  std::vector<CatalogEntry> found;
  found.reserve(places.size());
  for (const int64_t place : places) {
    found.push_back(std::move(entries[static_cast<size_t>(place)]));
  }
  return found;
}

}  // namespace headrace::catalog
