/// \file
/// Blocks: the units that are permuted.
#pragma once

#include <cstdint>
#include <vector>

#include "table/table.h"

namespace headrace::plan {

/// Larger row groups are cut into ranges of this many rows where an offset index lets readers
/// enter them anywhere.
inline constexpr int64_t kBlockRowsMax = int64_t{1} << 20;

/// A row group, or a range of one.
struct Block {
  int64_t fragment = 0;
  int row_group = 0;          ///< In the fragment.
  int64_t first_row = 0;      ///< In the row group.
  int64_t rows = 0;
  int64_t first_row_in_file = 0;

  bool operator==(const Block&) const = default;
};

/// The blocks of a table in stored numbering: fragments, row groups, ranges.
std::vector<Block> MakeBlocks(const table::Table& table);

/// As above for one fragment's row groups, appended.
void AppendBlocks(int64_t fragment, const table::RowGroup* row_groups, int count,
                  std::vector<Block>* blocks);

/// The default of shuffle_window_rows: 2^28 bytes' worth of rows (uncompressed stored bytes of
/// all columns), at least `streams` and at most 2^20.
int64_t DefaultShuffleWindowRows(int64_t stored_bytes, int64_t rows, int streams);

}  // namespace headrace::plan
