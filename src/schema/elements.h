/// \file
/// Elements of a column as its plan delivers them: cast, or standardized.
#pragma once

#include <headrace/column_policy.h>
#include <headrace/result.h>

#include <cstdint>
#include <optional>

#include "schema/column_plan.h"
#include "schema/convert.h"

namespace headrace::schema {

/// From plan.stored_dtype to plan.dtype; the index of the first element that has no
/// image.
std::optional<int64_t> Deliver(const ColumnPlan& plan, const ConvertSpan& span);

/// The element that stands for a fill value, which is in the column's own units.
Status DeliverNumber(const ColumnPlan& plan, const Number& number, uint8_t* out);

}  // namespace headrace::schema
