/// \file
/// Time as a filter: ranges of a table's time column, whatever holds it.
#pragma once

#include <arrow/compute/expression.h>
#include <headrace/dataset.h>
#include <headrace/result.h>

#include <string>
#include <vector>

#include "table/part.h"
#include "table/partition.h"
#include "table/table.h"

namespace headrace::pipeline {

/// The condition that a row's time is in [start, end). Contract: `Dataset::Between`.
Result<arrow::compute::Expression> BetweenFilter(const table::Table& table,
                                                 const TimeRange& range);

/// What of that condition can be told from some of the partition columns: no more than
/// the whole of it rules out. `keys`: the names of all partition columns. Nothing where
/// the columns that are known do not say which one is meant.
Result<table::PartCondition> BetweenKnown(const table::PartitionColumns& known,
                                          const std::vector<std::string>& keys,
                                          const TimeRange& range);

/// The filter with dates and timestamps that are compared with a partition column of
/// integers written as what those count: the time since the epoch, in the unit that the
/// column's values are of by their size (as for `Moment`). All else stays.
arrow::compute::Expression WithEpochs(const arrow::compute::Expression& filter,
                                      const table::PartitionColumns& columns);

}  // namespace headrace::pipeline
