/// \file
/// Paths that a Delta log names.
#pragma once

#include <headrace/result.h>

#include <string>

#include "storage/storage.h"

namespace headrace::table::delta {

/// The folder of a table's log.
inline constexpr char kLogFolder[] = "_delta_log";

/// A path of an action, unescaped, as the storage takes it: below the table's root, or
/// anywhere on the same storage for a URI. Unsupported for one on another storage.
Result<std::string> ResolvePath(const storage::Storage& storage, const std::string& root,
                                const std::string& path);

}  // namespace headrace::table::delta
