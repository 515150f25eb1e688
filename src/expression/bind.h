/// \file
/// Binding: from a tree of names and literals of any type to one that runs on given
/// columns.
#pragma once

#include <arrow/compute/expression.h>
#include <headrace/result.h>

#include "expression/columns.h"

namespace headrace::expression {

/// Levels that a filter may be nested: every pass over it recurses.
inline constexpr int kExpressionDepthMax = 1000;

/// InvalidArgument if the tree is deeper than kExpressionDepthMax.
Status CheckDepth(const arrow::compute::Expression& expression);

/// Binds a condition to `columns->schema()`, adding the columns that it names. The result
/// is boolean, deterministic and row by row; its field references are indices into that
/// schema.
///
/// What it rewrites, so that evaluation is exact and statistics can decide:
/// - a comparison with a literal gets the literal on the right, in the type of the left
/// side;
///   one that is not a value of that type becomes the neighbouring value, or what the
///   comparison then always is;
/// - value sets get the type of what is looked up, sorted, each value once;
/// - columns of types that kernels lack are cast to their PlainType;
/// - arithmetic on integers is done in 64 bits; of integers with floating point, in
/// double;
/// - calls on literals alone are evaluated.
Result<arrow::compute::Expression> BindCondition(
    const arrow::compute::Expression& expression, ColumnSet* columns);

}  // namespace headrace::expression
