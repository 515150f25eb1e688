#include "schema/elements.h"

namespace headrace::schema {

std::optional<int64_t> Deliver(const ColumnPlan& plan, const ConvertSpan& span) {
  if (!plan.standardize) return Convert(plan.stored_dtype, plan.dtype, span);
  Standardize(*plan.standardize, plan.stored_dtype, plan.dtype, span);
  return std::nullopt;
}

Status DeliverNumber(const ColumnPlan& plan, const Number& number, uint8_t* out) {
  if (!plan.standardize) return StoreNumber(number, plan.dtype, out);
  double value = 0;
  auto* const element = reinterpret_cast<uint8_t*>(&value);
  ARROW_RETURN_NOT_OK(StoreNumber(number, DType::kFloat64, element));
  ConvertSpan span;
  span.in = element;
  span.out = out;
  span.count = 1;
  Standardize(*plan.standardize, DType::kFloat64, plan.dtype, span);
  return Status::OK();
}

}  // namespace headrace::schema
