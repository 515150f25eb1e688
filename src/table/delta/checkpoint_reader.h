/// \file
/// Checkpoints in Parquet, back to actions.
#pragma once

#include <arrow/io/interfaces.h>
#include <headrace/result.h>

#include <memory>
#include <string>

#include "table/delta/actions.h"

namespace headrace::table::delta {

/// Reads one file of a checkpoint, or a sidecar. Corrupt, naming `where`.
Result<Actions> ReadCheckpointFile(std::shared_ptr<arrow::io::RandomAccessFile> file,
                                   const std::string& where);

}  // namespace headrace::table::delta
