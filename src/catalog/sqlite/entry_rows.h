/// \file
/// Entries as rows of the tables.
#pragma once

#include <headrace/catalog.h>
#include <headrace/result.h>

#include <cstdint>
#include <string>

#include "catalog/sqlite/database.h"

namespace headrace::catalog {

/// The number of an entry; NotFound, with names like it. REQUIRES: a transaction, as all
/// of these do.
Result<int64_t> IdOf(const Database& database, const std::string& name);
Result<CatalogEntry> ReadEntry(const Database& database, int64_t id);
/// The entry in the place of one of the same name; all but its tags. Its `created_us`
/// stays if it was there.
Status WriteEntry(const Database& database, const CatalogEntry& entry);
Status DeleteEntry(const Database& database, int64_t id);

}  // namespace headrace::catalog
