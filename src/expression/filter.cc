#include "expression/filter.h"

#include <arrow/array/array_primitive.h>
#include <arrow/array/util.h>
#include <arrow/compute/exec.h>
#include <arrow/util/bitmap_ops.h>

#include "expression/bind.h"
#include "expression/columns.h"
#include "expression/decide.h"
#include "expression/text.h"

namespace headrace::expression {
namespace {

/// Null becomes false; the result begins at bit 0 of buffers of its own.
Result<std::shared_ptr<arrow::BooleanArray>> WithoutNulls(
    const std::shared_ptr<arrow::Array>& passes, arrow::MemoryPool* pool) {
  const auto& array = static_cast<const arrow::BooleanArray&>(*passes);
  const uint8_t* values = array.values()->data();
  std::shared_ptr<arrow::Buffer> bits;
  if (array.null_count() == 0) {
    ARROW_ASSIGN_OR_RAISE(
        bits, arrow::internal::CopyBitmap(pool, values, array.offset(), array.length()));
  } else {
    ARROW_ASSIGN_OR_RAISE(
        bits,
        arrow::internal::BitmapAnd(pool, values, array.offset(), array.null_bitmap_data(),
                                   array.offset(), array.length(), /*out_offset=*/0));
  }
  return std::make_shared<arrow::BooleanArray>(array.length(), std::move(bits));
}

/// One row of nulls: what fails on it (a regular expression that does not parse) fails on
/// all.
Status TryOut(const Filter& filter) {
  arrow::ArrayVector nulls;
  for (const auto& field : filter.input_schema()->fields()) {
    ARROW_ASSIGN_OR_RAISE(nulls.emplace_back(), arrow::MakeArrayOfNull(field->type(), 1));
  }
  return filter
      .Evaluate(*arrow::RecordBatch::Make(filter.input_schema(), 1, std::move(nulls)),
                arrow::default_memory_pool())
      .status();
}

}  // namespace

Result<Filter> Filter::Bind(const arrow::compute::Expression& expression,
                            const arrow::Schema& schema) {
  ColumnSet columns(schema);
  Filter filter;
  ARROW_ASSIGN_OR_RAISE(filter.expression_, BindCondition(expression, &columns));
  filter.columns_ = columns.names();
  filter.input_schema_ = columns.schema();
  filter.text_ = ExpressionText(filter.expression_, filter.columns_);
  const Status status = TryOut(filter);
  if (!status.ok()) return Error(ErrorKind::kInvalidArgument, status.message());
  return filter;
}

Result<std::shared_ptr<arrow::BooleanArray>> Filter::Evaluate(
    const arrow::RecordBatch& batch, arrow::MemoryPool* pool) const {
  if (batch.num_columns() != input_schema_->num_fields()) {
    return Error(ErrorKind::kInvalidArgument,
                 "the filter \"" + text_ + "\" was given " +
                     std::to_string(batch.num_columns()) + " columns, expected " +
                     std::to_string(input_schema_->num_fields()));
  }
  std::vector<arrow::Datum> values;
  for (int i = 0; i < batch.num_columns(); ++i) {
    const auto& expected = *input_schema_->field(i)->type();
    if (!batch.column(i)->type()->Equals(expected)) {
      return Error(ErrorKind::kInvalidArgument,
                   "the filter \"" + text_ + "\" was given column " +
                       columns_[static_cast<size_t>(i)] + " as " +
                       batch.column(i)->type()->ToString() + ", expected " +
                       expected.ToString());
    }
    values.emplace_back(batch.column(i));
  }
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  const auto passes = arrow::compute::ExecuteScalarExpression(
      expression_, arrow::compute::ExecBatch(std::move(values), batch.num_rows()),
      &context);
  if (!passes.ok()) {
    return WithContext(passes.status(), "the filter \"" + text_ + "\" fails");
  }
  if (passes->is_scalar()) {
    const auto& scalar = passes->scalar_as<arrow::BooleanScalar>();
    ARROW_ASSIGN_OR_RAISE(
        auto array,
        arrow::MakeArrayFromScalar(arrow::BooleanScalar(scalar.is_valid && scalar.value),
                                   batch.num_rows(), pool));
    return std::static_pointer_cast<arrow::BooleanArray>(array);
  }
  return WithoutNulls(passes->make_array(), pool);
}

Result<Verdict> Filter::Decide(const std::function<ColumnBounds(int)>& bounds) const {
  return DecideCondition(expression_, *input_schema_, bounds);
}

}  // namespace headrace::expression
