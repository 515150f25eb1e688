/// \file
/// Files on local disk that a power cut does not take back: bytes are synced, and so are
/// the folders that name them.
#pragma once

#include <arrow/io/interfaces.h>
#include <headrace/result.h>

#include <memory>
#include <string>
#include <string_view>

namespace headrace::storage {

/// `CreateFile` (storage/system.h) of local disk: synced when it is closed.
Result<std::shared_ptr<arrow::io::OutputStream>> CreateDurable(const std::string& path);

/// `PutIfAbsent` of local disk. Unsupported where there are no hard links.
Result<bool> PutDurable(const std::string& path, std::string_view bytes);

}  // namespace headrace::storage
