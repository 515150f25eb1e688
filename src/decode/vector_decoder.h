/// \file
/// Spark ML vectors to tensors, dense or sparse.
#pragma once

#include <arrow/array.h>
#include <headrace/batch.h>
#include <headrace/result.h>

#include <memory>

#include "schema/column_plan.h"
#include "schema/tensor.h"

namespace headrace::decode {

/// Appends a kVector column: structs of type (0: sparse, 1: dense), size, indices, values
/// (VectorUDT of org.apache.spark.ml.linalg). Dense: lists of `size` elements by the
/// ragged policy; null rows are zeros as long as the batch's longest vector, filled under
/// NullPolicy::kFill. RaggedPolicy::kSparse: `_indices`, `_values`, `_offsets`, `_size`;
/// null rows have no elements. Corrupt, naming the row, for what is no vector.
Status DecodeVectors(const schema::ColumnPlan& plan, const arrow::Array& values,
                     const schema::Locate& locate, arrow::MemoryPool* pool,
                     TensorBatch* batch);

}  // namespace headrace::decode
