#include "schema/dtype.h"

#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/extension/variable_shape_tensor.h>

#include <array>
#include <string>
#include <utility>

namespace headrace {
namespace {

struct DTypeRow {
  DType dtype;
  int64_t byte_width;
  std::string_view name;
};

constexpr std::array<DTypeRow, 13> kDTypes = {{
    {DType::kBool, 1, "bool"},
    {DType::kInt8, 1, "int8"},
    {DType::kInt16, 2, "int16"},
    {DType::kInt32, 4, "int32"},
    {DType::kInt64, 8, "int64"},
    {DType::kUInt8, 1, "uint8"},
    {DType::kUInt16, 2, "uint16"},
    {DType::kUInt32, 4, "uint32"},
    {DType::kUInt64, 8, "uint64"},
    {DType::kFloat16, 2, "float16"},
    {DType::kBFloat16, 2, "bfloat16"},
    {DType::kFloat32, 4, "float32"},
    {DType::kFloat64, 8, "float64"},
}};

}  // namespace

int64_t ByteWidth(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].byte_width; }

std::string_view DTypeName(DType dtype) {
  return kDTypes[static_cast<size_t>(dtype)].name;
}

}  // namespace headrace

namespace headrace::schema {

std::optional<DType> DTypeOf(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BOOL:
      return DType::kBool;
    case arrow::Type::INT8:
      return DType::kInt8;
    case arrow::Type::INT16:
      return DType::kInt16;
    case arrow::Type::INT32:
    case arrow::Type::DATE32:
    case arrow::Type::TIME32:
      return DType::kInt32;
    case arrow::Type::INT64:
    case arrow::Type::DATE64:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP:
    case arrow::Type::DURATION:
      return DType::kInt64;
    case arrow::Type::UINT8:
      return DType::kUInt8;
    case arrow::Type::UINT16:
      return DType::kUInt16;
    case arrow::Type::UINT32:
      return DType::kUInt32;
    case arrow::Type::UINT64:
      return DType::kUInt64;
    case arrow::Type::HALF_FLOAT:
      return DType::kFloat16;
    case arrow::Type::FLOAT:
      return DType::kFloat32;
    case arrow::Type::DOUBLE:
      return DType::kFloat64;
    default:
      return std::nullopt;
  }
}

std::shared_ptr<arrow::DataType> ArrowTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return arrow::boolean();
    case DType::kInt8:
      return arrow::int8();
    case DType::kInt16:
      return arrow::int16();
    case DType::kInt32:
      return arrow::int32();
    case DType::kInt64:
      return arrow::int64();
    case DType::kUInt8:
      return arrow::uint8();
    case DType::kUInt16:
      return arrow::uint16();
    case DType::kUInt32:
      return arrow::uint32();
    case DType::kUInt64:
      return arrow::uint64();
    case DType::kFloat16:
      return arrow::float16();
    case DType::kBFloat16:
    case DType::kFloat32:
      return arrow::float32();
    case DType::kFloat64:
      return arrow::float64();
  }
  return arrow::null();
}

Result<DType> ParseDType(std::string_view name) {
  std::string names;
  for (const auto& row : kDTypes) {
    if (row.name == name) return row.dtype;
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return Error(ErrorKind::kInvalidArgument,
               "unknown dtype '" + std::string(name) + "': expected one of " + names);
}

bool IsFloating(DType dtype) { return dtype >= DType::kFloat16; }

bool IsVector(const arrow::DataType& type) {
  if (type.id() != arrow::Type::STRUCT || type.num_fields() != 4) return false;
  auto is = [&](int i, const char* name, const arrow::DataType& expected) {
    const arrow::Field& field = *type.field(i);
    return field.name() == name && field.type()->Equals(expected);
  };
  auto is_list = [&](int i, const char* name, arrow::Type::type values) {
    const arrow::Field& field = *type.field(i);
    return field.name() == name && field.type()->id() == arrow::Type::LIST &&
           field.type()->field(0)->type()->id() == values;
  };
  return is(0, "type", *arrow::int8()) && is(1, "size", *arrow::int32()) &&
         is_list(2, "indices", arrow::Type::INT32) &&
         is_list(3, "values", arrow::Type::DOUBLE);
}

const arrow::DataType& ValueType(const arrow::DataType& type) {
  using arrow::internal::checked_cast;
  switch (type.id()) {
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::FIXED_SIZE_LIST:
      return ValueType(*type.field(0)->type());
    case arrow::Type::EXTENSION: {
      const auto& extension = checked_cast<const arrow::ExtensionType&>(type);
      if (extension.extension_name() == "arrow.fixed_shape_tensor") {
        return *checked_cast<const arrow::extension::FixedShapeTensorType&>(type)
                    .value_type();
      }
      if (extension.extension_name() == "arrow.variable_shape_tensor") {
        return *checked_cast<const arrow::extension::VariableShapeTensorType&>(type)
                    .value_type();
      }
      return type;
    }
    default:
      return type;
  }
}

Result<std::shared_ptr<arrow::DataType>> WithValueType(
    const std::shared_ptr<arrow::DataType>& type,
    const std::shared_ptr<arrow::DataType>& value_type) {
  using arrow::internal::checked_cast;
  switch (type->id()) {
    case arrow::Type::LIST: {
      ARROW_ASSIGN_OR_RAISE(auto inner,
                            WithValueType(type->field(0)->type(), value_type));
      return arrow::list(type->field(0)->WithType(inner));
    }
    case arrow::Type::LARGE_LIST: {
      ARROW_ASSIGN_OR_RAISE(auto inner,
                            WithValueType(type->field(0)->type(), value_type));
      return arrow::large_list(type->field(0)->WithType(inner));
    }
    case arrow::Type::FIXED_SIZE_LIST: {
      ARROW_ASSIGN_OR_RAISE(auto inner,
                            WithValueType(type->field(0)->type(), value_type));
      const auto& list = checked_cast<const arrow::FixedSizeListType&>(*type);
      return arrow::fixed_size_list(type->field(0)->WithType(inner), list.list_size());
    }
    case arrow::Type::EXTENSION: {
      const auto& extension = checked_cast<const arrow::ExtensionType&>(*type);
      if (extension.extension_name() == "arrow.fixed_shape_tensor") {
        const auto& tensor =
            checked_cast<const arrow::extension::FixedShapeTensorType&>(*type);
        return arrow::extension::FixedShapeTensorType::Make(
            value_type, tensor.shape(), tensor.permutation(), tensor.dim_names());
      }
      if (extension.extension_name() == "arrow.variable_shape_tensor") {
        const auto& tensor =
            checked_cast<const arrow::extension::VariableShapeTensorType&>(*type);
        return arrow::extension::VariableShapeTensorType::Make(
            value_type, tensor.ndim(), tensor.permutation(), tensor.dim_names(),
            tensor.uniform_shape());
      }
      return Error(ErrorKind::kUnsupported,
                   "values of " + type->ToString() + " have no cast");
    }
    case arrow::Type::STRUCT:
    case arrow::Type::MAP:
      return Error(
          ErrorKind::kUnsupported,
          "a cast of " + type->ToString() +
              " is not defined: select its fields by dotted name and cast those");
    default:
      return value_type;
  }
}

}  // namespace headrace::schema
