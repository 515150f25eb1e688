/// \file
/// Progressive reading of one row group, column by column.
#pragma once

#include <arrow/array.h>
#include <headrace/result.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "reader/column_source.h"
#include "reader/read_context.h"

namespace headrace::reader {

/// Where a row group is entered, and what of it is read ahead, for all that share
/// context.cache, where an offset index tells pages apart.
struct EnteredRows {
  int64_t first = 0;
  int64_t ahead_first = 0;
  int64_t ahead_end = std::numeric_limits<int64_t>::max();
  /// Who needs what lies before `first` is still to come.
  bool others_follow = false;
};

/// An open row group. Holds a page and a dictionary per column, not the row group.
/// Columns advance apart from each other; values come in the table's types.
///
/// Not thread-safe.
class RowGroupReader {
 public:
  /// Opens at `rows.first` of the row group: by the offset index where there is one, else
  /// by page headers as pages are met.
  static Result<std::unique_ptr<RowGroupReader>> Open(
      const ReadContext& context, int64_t fragment, int row_group,
      const EnteredRows& rows, const std::vector<ReadColumn>& columns);
  ~RowGroupReader();

  /// The next `rows` values of a column. Corrupt if the column chunk ends before.
  Result<std::shared_ptr<arrow::Array>> Read(size_t column, int64_t rows);
  /// Whether `Place` may be called for a column: it is flat and of fixed width, and the
  /// file's type is the table's; or it holds row ids.
  bool CanPlace(size_t column) const { return placeable_[column]; }
  /// Writes the next `rows` values of a column to their places. Errors as `Read`; what
  /// was written by then is unspecified.
  Status Place(size_t column, int64_t rows, const window::Slot& slot);
  /// The same of strings and bytes, of which it is where they lie that is written. A
  /// column is read in one way or the other.
  bool CanPlaceCells(size_t column) const { return cells_placeable_[column]; }
  Status PlaceCells(size_t column, int64_t rows, const window::CellSlot& slot);
  /// Passes over `rows` values; whole pages are not even decompressed.
  void Skip(size_t column, int64_t rows) { sources_[column]->Skip(rows); }

 private:
  struct OpenFile;
  RowGroupReader();
  /// Has what is needed of the columns' chunks read once for all that share
  /// context.cache.
  Status ReadAhead(const ReadContext& context, const EnteredRows& rows,
                   const std::vector<ReadColumn>& columns);
  /// Has the cache hold the offset indexes of the row group.
  Status HoldIndexes();
  bool IsFlatField(const parquet::arrow::SchemaField& field) const;
  Status OpenColumn(const ReadContext& context, int64_t fragment, const EnteredRows& rows,
                    const ReadColumn& column);
  /// The error with file, row group and column put before it.
  Status Locate(const Status& status, size_t column) const;
  void Note(size_t column, DecodePath path);

  const table::Table* table_ = nullptr;
  ReadCounters* counters_ = nullptr;
  arrow::MemoryPool* pool_ = nullptr;
  int64_t fragment_ = 0;
  std::unique_ptr<OpenFile> file_;
  std::vector<std::unique_ptr<ColumnSource>> sources_;
  std::vector<std::shared_ptr<arrow::Field>> fields_;
  std::vector<std::shared_ptr<arrow::Field>>
      mapped_;  // with what files call their members
  std::vector<bool> placeable_;
  std::vector<bool> cells_placeable_;
  std::vector<unsigned> noted_;  // decode paths by column
};

}  // namespace headrace::reader
