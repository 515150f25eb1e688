#include "schema/text.h"

#include <arrow/compute/api.h>

namespace headrace::schema {
namespace {

Result<std::shared_ptr<arrow::Array>> CastText(
    const std::shared_ptr<arrow::Array>& values,
    const std::shared_ptr<arrow::DataType>& type, arrow::MemoryPool* pool) {
  arrow::compute::ExecContext exec(pool);
  ARROW_ASSIGN_OR_RAISE(
      auto cast,
      arrow::compute::Cast(values, type, arrow::compute::CastOptions::Safe(), &exec));
  return cast.make_array();
}

}  // namespace

bool IsBinary(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::FIXED_SIZE_BINARY:
      return true;
    case arrow::Type::DICTIONARY:
      return IsBinary(*static_cast<const arrow::DictionaryType&>(type).value_type());
    default:
      return false;
  }
}

bool IsText(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      return true;
    case arrow::Type::DICTIONARY:
      return IsText(*static_cast<const arrow::DictionaryType&>(type).value_type());
    default:
      return IsBinary(type);
  }
}

Result<std::shared_ptr<arrow::Array>> WithoutView(
    const std::shared_ptr<arrow::Array>& values, arrow::MemoryPool* pool) {
  switch (values->type_id()) {
    case arrow::Type::STRING_VIEW:
      return CastText(values, arrow::large_utf8(), pool);
    case arrow::Type::BINARY_VIEW:
      return CastText(values, arrow::large_binary(), pool);
    default:
      return values;
  }
}

Result<std::shared_ptr<arrow::Array>> PlainText(
    const std::shared_ptr<arrow::Array>& values, arrow::MemoryPool* pool) {
  if (values->type_id() != arrow::Type::DICTIONARY) return WithoutView(values, pool);
  const auto& type = static_cast<const arrow::DictionaryType&>(*values->type());
  ARROW_ASSIGN_OR_RAISE(auto plain, CastText(values, type.value_type(), pool));
  return WithoutView(plain, pool);
}

std::optional<std::span<const uint8_t>> TextAt(const arrow::Array& values, int64_t i) {
  if (values.IsNull(i)) return std::nullopt;
  std::string_view text;
  switch (values.type_id()) {
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      text = static_cast<const arrow::LargeBinaryArray&>(values).GetView(i);
      break;
    case arrow::Type::FIXED_SIZE_BINARY:
      text = static_cast<const arrow::FixedSizeBinaryArray&>(values).GetView(i);
      break;
    default:
      text = static_cast<const arrow::BinaryArray&>(values).GetView(i);
  }
  return std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

}  // namespace headrace::schema
