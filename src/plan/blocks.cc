#include "plan/blocks.h"

#include <algorithm>

namespace headrace::plan {

void AppendBlocks(int64_t fragment, const table::RowGroup* row_groups, int count,
                  std::vector<Block>* blocks) {
  int64_t first_row_in_file = 0;
  for (int g = 0; g < count; ++g) {
    const int64_t rows = row_groups[g].rows;
    const int64_t range = row_groups[g].has_offset_index ? kBlockRowsMax : rows;
    for (int64_t first = 0; first < rows; first += range) {
      blocks->push_back(
          {fragment, g, first, std::min(range, rows - first), first_row_in_file + first});
    }
    first_row_in_file += rows;
  }
}

std::vector<Block> MakeBlocks(const table::Table& table) {
  std::vector<Block> blocks;
  blocks.reserve(table.row_groups().size());
  for (size_t f = 0; f < table.fragments().size(); ++f) {
    const table::Fragment& fragment = table.fragments()[f];
    AppendBlocks(static_cast<int64_t>(f), table.row_groups().data() + fragment.first_row_group,
                 fragment.row_group_count, &blocks);
  }
  return blocks;
}

int64_t DefaultShuffleWindowRows(int64_t stored_bytes, int64_t rows, int streams) {
  constexpr int64_t kWindowBytes = int64_t{1} << 28;
  constexpr int64_t kWindowRowsMax = int64_t{1} << 20;
  const int64_t row_bytes = std::max<int64_t>(1, rows == 0 ? 1 : stored_bytes / rows);
  return std::min(std::max<int64_t>(kWindowBytes / row_bytes, streams), kWindowRowsMax);
}

}  // namespace headrace::plan
