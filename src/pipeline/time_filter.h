/// \file
/// Time as a filter: ranges of a table's time column, whatever holds it.
#pragma once

#include <arrow/compute/expression.h>
#include <headrace/dataset.h>
#include <headrace/result.h>

#include <optional>
#include <string>

#include "table/table.h"

namespace headrace::pipeline {

/// The condition that a row's time is in [start, end). Contract: `Dataset::Between`.
Result<arrow::compute::Expression> BetweenFilter(
    const table::Table& table, const Moment& start, const Moment& end,
    const std::optional<std::string>& column);

/// The filter with dates and timestamps that are compared with a partition column of
/// integers written as what those count: the time since the epoch, in the unit that the
/// column's values are of by their size (as for `Moment`). All else stays.
arrow::compute::Expression WithEpochs(const arrow::compute::Expression& filter,
                                      const table::Table& table);

}  // namespace headrace::pipeline
