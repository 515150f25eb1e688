/// \file
/// Drawing the samples of a step from windows.
#pragma once

#include <arrow/array.h>
#include <headrace/batch.h>
#include <headrace/column_policy.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "schema/column_plan.h"
#include "schema/tensor.h"
#include "window/window.h"

namespace headrace::batch {

/// Delivered rows [from, from + rows) of a window become samples out, out + stride, ...
struct Segment {
  const window::Window* window = nullptr;
  int64_t from = 0;
  int64_t rows = 0;
  int64_t out = 0;
  int64_t out_stride = 1;
};

/// The samples of one step, before they are tensors.
struct Drawing {
  std::span<const Segment> segments;
  int64_t rows = 0;
  arrow::MemoryPool* pool = nullptr;
  schema::Locate locate;
  /// A byte a sample, 1 where the column's value is to be taken for a null; empty: none.
  std::span<const uint8_t> missing;
};

/// Draws a fixed-width column into `out`, `out_stride` elements apart, cast to
/// plan.dtype, nulls by the plan's policy. `mask` gets the mask tensor under
/// NullPolicy::kMask.
Status DrawFixed(const Drawing& drawing, size_t column, const schema::ColumnPlan& plan,
                 uint8_t* out, int64_t out_stride, Tensor* mask);

/// Gathers any other column into an array in sample order, all of it in drawing.pool.
Result<std::shared_ptr<arrow::Array>> Gather(const Drawing& drawing, size_t column);

}  // namespace headrace::batch
