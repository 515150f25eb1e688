/// \file
/// Column names: a top-level name first, else a dotted path into structs.
#pragma once

#include <arrow/type.h>
#include <headrace/result.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace headrace::schema {

/// A resolved column: its path, and the field as a flat column would have it (named as
/// asked, nullable if any struct above it is).
struct ColumnPath {
  std::vector<std::string> path;
  std::shared_ptr<arrow::Field> field;
};

/// NotFound naming the column, and the columns that are there.
Result<ColumnPath> ResolveColumn(const arrow::Schema& schema, std::string_view name);

}  // namespace headrace::schema
