/// \file
/// Window: the stored-form columns of one shuffle window.
///
/// Rows arrive in read order and are delivered in permuted order. Columns of fixed width
/// are permuted as they are filled, one at a time, while their values are in a core's
/// cache, so that drawing is sequential; of cells it is where they lie that is written to
/// its permuted place; other columns are kept as they arrived, with the inverse
/// permutation, and gathered when drawn.
#pragma once

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/memory_pool.h>
#include <arrow/type.h>
#include <headrace/batch.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "window/slot.h"

namespace headrace::window {

/// How a window keeps a column.
struct WindowColumn {
  std::shared_ptr<arrow::DataType> type;
  /// Set for columns that are kept as elements at their permuted place.
  std::optional<DType> fixed;
  /// Strings or bytes that are looked at one by one: `CellAt` instead of `Gather`. A
  /// window keeps where they lie, at their permuted place.
  bool cells = false;

  /// Kept as they arrived, and gathered when drawn.
  bool gathered() const { return !fixed && !cells; }
};

/// Bytes of a fixed-width column's values and validity for some rows of a window, which
/// are the more the more rows there are.
int64_t FixedColumnBytes(DType dtype, int64_t rows);

/// Bytes that a window keeps of each cell beside its own.
inline constexpr int64_t kCellBytes = sizeof(Cell);

/// Bytes a row that a window which permutes takes while it is filled: a column's values
/// in read order, whether they are there, and which goes where.
inline constexpr int64_t kFillingBytes = 8 + 1 + 3 * 4;

/// Filled by one thread, then read by one. Memory comes from the pool.
class Window {
 public:
  /// `placement[j]` is the delivered place of row j as read; empty: rows keep their
  /// order. It must live until `Seal`.
  static Result<std::unique_ptr<Window>> Make(const std::vector<WindowColumn>& columns,
                                              int64_t rows,
                                              std::span<const uint32_t> placement,
                                              arrow::MemoryPool* pool);

  /// Puts rows [at, at + length) in read order of a column.
  Status Put(size_t column, int64_t at, const std::shared_ptr<arrow::Array>& values);
  /// Where rows [at, at + rows) in read order of a fixed-width column may be written
  /// instead. It may be used, and settled, until the next is asked for.
  Result<Slot> SlotOf(size_t column, int64_t at, int64_t rows);
  bool is_fixed(size_t column) const { return columns_[column].fixed.has_value(); }
  /// The same of a column of cells.
  CellSlot CellSlotOf(size_t column, int64_t at);
  bool is_cells(size_t column) const { return columns_[column].cells; }
  /// Marks rows from `at` in read order, a byte a row: 1 where the value put is not what
  /// was stored, which could not be read.
  Status MarkDamaged(size_t column, int64_t at, std::span<const uint8_t> damaged);
  /// Ends the filling. REQUIRES: every column got every row.
  Status Seal();

  int64_t rows() const { return rows_; }

  /// Fixed-width column: elements in delivered order (booleans as bytes).
  const uint8_t* values(size_t column) const { return kept_[column].values->data(); }
  /// Fixed-width column: a byte a row in delivered order, 1 where the value is there;
  /// null where all are.
  const uint8_t* valid(size_t column) const {
    return kept_[column].any_null ? kept_[column].valid->data() : nullptr;
  }

  /// A byte a row in delivered order, 1 where the stored value could not be read; null
  /// where none is so.
  const uint8_t* damaged(size_t column) const {
    return kept_[column].damaged == nullptr ? nullptr : kept_[column].damaged->data();
  }

  /// Cells: a delivered row's bytes, which the window holds; nothing for a null.
  std::optional<std::span<const uint8_t>> CellAt(size_t column, int64_t row) const {
    const Cell& cell = reinterpret_cast<const Cell*>(kept_[column].values->data())[row];
    if (cell.data == nullptr) return std::nullopt;
    return std::span(cell.data, static_cast<size_t>(cell.size));
  }

  /// Other columns: delivered rows [from, from + rows), gathered into new memory of
  /// `pool` (all but dictionaries and views, which share the window's).
  Result<std::shared_ptr<arrow::Array>> Gather(size_t column, int64_t from, int64_t rows,
                                               arrow::MemoryPool* pool) const;

 private:
  struct Kept {
    std::shared_ptr<arrow::Buffer> values;  // elements or cells in delivered order
    std::shared_ptr<arrow::Buffer> valid;
    bool any_null = false;
    std::shared_ptr<arrow::Buffer> damaged;
    arrow::ArrayVector arrays;                          // gathered: as they arrived
    std::vector<std::shared_ptr<const void>> memories;  // what cells lie in
  };

  /// Rows in read order that are permuted: `from[i]` of them goes to place `to[i]`, in
  /// order of places; an empty `to`: to i.
  struct Moves {
    std::span<const uint32_t> from;
    std::span<const uint32_t> to;
  };

  Window() = default;
  /// A byte a row of a column, 1 where the value is there.
  Result<uint8_t*> ValidOf(size_t column);
  int64_t PlaceOf(int64_t row) const {
    return placement_.empty() ? row : placement_[static_cast<size_t>(row)];
  }
  Result<std::shared_ptr<arrow::Buffer>> Inverse() const;
  Result<Moves> MovesOf(int64_t at, int64_t rows);
  Status Settle(size_t column, int64_t at, int64_t rows);
  Status PutFixed(size_t column, int64_t at, const arrow::Array& values);
  Status PutCells(const CellSlot& slot, const std::shared_ptr<arrow::Array>& values);

  std::vector<WindowColumn> columns_;
  std::vector<Kept> kept_;
  int64_t rows_ = 0;
  int64_t fixed_ = 0;  // columns of fixed width
  std::span<const uint32_t> placement_;
  // uint32 indices; null if no column is gathered, once it is sealed.
  std::shared_ptr<arrow::Buffer> inverse_;
  arrow::MemoryPool* pool_ = nullptr;

  /// What is needed to permute columns of fixed width.
  struct Filling {
    std::shared_ptr<arrow::Buffer> values;  // of a column, in read order
    std::shared_ptr<arrow::Buffer> valid;
    bool any_null = false;  // of the rows in `values`
    // Which rows go where: those of `at` on, which all columns have in turn.
    std::shared_ptr<arrow::Buffer> moves;
    int64_t at = -1;
    int64_t rows = 0;
  };
  Filling filling_;
};

}  // namespace headrace::window
