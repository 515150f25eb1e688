#include <headrace/scan_ranges.h>

#include <algorithm>
#include <string>

#include "expression/filter.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/scan.h"
#include "pipeline/thread_executor.h"

namespace headrace {

Result<std::vector<ScanRange>> ScanRanges(const Dataset& dataset, int64_t count) {
  if (count < 0) {
    return Error(ErrorKind::kInvalidArgument,
                 "count is " + std::to_string(count) + ", expected at least 0");
  }
  const auto impl = DatasetAccess::SharedImpl(dataset);
  if (impl->table->stores_row_id()) {
    return Error(
        ErrorKind::kUnsupported,
        impl->table->DisplayUri() +
            " stores a column row_id, so that its rows have no ids to be read by: "
            "read it as a whole");
  }
  reader::ReadCounters counters;
  reader::ReadContext context;
  context.pool = arrow::default_memory_pool();
  context.counters = &counters;
  pipeline::ThreadExecutor executor(impl->options.num_threads);
  ARROW_ASSIGN_OR_RAISE(const auto scan, pipeline::Scan::Make(impl, context, executor));
  std::vector<plan::Block> blocks;
  int64_t rows = 0;
  for (const plan::Block& block : scan->blocks()) {
    if (scan->verdict(block) == expression::Verdict::kNone) continue;
    blocks.push_back(block);
    rows += block.rows;
  }
  std::vector<ScanRange> ranges;
  int64_t done = 0;
  for (const plan::Block& block : blocks) {
    const int64_t first = RowId(block.fragment, block.first_row_in_file);
    // The range that the block's middle row is of.
    const int64_t part =
        count == 0 ? std::ssize(ranges)
                   : std::min(count - 1, (done + block.rows / 2) * count / rows);
    done += block.rows;
    if (ranges.empty() || part >= std::ssize(ranges)) ranges.push_back({first, first});
    ranges.back().end = first + block.rows;
  }
  return ranges;
}

}  // namespace headrace
