/// \file
/// The canonical text of bound filters: equal text means equal filter.
#pragma once

#include <arrow/compute/expression.h>
#include <arrow/scalar.h>
#include <arrow/type.h>

#include <string>
#include <string_view>
#include <vector>

namespace headrace::expression {

/// The grammar's own words where it has them, functions in the form name(arguments)
/// elsewhere. Values and sets too long to show are shortened and given a hash. `columns`
/// names what the field references' first indices mean.
std::string ExpressionText(const arrow::compute::Expression& expression,
                           const std::vector<std::string>& columns);

/// As in filter text where the grammar has it; otherwise with its type. `implied`, if
/// given, is a type that need not be said.
std::string LiteralText(const arrow::Scalar& literal, const arrow::DataType* implied);

/// A column's name as the grammar wants it: in double quotes where it must be.
std::string NameText(std::string_view name);

}  // namespace headrace::expression
