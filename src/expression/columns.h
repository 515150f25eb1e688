/// \file
/// The columns that a filter names: found in a schema, numbered in order of appearance.
#pragma once

#include <arrow/type.h>
#include <headrace/result.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace headrace::expression {

/// Collects the columns of one filter. REQUIRES: `schema` outlives it.
class ColumnSet {
 public:
  explicit ColumnSet(const arrow::Schema& schema) : schema_(schema) {}

  /// The number of the column that `ref` means, adding it when it is new. A name is a
  /// top-level column's first, else a dotted path into structs; nested references and
  /// field paths are followed as they stand. NotFound lists the columns that come
  /// closest; InvalidArgument where a name fits several columns or leads into what is no
  /// struct.
  Result<int> Add(const arrow::FieldRef& ref);

  /// Dotted names.
  const std::vector<std::string>& names() const { return names_; }
  /// A flat schema with those names; a field below a nullable struct is nullable.
  std::shared_ptr<arrow::Schema> schema() const { return arrow::schema(fields_); }

 private:
  const arrow::Schema& schema_;
  std::vector<std::string> names_;
  arrow::FieldVector fields_;
  std::unordered_map<std::string, int> numbers_;
};

}  // namespace headrace::expression
