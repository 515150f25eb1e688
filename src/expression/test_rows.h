/// \file
/// What the tests of filters share: columns written as JSON, and the rows that pass.
#pragma once

#include <arrow/array.h>
#include <arrow/compute/api.h>
#include <arrow/json/from_string.h>
#include <arrow/record_batch.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "expression/filter.h"

namespace headrace::expression {

struct NamedColumn {
  std::string name;
  std::shared_ptr<arrow::Array> values;
};

inline NamedColumn Column(std::string name, const std::shared_ptr<arrow::DataType>& type,
                          const std::string& json) {
  return {std::move(name), arrow::json::ArrayFromJSONString(type, json).ValueOrDie()};
}

inline std::shared_ptr<arrow::RecordBatch> Rows(const std::vector<NamedColumn>& columns) {
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (const NamedColumn& column : columns) {
    fields.push_back(arrow::field(column.name, column.values->type()));
    arrays.push_back(column.values);
  }
  const int64_t rows = arrays.empty() ? 0 : arrays.front()->length();
  return arrow::RecordBatch::Make(arrow::schema(fields), rows, arrays);
}

/// One character a row: '1' passes, '0' does not; or "KIND: message".
inline std::string Passes(const arrow::compute::Expression& expression,
                          const std::shared_ptr<arrow::RecordBatch>& rows) {
  const auto run = [&]() -> Result<std::string> {
    ARROW_ASSIGN_OR_RAISE(auto filter, Filter::Bind(expression, *rows->schema()));
    arrow::ArrayVector needed;
    for (const std::string& name : filter.columns()) {
      ARROW_ASSIGN_OR_RAISE(auto column, arrow::FieldRef(name).GetOneOrNone(*rows));
      if (column == nullptr) {
        ARROW_ASSIGN_OR_RAISE(auto ref, arrow::FieldRef::FromDotPath("." + name));
        ARROW_ASSIGN_OR_RAISE(column, ref.GetOneFlattened(*rows));
      }
      needed.push_back(column);
    }
    const auto batch =
        arrow::RecordBatch::Make(filter.input_schema(), rows->num_rows(), needed);
    ARROW_ASSIGN_OR_RAISE(auto passes,
                          filter.Evaluate(*batch, arrow::default_memory_pool()));
    ARROW_RETURN_NOT_OK(passes->ValidateFull());
    if (passes->length() != rows->num_rows() || passes->null_count() != 0 ||
        passes->offset() != 0) {
      return Status::Invalid("the mask has another shape than its rows");
    }
    std::string text;
    for (int64_t i = 0; i < passes->length(); ++i) text += passes->Value(i) ? '1' : '0';
    return text;
  };
  auto text = run();
  if (text.ok()) return *text;
  return std::string(KindName(KindOf(text.status()))) + ": " + text.status().message();
}

inline std::string Passes(const std::string& text,
                          const std::vector<NamedColumn>& columns) {
  const auto expression = ParseFilter(text);
  if (!expression.ok()) return expression.status().message();
  return Passes(*expression, Rows(columns));
}

}  // namespace headrace::expression
