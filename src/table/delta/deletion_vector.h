/// \file
/// Deletion vectors, from where a Delta log says that they lie.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "storage/storage.h"
#include "table/deleted_rows.h"
#include "table/delta/actions.h"

namespace headrace::table::delta {

/// Reads a deletion vector of the table at `root`. Corrupt, naming the data file `where`,
/// for bytes that are none, or that hold another number of rows than the log says.
Result<std::shared_ptr<const DeletedRows>> ReadDeletionVector(
    const storage::Storage& storage, const std::string& root,
    const DeletionVector& vector, const std::string& where);

/// The rows of a vector's bytes (magic number and bitmap); null if they are none.
std::shared_ptr<const DeletedRows> ParseDeletionVector(std::span<const uint8_t> bytes);

/// The path, below the table's root, of the file that a vector of storage 'u' lies in;
/// empty for a text that is none.
std::string PathOfUuid(const std::string& text);

/// Decodes Z85 (https://rfc.zeromq.org/spec/32/); empty for what is none.
std::string DecodeZ85(std::string_view text);

}  // namespace headrace::table::delta
