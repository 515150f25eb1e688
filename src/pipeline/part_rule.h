/// \file
/// The rule by which a part of a table is opened.
#pragma once

#include <arrow/compute/expression.h>
#include <headrace/dataset.h>
#include <headrace/result.h>

#include <optional>

#include "table/part.h"

namespace headrace::pipeline {

/// The rule of rows that pass both, where they are given; none where neither is.
Result<table::PartRule> MakePartRule(
    const std::optional<arrow::compute::Expression>& where,
    const std::optional<TimeRange>& between);

}  // namespace headrace::pipeline
