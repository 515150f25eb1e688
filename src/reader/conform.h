/// \file
/// Values of a file in the types of the table.
#pragma once

#include <arrow/array.h>
#include <arrow/memory_pool.h>
#include <arrow/type.h>
#include <headrace/result.h>

#include <memory>

namespace headrace::reader {

/// The values as `field` has them: numbers and texts cast where that loses nothing,
/// members of structs found by the names (or ids) that files know them by, which the
/// metadata of `field` tells where they are others, and null where the file lacks them.
/// Invalid for values that do not fit.
Result<std::shared_ptr<arrow::Array>> Conform(const std::shared_ptr<arrow::Array>& values,
                                              const arrow::Field& field,
                                              arrow::MemoryPool* pool);

}  // namespace headrace::reader
