/// \file
/// How a memory budget is spent: the floor, and what is left for running ahead.
#pragma once

#include <headrace/loader.h>
#include <headrace/result.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "plan/epoch_order.h"
#include "reader/read_context.h"
#include "schema/column_plan.h"

namespace headrace::pipeline {

/// Bytes, by what holds them. Exact for columns of fixed width, else estimated from the
/// footers.
struct MemoryPlan {
  /// A row in a shuffle window.
  int64_t window_row_bytes = 0;
  /// A sample in a batch, gathering included.
  int64_t batch_row_bytes = 0;
  /// Windows that must be held at once, all streams together.
  int64_t windows = 0;
  /// Pages, dictionaries and read buffers of the open row groups; tiles; scratch;
  /// footers.
  int64_t readers = 0;
  /// The batches of steps_together steps.
  int64_t batch = 0;
  /// The smallest budget that is accepted.
  int64_t floor_bytes = 0;

  /// Full steps that are assembled at once, so that small batches cost no more than large
  /// ones.
  int64_t steps_together = 1;
  /// Batches that may wait for the consumer, in those that are assembled together: they
  /// are to last it while a window is filled.
  int64_t ready_max = 0;
  int64_t read_buffer_bytes = 0;
  int64_t tile_rows = 0;
  /// For column chunks that are read more than once, as they are under a selective
  /// filter, or ahead of decoding, as they are where storage is far; in `readers`.
  int64_t chunk_cache = 0;
  /// Without a filter, on a disk: for pages that two streams need, as one ends where
  /// another begins; in `readers`.
  int64_t shared_pages = 0;
  /// Windows are read soon, so that a consumer that waits for them may fill them, too:
  /// they are small, on a disk, and made of few more rows than they have.
  bool consumer_fills = false;
};

/// What the plan is made of.
struct MemoryNeeds {
  const std::vector<schema::ColumnPlan>* columns = nullptr;
  /// Selected columns, row ids if windows keep them, then what only the filter needs.
  const std::vector<reader::ReadColumn>* read_columns = nullptr;
  bool row_ids = false;
  bool filtered = false;
  /// Rows that statistics leave, of which `rows` pass the filter.
  int64_t rows_left = 0;
  plan::OrderSpec order;
  /// Survivors.
  int64_t rows = 0;
  /// Assembler::PartRows, where steps may be assembled together.
  std::optional<int64_t> part_rows;
  LoaderOptions options;
};

/// Plans for a budget. ResourceExhausted, with both numbers, if it is below the floor.
Result<MemoryPlan> PlanMemory(const table::Table& table, const MemoryNeeds& needs);

}  // namespace headrace::pipeline
