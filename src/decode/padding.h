/// \file
/// Tensors that samples cover in part.
#pragma once

#include <arrow/memory_pool.h>
#include <headrace/batch.h>
#include <headrace/column_policy.h>
#include <headrace/result.h>

#include <cstdint>
#include <vector>

namespace headrace::decode {

/// A tensor of which every element is the number if it is `filled`, else 0.
Result<Tensor> Background(DType dtype, std::vector<int64_t> shape, const Number& number,
                          bool filled, arrow::MemoryPool* pool);

/// Copies a row-major block of elements of `width` bytes into the corner of a larger one.
/// REQUIRES: at least one dimension, as many in `from` as in `to`.
void CopyPadded(const uint8_t* in, const std::vector<int64_t>& from,
                const std::vector<int64_t>& to, int64_t width, uint8_t* out);

}  // namespace headrace::decode
