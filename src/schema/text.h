/// \file
/// Strings and bytes in whichever Arrow layout they come.
#pragma once

#include <arrow/array.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace headrace::schema {

/// Bytes, and dictionaries of them.
bool IsBinary(const arrow::DataType& type);

/// Strings, bytes, and dictionaries of them.
bool IsText(const arrow::DataType& type);

/// String and binary views, which Arrow's kernels hardly know, as large strings and
/// binaries; others as they are.
Result<std::shared_ptr<arrow::Array>> WithoutView(
    const std::shared_ptr<arrow::Array>& values, arrow::MemoryPool* pool);

/// Dictionaries and views as plain string or binary arrays; others as they are.
Result<std::shared_ptr<arrow::Array>> PlainText(
    const std::shared_ptr<arrow::Array>& values, arrow::MemoryPool* pool);

/// The bytes of a value of a plain text array, which the array holds; nothing for null.
std::optional<std::span<const uint8_t>> TextAt(const arrow::Array& values, int64_t i);

/// Calls `visit(i, text)` for each value of a plain text array, nothing for null; stops
/// at the first failure.
template <typename Visit>
Status VisitText(const arrow::Array& values, Visit&& visit) {
  auto each = [&](const auto& typed) -> Status {
    for (int64_t i = 0; i < typed.length(); ++i) {
      std::optional<std::string_view> text;
      if (typed.IsValid(i)) text = typed.GetView(i);
      ARROW_RETURN_NOT_OK(visit(i, text));
    }
    return Status::OK();
  };
  switch (values.type_id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return each(static_cast<const arrow::BinaryArray&>(values));
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return each(static_cast<const arrow::LargeBinaryArray&>(values));
    case arrow::Type::FIXED_SIZE_BINARY:
      return each(static_cast<const arrow::FixedSizeBinaryArray&>(values));
    default:
      return Error(ErrorKind::kInternal, values.type()->ToString() + " is not text");
  }
}

}  // namespace headrace::schema
