/// \file
/// Checkpoints: a whole version in one Parquet file.
#pragma once

#include <arrow/buffer.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>

#include "table/delta/log.h"

namespace headrace::table::delta {

/// The bytes of a classic checkpoint. Files that were removed before `removed_after_ms`
/// are left out: nobody reads versions as old as that.
Result<std::shared_ptr<arrow::Buffer>> EncodeCheckpoint(const Version& version,
                                                        int64_t removed_after_ms);

/// Writes the checkpoint of a version of the table that `log` lists, unless it is there,
/// and names it the last one.
Status WriteCheckpoint(const Log& log, const Version& version, int64_t now_ms);

}  // namespace headrace::table::delta
