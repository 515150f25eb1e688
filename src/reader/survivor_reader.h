/// \file
/// Reading the survivors of a filter and of deletions, block by block, in stored order.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "expression/filter.h"
#include "reader/read_context.h"
#include "reader/row_group_reader.h"
#include "reader/salvage.h"

namespace headrace::reader {

/// A block as readers need it.
struct BlockRef {
  int64_t fragment = 0;
  int row_group = 0;
  int64_t first_row = 0;  ///< In the row group.
  int64_t rows = 0;
  /// The filter must be evaluated; else every row passes it.
  bool filtered = false;
  /// Some rows are deleted.
  bool has_deleted = false;
  int64_t first_row_in_file = 0;

  /// Not every row is a survivor.
  bool thinned() const { return filtered || has_deleted; }
};

/// What to read: the selected columns first, row ids where they are wanted beside them,
/// then what only the filter needs.
struct ReadSpec {
  std::vector<ReadColumn> columns;
  /// How many of `columns` are delivered.
  size_t selected = 0;
  /// Null: no filter. Its columns()[i] is columns[filter_inputs[i]].
  const expression::Filter* filter = nullptr;
  std::vector<size_t> filter_inputs;

  /// Resolves names; a filter column that is also selected is read once. `row_ids`: row
  /// ids are delivered as one more column, the last.
  static Result<ReadSpec> Make(const table::Table& table,
                               const std::vector<std::string>& selected,
                               const expression::Filter* filter, bool row_ids = false);
};

/// Values as they are read: those of survivors [at, at + length) of the requested run, in
/// a selected column.
struct Delivery {
  size_t column = 0;
  int64_t at = 0;
  std::shared_ptr<arrow::Array> values;
  /// A byte a value, 1 where it could not be read and is null instead; empty: none.
  std::span<const uint8_t> damaged;
};

/// Where values go.
struct Sink {
  std::function<Status(const Delivery& delivery)> put;
  /// Where `rows` values of a column, the run's, may be written straight, without being
  /// delivered; nothing where they may not. Null: nowhere.
  std::function<Result<std::optional<window::Slot>>(size_t column, int64_t rows)>
      slot_of = nullptr;
  /// The same of cells.
  std::function<Result<std::optional<window::CellSlot>>(size_t column)> cell_slot_of =
      nullptr;
};

/// Reads runs of survivors. A run that goes on where the last one ended continues in the
/// open row group; any other opens its row group anew, evaluating the filter from the
/// block's start.
///
/// Not thread-safe. `context` and `spec` outlive it.
class SurvivorReader {
 public:
  /// `resumed`: what comes before the first survivor that is asked for was read by
  /// others.
  SurvivorReader(const ReadContext* context, const ReadSpec* spec, bool resumed = false)
      : context_(context), spec_(spec), resumed_(resumed) {}

  /// Survivors [first, first + rows) of the block.
  Status Read(const BlockRef& block, int64_t first, int64_t rows, const Sink& sink);
  /// The block's next survivors, at most a tile of them, from its start on call after
  /// call until 0 are left. Delivers them at 0.
  Result<int64_t> ReadNext(const BlockRef& block, const Sink& sink);
  /// Counts a thinned block's survivors, reading only the filter's columns.
  Result<int64_t> Count(const BlockRef& block);
  /// Lets go of the open row group.
  void Close();

 private:
  /// Rows of a thinned block, in one tile.
  struct Piece {
    std::shared_ptr<arrow::BooleanArray> passing;  // a boolean a row: it is a survivor
    int64_t row = 0;                               // of the block, the first
    int64_t survivors = 0;

    int64_t rows() const { return passing->length(); }
  };
  /// Rows of a thinned block that are delivered together.
  struct Run {
    std::vector<Piece> pieces;
    /// uint32: the rows that are survivors, each counted from its piece's first.
    std::shared_ptr<arrow::Buffer> picked;
    int64_t survivors = 0;
  };

  bool IsOpen(const BlockRef& block) const;
  Status OpenAt(const BlockRef& block, int64_t first);
  Status ReadAll(int64_t rows, const Sink& sink);
  /// Writes the next rows of a column to its slot. False if it has none, or if it turned
  /// out to be damaged and that is tolerated.
  Result<bool> Place(size_t column, int64_t rows, const Sink& sink);
  /// Has `write` write `rows` values to a column's slot, and settles them. As Place.
  Result<bool> PlaceBy(size_t column, int64_t rows, const Sink& sink,
                       const std::function<Status(const window::Slot&)>& write);
  /// Whether a column was placed; a damage that is tolerated is noted.
  Result<bool> Tolerate(size_t column, const Status& placed);
  Status ReadFiltered(int64_t first, int64_t rows, const Sink& sink);
  /// The next rows of a selected column, at `row` of the block.
  Result<Salvaged> ReadTile(size_t column, int64_t row, int64_t rows);
  /// Evaluates the filter on the next tile and leaves out what is deleted.
  Status NextTile();
  /// Whether the filter reads a selected column of the open block.
  bool IsInput(size_t column) const;
  bool AtEnd() const { return next_row_ == block_.rows && tile_left_ == 0; }
  /// An empty run with room for so many survivors.
  Result<Run> RunOf(int64_t survivors) const;
  /// The next rows of a tile, with at most `most` survivors, which `picked` gets if it is
  /// not null. REQUIRES: not AtEnd.
  Result<Piece> NextPiece(int64_t most, uint32_t* picked);
  /// Adds a piece to a run, which has room, and delivers what the filter has read of it.
  Status Extend(int64_t most, const Sink& sink, Run* run);
  /// Delivers the columns of a run that the filter does not read.
  Status Deliver(const Run& run, const Sink& sink);
  Status DeliverRun(size_t column, const Run& run, const Sink& sink);
  /// As Place.
  Result<bool> PlaceRun(size_t column, const Run& run, const Sink& sink);
  /// Writes a piece's survivors, whose rows are `picked`, from element `at` of a slot on.
  Status PlacePiece(size_t column, const Piece& piece, std::span<const uint32_t> picked,
                    int64_t at, const window::Slot& slot);
  /// Decodes the next `rows` rows, at most kPickRows, the first of which is `first` to
  /// `picked`, and writes those that are picked.
  Status PlacePicked(size_t column, int64_t first, int64_t rows,
                     std::span<const uint32_t> picked, int64_t width,
                     const window::Slot& slot);
  /// Passes over rows of columns that the filter does not read.
  void SkipRows(size_t column, int64_t rows);

  const ReadContext* context_;
  const ReadSpec* spec_;
  bool resumed_;
  std::unique_ptr<RowGroupReader> open_;
  BlockRef block_;
  std::vector<bool> damaged_;  // columns of open_ that failed: read apart from it
  int64_t next_row_ = 0;       // in the block: the first row not yet read
  int64_t next_survivor_ =
      0;  // among the block's: the first not yet delivered or skipped
  // Thinned blocks: the current tile, which ends at next_row_. Columns that the filter
  // does not read stand at tile_at_.
  arrow::ArrayVector inputs_;
  std::shared_ptr<arrow::BooleanArray> passing_;
  std::vector<uint8_t> present_;  // by row: 0 if it is deleted
  int64_t tile_at_ = 0;           // its rows that are done with
  int64_t tile_left_ = 0;         // survivors in the others
};

}  // namespace headrace::reader
