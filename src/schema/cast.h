/// \file
/// Casts of whole Arrow arrays, by the rules of `Convert`.
#pragma once

#include <arrow/array.h>
#include <headrace/batch.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>

namespace headrace::schema {

/// What a decimal is read as on its way to a dtype: float64, or uint64 where a number
/// without a fraction is asked for as such, which float64 would round.
DType DecimalVia(const arrow::DataType& decimal, DType to);

/// Casts an array to a type that `CastType` gave for its own: numbers, and numbers inside
/// lists and tensors. Values convert as they do for tensors (`Convert`): temporal values
/// are their stored integers, decimals go by way of float64. InvalidArgument, showing the
/// value, if one does not fit. Nulls stay. Text that `WithoutView` made becomes the view
/// that it was. Memory comes from the pool.
Result<std::shared_ptr<arrow::Array>> CastArray(
    const std::shared_ptr<arrow::Array>& values,
    const std::shared_ptr<arrow::DataType>& type, arrow::MemoryPool* pool);

/// The first value that CastArray fails on. REQUIRES: there is one.
int64_t FirstMisfit(const arrow::Array& values,
                    const std::shared_ptr<arrow::DataType>& type);

}  // namespace headrace::schema
