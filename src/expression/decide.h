/// \file
/// Deciding a bound condition on bounds of its columns: sound, three-valued, without
/// rows.
#pragma once

#include <arrow/compute/expression.h>
#include <headrace/result.h>

#include <functional>

#include "expression/filter.h"

namespace headrace::expression {

/// What some set of rows can give, for a condition that BindCondition made. `bounds(i)`
/// is asked at most once for each of the schema's columns, and only for those that
/// matter.
Result<Verdict> DecideCondition(const arrow::compute::Expression& condition,
                                const arrow::Schema& schema,
                                const std::function<ColumnBounds(int)>& bounds);

}  // namespace headrace::expression
