/// \file
/// Drawing the samples of a step from windows.
#pragma once

#include <arrow/array.h>
#include <headrace/batch.h>
#include <headrace/column_policy.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/executor.h"
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

/// Samples [out, out + rows * lanes) that come from several windows in turn: sample
/// out + k * lanes + l is row lanes[l].from + k.
struct Round {
  struct Lane {
    const window::Window* window = nullptr;
    int64_t from = 0;
  };
  std::vector<Lane> lanes;
  int64_t rows = 0;
  int64_t out = 0;
};

/// The rounds that segments make; none if they do not deal out windows in turn.
std::vector<Round> RoundsOf(std::span<const Segment> segments, int64_t rows);

/// The samples of one step, before they are tensors.
struct Drawing {
  std::span<const Segment> segments;
  /// The same samples as `segments`; may be empty.
  std::span<const Round> rounds;
  int64_t rows = 0;
  arrow::MemoryPool* pool = nullptr;
  schema::Locate locate;
  /// Of the pass: what random values are keyed by, beside the row.
  uint64_t seed = 0;
  int64_t epoch = 0;
  /// Threads that may help; null: none.
  base::Executor* executor = nullptr;
  /// A byte a sample, 1 where the column's value is to be taken for a null; empty: none.
  std::span<const uint8_t> missing;
};

/// A fixed-width column that is drawn: sample i goes to element i * out_stride of `out`,
/// cast to plan->dtype, or standardized.
struct Target {
  size_t column = 0;
  const schema::ColumnPlan* plan = nullptr;
  uint8_t* out = nullptr;
  int64_t out_stride = 1;
};

/// Draws the values of a column, or of all columns of a pack, in the pack's order.
Status DrawValues(const Drawing& drawing, std::span<const Target> targets);

/// Puts what the column's policy says where it is null, once its values are drawn. `mask`
/// gets the mask tensor under NullPolicy::kMask.
Status DrawNulls(const Drawing& drawing, const Target& target, Tensor* mask);

/// The cells of a column of them, in sample order; nothing for nulls. The windows hold
/// their bytes.
using Cell = std::optional<std::span<const uint8_t>>;
std::vector<Cell> CellsOf(const Drawing& drawing, size_t column);

/// The values of a column of int64, in sample order.
std::vector<int64_t> Int64sOf(const Drawing& drawing, size_t column);

/// Gathers any other column into an array in sample order, all of it in drawing.pool.
Result<std::shared_ptr<arrow::Array>> Gather(const Drawing& drawing, size_t column);

}  // namespace headrace::batch
