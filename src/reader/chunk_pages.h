/// \file
/// The pages of a column chunk, entered at any row.
#pragma once

#include <arrow/memory_pool.h>
#include <headrace/result.h>
#include <parquet/column_reader.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "reader/chunk_stream.h"
#include "reader/column_source.h"
#include "reader/shared_pages.h"

namespace headrace::reader {

/// Pages from one that begins at or before the row that was asked for.
struct ChunkPages {
  std::unique_ptr<parquet::PageReader> pager;
  /// Gives the dictionary alone, whose page outlives it, where the pager does not: null,
  /// if the dictionary was not wanted apart or there is none.
  std::unique_ptr<parquet::PageReader> dictionary;
  /// Rows of the row group before the first page that the pager gives.
  int64_t passed = 0;
  /// A page's bytes stay when the next one is read, for who holds its buffer. They do not
  /// where pages are decompressed, into memory that the next page takes.
  bool lasting = false;
  /// What others have left of the chunk, which the pager and `dictionary` may have too.
  SharedPages::Pages found;
  /// Where to leave the dictionary and the page that is entered for others, and under
  /// what key; null: nowhere.
  SharedPages* shared = nullptr;
  SharedPages::Key key = {};
};

/// Where the pages of a column chunk lie, dictionary included.
Result<ByteRange> BytesOf(const ColumnChunk& chunk,
                          const parquet::ColumnChunkMetaData& column);

/// The bytes of a flat column chunk in which some rows lie.
struct PageRanges {
  std::vector<ByteRange> ranges;
  /// Rows of the row group before the first data page in them.
  int64_t passed = 0;
};

/// Rows [first, end) of a row group.
struct RowRange {
  int64_t first = 0;
  int64_t end = std::numeric_limits<int64_t>::max();
};

/// The dictionary, and the pages that have the rows, by the offset index; where
/// chunk.indexes has none, the whole chunk. Throws what Parquet throws.
Result<PageRanges> RangesOf(const ColumnChunk& chunk, int leaf, const RowRange& rows);

/// Opens a leaf's pages at chunk.first_row: the page that holds it by the offset index,
/// else the first of the chunk, and before them, or apart, the dictionary. Throws what
/// Parquet throws. Where the dictionary comes apart, `shared` (or null) is asked for
/// pages, and is where they are to be left.
Result<ChunkPages> OpenPages(const ColumnChunk& chunk, int leaf, bool dictionary_apart,
                             SharedPages* shared, arrow::MemoryPool* pool);

/// The error of a chunk that has only `got` of `rows` more rows.
Status ChunkEnded(int64_t got, int64_t rows);

}  // namespace headrace::reader
