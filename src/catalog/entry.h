/// \file
/// What all catalogs do with entries, addresses and their errors.
#pragma once

#include <headrace/catalog.h>
#include <headrace/result.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headrace::catalog {

/// InvalidArgument for what is no name of a table, or of a tag.
Status CheckName(std::string_view name);
Status CheckTag(std::string_view tag);
/// InvalidArgument for an entry that no catalog takes: its name, its counts, credentials.
Status CheckEntry(const CatalogEntry& entry);

/// NotFound: `catalog` (its place, as users know it) has no such table, but `names`.
Status NoSuchTable(const std::string& catalog, const std::string& name,
                   const std::vector<std::string>& names);
/// Conflict: the name is taken.
Status NameTaken(const std::string& catalog, const std::string& name);
/// NotFound naming the tags there are.
Result<int64_t> VersionOfTag(const CatalogEntry& entry, const std::string& tag);
/// Conflict if the tag stands for another version, unless `replace`.
Status CheckTagFree(const CatalogEntry& entry, const std::string& tag, int64_t version,
                    bool replace);

/// Writes what an update tells into an entry. Comments stay with columns of their name.
void Apply(const CatalogUpdate& update, CatalogEntry* entry);

}  // namespace headrace::catalog
