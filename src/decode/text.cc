#include "decode/text.h"

#include <arrow/compute/api.h>

namespace headrace::decode {

Result<std::shared_ptr<arrow::Array>> PlainText(
    const std::shared_ptr<arrow::Array>& values, arrow::MemoryPool* pool) {
  std::shared_ptr<arrow::DataType> plain;
  switch (values->type_id()) {
    case arrow::Type::DICTIONARY:
      plain = static_cast<const arrow::DictionaryType&>(*values->type()).value_type();
      break;
    case arrow::Type::STRING_VIEW:
      plain = arrow::large_utf8();
      break;
    case arrow::Type::BINARY_VIEW:
      plain = arrow::large_binary();
      break;
    default:
      return values;
  }
  arrow::compute::ExecContext exec(pool);
  ARROW_ASSIGN_OR_RAISE(
      auto cast,
      arrow::compute::Cast(values, plain, arrow::compute::CastOptions::Safe(), &exec));
  return PlainText(cast.make_array(), pool);
}

}  // namespace headrace::decode
