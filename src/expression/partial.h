/// \file
/// Filters on tables of which only some columns are known yet.
#pragma once

#include <arrow/compute/expression.h>
#include <arrow/type.h>
#include <headrace/result.h>

#include <set>
#include <string>

#include "expression/filter.h"

namespace headrace::expression {

/// The names of the columns that a filter mentions, as it mentions them.
Result<std::set<std::string>> MentionedColumns(const arrow::compute::Expression& filter);

/// Binds a filter to the columns that are known. A condition on any other one stands as a
/// boolean column of which nothing is known, whose name is none of `known`: given no
/// bounds of it, what the result decides of rows is true of the whole filter, whatever
/// the other columns hold.
Result<Filter> BindKnown(const arrow::compute::Expression& filter,
                         const arrow::FieldVector& known);

}  // namespace headrace::expression
