// Any text: the parser refuses it or gives a filter that binds or is refused; a bound
// filter evaluates, and what its bounds prove holds for the rows.
#include <arrow/api.h>
#include <arrow/compute/initialize.h>
#include <arrow/json/from_string.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "expression/filter.h"

namespace {

using headrace::expression::ColumnBounds;
using headrace::expression::Filter;
using headrace::expression::Verdict;

constexpr int64_t kRows = 4;

struct Column {
  std::shared_ptr<arrow::Array> values;
  ColumnBounds bounds;
};

// A column with its exact bounds, from JSON text.
Column MakeColumn(const std::shared_ptr<arrow::DataType>& type, std::string_view values,
                  std::string_view min, std::string_view max) {
  Column column;
  column.values = arrow::json::ArrayFromJSONString(type, values).ValueOrDie();
  column.bounds.min = arrow::json::ScalarFromJSONString(type, min).ValueOrDie();
  column.bounds.max = arrow::json::ScalarFromJSONString(type, max).ValueOrDie();
  column.bounds.null_count = column.values->null_count();
  column.bounds.rows = kRows;
  return column;
}

struct Rows {
  std::shared_ptr<arrow::Schema> schema;
  std::vector<Column> columns;

  const Column& Get(const std::string& name) const {
    return columns[static_cast<size_t>(schema->GetFieldIndex(name))];
  }
};

Rows MakeRows() {
  if (!arrow::compute::Initialize().ok()) std::abort();
  Rows rows;
  rows.schema = arrow::schema(
      {arrow::field("i", arrow::int32()), arrow::field("x", arrow::float64()),
       arrow::field("s", arrow::utf8()), arrow::field("d", arrow::date32()),
       arrow::field("b", arrow::boolean())});
  rows.columns = {
      MakeColumn(arrow::int32(), "[-1, 0, null, 2013]", "-1", "2013"),
      MakeColumn(arrow::float64(), "[-0.5, 0.0, 1e300, null]", "-0.5", "1e300"),
      MakeColumn(arrow::utf8(), R"(["", "UA", "a%b", null])", R"("")", R"("a%b")"),
      MakeColumn(arrow::date32(), "[0, 15706, null, null]", "0", "15706"),
      MakeColumn(arrow::boolean(), "[true, false, null, true]", "false", "true"),
  };
  return rows;
}

void CheckBound(const Filter& filter, const Rows& rows) {
  arrow::ArrayVector inputs;
  for (const std::string& name : filter.columns())
    inputs.push_back(rows.Get(name).values);
  const auto batch = arrow::RecordBatch::Make(filter.input_schema(), kRows, inputs);
  const auto passed = filter.Evaluate(*batch, arrow::default_memory_pool());
  const auto verdict = filter.Decide(
      [&](int i) { return rows.Get(filter.columns()[static_cast<size_t>(i)]).bounds; });
  if (!passed.ok() || !verdict.ok())
    return;  // division by zero, overflow: refused, with words
  const int64_t count = (*passed)->true_count();
  if ((*passed)->length() != kRows || (*passed)->null_count() != 0) std::abort();
  if (*verdict == Verdict::kNone && count != 0) std::abort();
  if (*verdict == Verdict::kAll && count != kRows) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const Rows* const rows = new Rows(MakeRows());
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto parsed = headrace::expression::ParseFilter(text);
  if (!parsed.ok()) return 0;
  const auto bound = Filter::Bind(*parsed, *rows->schema);
  if (bound.ok()) CheckBound(*bound, *rows);
  return 0;
}
