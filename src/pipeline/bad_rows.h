/// \file
/// Batches around bad rows, by ErrorPolicy::kSkip and kNull.
#pragma once

#include <headrace/batch.h>
#include <headrace/column_policy.h>
#include <headrace/result.h>

#include <cstdint>
#include <string>
#include <vector>

#include "batch/draw.h"
#include "pipeline/assembler.h"

namespace headrace::pipeline {

/// A sample that was left out.
struct SkippedRow {
  int64_t sample = 0;
  std::string what;
};

/// Assembles a drawing; bad rows are looked for only where it cannot be assembled as it
/// is. kSkip: leaves them out, and lists them in sample order. kNull: their bad values
/// are nulls. Errors that no single row causes, such as lists of unequal length, are
/// returned.
Result<TensorBatch> AssembleAround(const Assembler& assembler, ErrorPolicy policy,
                                   const batch::Drawing& drawing,
                                   std::vector<SkippedRow>* skipped);

}  // namespace headrace::pipeline
