/// \file
/// Which kind of error it is that a storage tells of in its own words.
#pragma once

#include <headrace/result.h>

#include <string>

namespace headrace::storage {

/// The kind of what a storage said of `path`, whose name is no word of it.
/// REQUIRES: `!status.ok()`.
ErrorKind KindOfStorage(const Status& status, const std::string& path);

}  // namespace headrace::storage
