/// \file
/// Making tensors, and saying where their samples came from.
#pragma once

#include <arrow/memory_pool.h>
#include <headrace/batch.h>
#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace headrace::schema {

/// Says where a sample of the batch lies, for errors: " in row 17 of lake/a.parquet".
using Locate = std::function<std::string(int64_t sample)>;

/// An uninitialised tensor in the pool.
Result<Tensor> AllocateTensor(DType dtype, std::vector<int64_t> shape,
                              arrow::MemoryPool* pool);

/// The error of a null under NullPolicy::kError.
Status NullError(const std::string& column, const std::string& location);

}  // namespace headrace::schema
