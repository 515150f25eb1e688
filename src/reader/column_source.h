/// \file
/// Where the values of one column of one row group come from.
///
/// Three ways, from the cheapest: a constant (partition values, columns that the file
/// lacks) or consecutive numbers (row ids); flat column chunks, decoded page by page and
/// entered at any page, straight into a window's slot if they are of fixed width; all
/// else (nested, decimal, dictionary, INT96) through Arrow's record assembly, which
/// decodes what it passes.
#pragma once

#include <arrow/array.h>
#include <arrow/scalar.h>
#include <headrace/result.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>
#include <parquet/page_index.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "reader/read_context.h"
#include "window/slot.h"

namespace headrace::reader {

/// Parquet errors may be thrown as exceptions out of these methods; RowGroupReader, their
/// only caller, translates them. Not thread-safe.
class ColumnSource {
 public:
  virtual ~ColumnSource() = default;
  /// Exactly `rows` more values, in the file's type.
  virtual Result<std::shared_ptr<arrow::Array>> Read(int64_t rows) = 0;
  virtual void Skip(int64_t rows) = 0;
  /// How `Read` comes by its values.
  virtual DecodePath path() const = 0;
  /// Whether `Place` may be called.
  virtual bool CanPlace() const { return false; }
  /// Writes exactly `rows` more values to where they are wanted, elements of the file's
  /// type (booleans as bytes).
  virtual Status Place(int64_t rows, const window::Slot& slot) {
    (void)rows, (void)slot;
    return Error(ErrorKind::kInternal, "values of this column cannot be placed");
  }
  /// Whether `PlaceCells` may be called, which a source that was read from may not be.
  virtual bool CanPlaceCells() const { return false; }
  /// Writes where the bytes of exactly `rows` more strings or blobs lie.
  virtual Status PlaceCells(int64_t rows, const window::CellSlot& slot) {
    (void)rows, (void)slot;
    return Error(ErrorKind::kInternal, "this column has no cells to place");
  }
};

/// The same value in every row.
std::unique_ptr<ColumnSource> MakeConstantSource(std::shared_ptr<arrow::Scalar> value,
                                                 arrow::MemoryPool* pool);

/// int64 values from `first` on, each one more than the one before.
std::unique_ptr<ColumnSource> MakeNumberedSource(int64_t first, arrow::MemoryPool* pool);

/// True if MakeFlatSource can read the leaf.
bool IsFlat(const parquet::ColumnDescriptor& descriptor, const arrow::DataType& type);

/// An open column chunk: what both Parquet sources start from.
struct ColumnChunk {
  parquet::ParquetFileReader* file = nullptr;
  std::shared_ptr<arrow::io::RandomAccessFile> input;
  const parquet::ReaderProperties* properties = nullptr;
  parquet::RowGroupPageIndexReader* indexes = nullptr;  // null: not needed, or none
  int64_t fragment = 0;
  int row_group = 0;
  int64_t first_row = 0;
  /// Who needs what lies before `first_row` is still to come.
  bool others_follow = false;
};

Result<std::unique_ptr<ColumnSource>> MakeFlatSource(
    const ReadContext& context, const ColumnChunk& chunk, int leaf,
    std::shared_ptr<arrow::DataType> type);

/// Reads the leaves below a field of the file and descends to it: `depth` structs are
/// flattened away, with their nulls.
Result<std::unique_ptr<ColumnSource>> MakeAssembledSource(
    const ReadContext& context, parquet::arrow::FileReader* file,
    const ColumnChunk& chunk, const std::vector<int>& leaves, int depth);

}  // namespace headrace::reader
