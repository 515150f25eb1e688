/// \file
/// A scan in parts, for engines that read a dataset in many processes.
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>
#include <headrace/row_id.h>

#include <cstdint>
#include <vector>

namespace headrace {

/// Rows by their ids: from `first` up to but not including `end`.
struct ScanRange {
  int64_t first = 0;
  int64_t end = 0;

  bool operator==(const ScanRange&) const = default;
};

/// Ranges that together hold every row which may pass the dataset's filter, in stored
/// order, of about as many stored rows each. They begin and end with row groups (with
/// ranges of 2^20 rows of larger ones), so there may be fewer than `count`; 0 stands for
/// one a row group. What statistics exclude is in none. A filter on `row_id` reads one.
///
/// Errors: InvalidArgument for a negative `count`, Unsupported for a table that stores a
/// column `row_id`, and those of reading footers.
/// Thread-safety: any.
Result<std::vector<ScanRange>> ScanRanges(const Dataset& dataset, int64_t count);

}  // namespace headrace
