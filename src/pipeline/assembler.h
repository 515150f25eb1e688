/// \file
/// From windows to the batch of one step.
#pragma once

#include <headrace/batch.h>
#include <headrace/result.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/batch_pool.h"
#include "batch/draw.h"
#include "codec/cell_decoder.h"
#include "decode/column_decoder.h"
#include "schema/column_plan.h"

namespace headrace::pipeline {

/// Turns drawn samples into a batch. Immutable; thread-safe.
class Assembler {
 public:
  /// Scratch of decoding comes from `scratch`, which outlives the assembler.
  static Result<std::unique_ptr<Assembler>> Make(std::vector<schema::ColumnPlan> columns,
                                                 std::vector<PackSpec> packs,
                                                 arrow::MemoryPool* scratch);
  using CellDecoders = std::vector<std::unique_ptr<codec::CellDecoder>>;
  /// As above, with these decoders of cells: one a column, null where it has none.
  static Result<std::unique_ptr<Assembler>> Make(std::vector<schema::ColumnPlan> columns,
                                                 std::vector<PackSpec> packs,
                                                 CellDecoders cell_decoders);

  const std::vector<schema::ColumnPlan>& columns() const { return columns_; }
  /// How windows keep the columns, and each row's id after them if `needs_row_ids`.
  std::vector<window::WindowColumn> window_columns() const;
  /// Whether a column's values depend on the samples' keys: windows hold the row ids, the
  /// drawing seed and epoch.
  bool needs_row_ids() const { return needs_row_ids_; }
  /// Whether values are decoded from cells, which for images takes long.
  bool decodes_cells() const;

  /// The batch of a drawing; its memory is drawing.pool's.
  Result<TensorBatch> Assemble(const batch::Drawing& drawing) const;
  /// Values to be taken for nulls: a byte a sample by column; empty: none.
  using Missing = std::vector<std::vector<uint8_t>>;
  Result<TensorBatch> Assemble(const batch::Drawing& drawing,
                               const Missing& missing) const;
  /// A batch of no rows.
  Result<TensorBatch> Empty(arrow::MemoryPool* pool) const;
  /// The least number of rows whose tensors may be parts of larger ones, aligned all the
  /// same; nothing where batches have columns that are no tensors of one row a sample.
  std::optional<int64_t> PartRows() const;
  /// Whether a column could be assembled.
  Status Check(const batch::Drawing& drawing, size_t column) const;

 private:
  Assembler() = default;
  /// A batch that is being assembled.
  struct Making {
    TensorBatch batch;
    std::vector<int> pack_at;  // where in the batch each pack is, or -1
    /// Memory that the (batch,) tensors of one dtype share, and how much is given out.
    struct Slab {
      std::shared_ptr<arrow::Buffer> memory;
      int64_t used = 0;
    };
    std::map<DType, Slab> slabs;
  };
  Status Append(const batch::Drawing& drawing, size_t column, Making* making) const;
  Status AppendFixed(const batch::Drawing& drawing, size_t column, Making* making) const;
  /// Draws all columns of the pack that `one` is in.
  Status DrawPack(const batch::Drawing& drawing, const batch::Target& one) const;
  std::vector<codec::SampleKey> KeysOf(const batch::Drawing& drawing) const;
  Status AppendCells(const batch::Drawing& drawing, size_t column, Making* making) const;
  Status AppendDecoded(const batch::Drawing& drawing, size_t column,
                       Making* making) const;
  /// The tensor that a fixed-width column goes to: its own, or its pack's, which the
  /// first of its columns makes.
  struct Place {
    uint8_t* out = nullptr;
    int64_t stride = 1;  // elements
  };
  Result<Place> PlaceOf(const batch::Drawing& drawing, size_t column,
                        Making* making) const;
  /// A (batch,) tensor out of the slab of its dtype.
  Result<Tensor> TakeOfSlab(const batch::Drawing& drawing, DType dtype,
                            Making* making) const;

  std::vector<schema::ColumnPlan> columns_;
  std::vector<PackSpec> packs_;
  std::map<DType, int64_t> slab_columns_;  // of fixed width, in no pack
  std::vector<bool> packs_as_stored_;      // whether no column of it is cast
  // By column: at most one is there; none where it is drawn as fixed.
  std::vector<std::unique_ptr<decode::ColumnDecoder>> decoders_;
  std::vector<std::unique_ptr<codec::CellDecoder>> cell_decoders_;
  bool needs_row_ids_ = false;
};

/// Appends the boolean `valid` of a padded step.
Status AppendValid(const std::vector<bool>& valid, arrow::MemoryPool* pool,
                   TensorBatch* batch);

}  // namespace headrace::pipeline
