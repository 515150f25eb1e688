/// \file
/// Lists and tensors of numbers to tensors.
#pragma once

#include <arrow/array.h>
#include <headrace/batch.h>
#include <headrace/result.h>

#include <memory>

#include "schema/column_plan.h"
#include "schema/tensor.h"

namespace headrace::decode {

/// Appends a kList, kFixedShape or kVariableShape column. Null rows are empty lists, or
/// zeros where the shape is fixed, filled under NullPolicy::kFill; null elements are
/// filled, or an error.
Status DecodeLists(const schema::ColumnPlan& plan,
                   const std::shared_ptr<arrow::Array>& values,
                   const schema::Locate& locate, arrow::MemoryPool* pool,
                   TensorBatch* batch);

}  // namespace headrace::decode
