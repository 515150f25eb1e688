/// \file
/// Search for words in what is said of tables, the same for all catalogs.
#pragma once

#include <headrace/catalog.h>
#include <headrace/result.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/sqlite/database.h"

namespace headrace::catalog {

/// Name, description, columns and comments: what is searched.
std::string SearchText(const CatalogEntry& entry);

/// What makes the full-text index of a database. Rows are texts, by the entry's number.
inline constexpr const char* kMakeIndex =
    "CREATE VIRTUAL TABLE entry_text USING fts5(text, tokenize = 'trigram')";

/// Numbers of the texts in a database's index that hold every word. Of words that have
/// fewer than three characters the ASCII case does not matter, of others no case.
Result<std::set<int64_t>> IdsMatching(const Database& database, std::string_view words);

/// Those entries that fit, in their order. For catalogs whose server has no search.
Result<std::vector<CatalogEntry>> Filtered(std::vector<CatalogEntry> entries,
                                           const CatalogQuery& query);

}  // namespace headrace::catalog
