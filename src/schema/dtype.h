/// \file
/// Element types: Arrow's to ours and back, and the names users write.
#pragma once

#include <arrow/type.h>
#include <headrace/batch.h>
#include <headrace/result.h>

#include <memory>
#include <optional>
#include <string_view>

namespace headrace::schema {

/// The tensor element that holds a value of this Arrow type as it is stored; nothing
/// where none does (strings, decimals, lists, structs).
std::optional<DType> DTypeOf(const arrow::DataType& type);

/// The Arrow type of a tensor element. bfloat16 has none: float32 stands for it.
std::shared_ptr<arrow::DataType> ArrowTypeOf(DType dtype);

/// InvalidArgument listing the names for an unknown one.
Result<DType> ParseDType(std::string_view name);

/// "bool" to "float64": no NaN, no fraction.
bool IsFloating(DType dtype);

/// Whether a struct is a Spark ML vector (VectorUDT): type, size, indices, values.
bool IsVector(const arrow::DataType& type);

/// The type of the values below lists and tensors, or the type itself.
const arrow::DataType& ValueType(const arrow::DataType& type);

/// `type` with the values below lists and tensors replaced. Unsupported for structs and
/// maps.
Result<std::shared_ptr<arrow::DataType>> WithValueType(
    const std::shared_ptr<arrow::DataType>& type,
    const std::shared_ptr<arrow::DataType>& value_type);

}  // namespace headrace::schema
