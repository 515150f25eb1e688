/// \file
/// The file of an SQLite catalog: made, recognised, and brought to today's tables.
#pragma once

#include <headrace/result.h>

#include <optional>
#include <string>

#include "catalog/sqlite/database.h"

namespace headrace::catalog {

/// The schema's version that this build reads and writes.
inline constexpr int64_t kSchemaVersion = 1;

/// Nothing if there is no file yet, or an empty one. Corrupt for a file that is no
/// catalog, Unsupported for one of a newer schema.
Result<std::optional<Database>> OpenCatalogFile(const std::string& path);

/// As `OpenCatalogFile`; makes the file (mode 0600), its folders (0700) and its tables
/// where they are not there.
Result<Database> MakeCatalogFile(const std::string& path);

}  // namespace headrace::catalog
