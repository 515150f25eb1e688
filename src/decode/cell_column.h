/// \file
/// Columns of cells: bytes that a field codec, or image operations, make tensors of.
#pragma once

#include <arrow/memory_pool.h>
#include <headrace/batch.h>
#include <headrace/result.h>

#include <cstdint>
#include <optional>
#include <span>

#include "base/executor.h"
#include "codec/cell_decoder.h"
#include "schema/column_plan.h"
#include "schema/tensor.h"

namespace headrace::decode {

/// The cells of a column in sample order.
struct Cells {
  /// Nothing for nulls.
  std::span<const std::optional<std::span<const uint8_t>>> bytes;
  /// Parallel to `bytes`; may be empty where the decoder is not random.
  std::span<const codec::SampleKey> keys;
  /// Threads that may decode at once; null: the caller's alone.
  base::Executor* executor = nullptr;
};

/// Appends the column, and what goes with it (`_mask`, `_offsets`, `_shape`), to the
/// batch. Values of one shape are decoded straight to their place. Memory comes from the
/// pool. Errors name the column and, by `locate`, the row.
Status DecodeCells(const schema::ColumnPlan& plan, const codec::CellDecoder& decoder,
                   const Cells& cells, const schema::Locate& locate,
                   arrow::MemoryPool* pool, TensorBatch* batch);

}  // namespace headrace::decode
