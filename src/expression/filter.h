/// \file
/// Row filters: filter text and pyarrow expressions become one tree (Arrow's Expression),
/// which is bound to a table's schema, decided on statistics, and evaluated on batches.
#pragma once

#include <arrow/compute/expression.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <headrace/result.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headrace::expression {

/// What is known of a column's values in some set of rows (a partition, a row group).
struct ColumnBounds {
  /// Inclusive; in the column's bound type; absent: unknown. Of floating point columns
  /// they bound the values that are not NaN.
  std::shared_ptr<arrow::Scalar> min;
  std::shared_ptr<arrow::Scalar> max;
  /// Absent: unknown.
  std::optional<int64_t> null_count;
  int64_t rows = 0;
  /// False only if the value is certainly in no row (bloom filter). Empty: no such
  /// knowledge.
  std::function<bool(const arrow::Scalar&)> may_contain;
};

/// What a set of rows can give.
enum class Verdict {
  kNone,  ///< No row passes.
  kAll,   ///< Every row passes.
  kSome,  ///< Must be evaluated.
};

/// A bound filter. Value; immutable; thread-safe.
class Filter {
 public:
  /// Binds to a schema. Column names are resolved to a top-level column of just that name
  /// first, else dotted paths into structs. Literals take the column's type where that
  /// loses nothing. Errors (InvalidArgument/NotFound) name the column, the types found,
  /// and the columns there.
  static Result<Filter> Bind(const arrow::compute::Expression& expression,
                             const arrow::Schema& schema);

  /// Dotted names of the columns that evaluation needs, each once, in order of
  /// appearance.
  const std::vector<std::string>& columns() const { return columns_; }
  /// Their types, as one flat schema parallel to `columns`.
  const std::shared_ptr<arrow::Schema>& input_schema() const { return input_schema_; }
  /// Canonical text, the same in every process.
  const std::string& text() const { return text_; }

  /// Which rows pass: one boolean a row, null counted as false (no nulls in the result).
  /// `batch` holds `columns()` in that order.
  Result<std::shared_ptr<arrow::BooleanArray>> Evaluate(const arrow::RecordBatch& batch,
                                                        arrow::MemoryPool* pool) const;

  /// Decides on bounds. `bounds(i)` is asked for columns()[i]. Sound for nulls and NaN:
  /// kNone and kAll are proofs.
  Result<Verdict> Decide(const std::function<ColumnBounds(int)>& bounds) const;

 private:
  std::vector<std::string> columns_;
  std::shared_ptr<arrow::Schema> input_schema_;
  arrow::compute::Expression expression_;  // bound to input_schema_
  std::string text_;
};

/// Parses filter text. Errors (InvalidArgument) show the text, a caret under the place,
/// what was found and what was expected. Grammar: docs/guide/filters.md.
Result<arrow::compute::Expression> ParseFilter(std::string_view text);

/// To and from bytes (base64 of Arrow's expression serialization, which pyarrow's pickles
/// hold).
Result<std::string> SerializeExpression(const arrow::compute::Expression& expression);
Result<arrow::compute::Expression> DeserializeExpression(std::string_view base64);

}  // namespace headrace::expression
