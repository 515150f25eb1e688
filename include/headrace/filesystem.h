/// \file
/// Tables on a filesystem of the caller's own, instead of those that Headrace makes.
#pragma once

#include <arrow/filesystem/type_fwd.h>
#include <headrace/result.h>

#include <memory>
#include <string>

namespace headrace {

/// From here on, and in this process, the URI "SCHEME://PATH" is PATH on `filesystem`,
/// which is kept until the process ends. Messages have `display_prefix` in place of
/// "SCHEME://". InvalidArgument for a scheme that is not letters in lower case, digits,
/// "+", "-" and ".", or has a meaning already, other than by an earlier such call.
///
/// `filesystem` is called by many threads at once. Tables on it are read; commits, which
/// need a file to be written only where none is, are refused. Thread-safe.
Status AddFilesystem(const std::string& scheme,
                     std::shared_ptr<arrow::fs::FileSystem> filesystem,
                     const std::string& display_prefix);

}  // namespace headrace
