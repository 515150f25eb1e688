#include "value_json.h"

#include <arrow/api.h>
#include <arrow/util/base64.h>
#include <arrow/util/float16.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string_view>

namespace headrace::cli {
namespace {

template <typename ArrayType>
const ArrayType& As(const arrow::Array& array) {
  return static_cast<const ArrayType&>(array);
}

// The shortest digits that give the same number back, in the number's own width.
template <typename Real>
Json RealToJson(Real value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char digits[64];
  const auto end = std::to_chars(digits, digits + sizeof(digits) - 1, value).ptr;
  *end = '\0';
  return std::strtod(digits, nullptr);
}

Json ListToJson(const arrow::Array& values, int64_t begin, int64_t end) {
  Json list = Json::array();
  for (int64_t i = begin; i < end; ++i) list.push_back(ValueToJson(values, i));
  return list;
}

template <typename ListArray>
Json ListToJson(const arrow::Array& array, int64_t row) {
  const auto& list = As<ListArray>(array);
  return ListToJson(*list.values(), list.value_offset(row), list.value_offset(row + 1));
}

Json StructToJson(const arrow::StructArray& array, int64_t row) {
  Json object = Json::object();
  for (int i = 0; i < array.num_fields(); ++i) {
    object[array.struct_type()->field(i)->name()] = ValueToJson(*array.field(i), row);
  }
  return object;
}

Json MapToJson(const arrow::MapArray& array, int64_t row) {
  Json entries = Json::array();
  for (int64_t i = array.value_offset(row); i < array.value_offset(row + 1); ++i) {
    entries.push_back({{"key", ValueToJson(*array.keys(), i)},
                       {"value", ValueToJson(*array.items(), i)}});
  }
  return entries;
}

Json ScalarText(const arrow::Array& array, int64_t row) {
  auto scalar = array.GetScalar(row);
  return scalar.ok() ? (*scalar)->ToString() : scalar.status().message();
}

}  // namespace

Json ValueToJson(const arrow::Array& array, int64_t row) {
  if (array.IsNull(row)) return nullptr;
  switch (array.type_id()) {
    case arrow::Type::NA:
      return nullptr;
    case arrow::Type::BOOL:
      return As<arrow::BooleanArray>(array).Value(row);
    case arrow::Type::INT8:
      return As<arrow::Int8Array>(array).Value(row);
    case arrow::Type::INT16:
      return As<arrow::Int16Array>(array).Value(row);
    case arrow::Type::INT32:
      return As<arrow::Int32Array>(array).Value(row);
    case arrow::Type::INT64:
      return As<arrow::Int64Array>(array).Value(row);
    case arrow::Type::UINT8:
      return As<arrow::UInt8Array>(array).Value(row);
    case arrow::Type::UINT16:
      return As<arrow::UInt16Array>(array).Value(row);
    case arrow::Type::UINT32:
      return As<arrow::UInt32Array>(array).Value(row);
    case arrow::Type::UINT64:
      return As<arrow::UInt64Array>(array).Value(row);
    case arrow::Type::HALF_FLOAT:
      return RealToJson(
          arrow::util::Float16::FromBits(As<arrow::HalfFloatArray>(array).Value(row))
              .ToFloat());
    case arrow::Type::FLOAT:
      return RealToJson(As<arrow::FloatArray>(array).Value(row));
    case arrow::Type::DOUBLE:
      return RealToJson(As<arrow::DoubleArray>(array).Value(row));
    case arrow::Type::STRING:
      return std::string(As<arrow::StringArray>(array).GetView(row));
    case arrow::Type::LARGE_STRING:
      return std::string(As<arrow::LargeStringArray>(array).GetView(row));
    case arrow::Type::BINARY:
      return arrow::util::base64_encode(As<arrow::BinaryArray>(array).GetView(row));
    case arrow::Type::LARGE_BINARY:
      return arrow::util::base64_encode(As<arrow::LargeBinaryArray>(array).GetView(row));
    case arrow::Type::FIXED_SIZE_BINARY:
      return arrow::util::base64_encode(
          As<arrow::FixedSizeBinaryArray>(array).GetView(row));
    case arrow::Type::LIST:
      return ListToJson<arrow::ListArray>(array, row);
    case arrow::Type::LARGE_LIST:
      return ListToJson<arrow::LargeListArray>(array, row);
    case arrow::Type::FIXED_SIZE_LIST:
      return ListToJson<arrow::FixedSizeListArray>(array, row);
    case arrow::Type::STRUCT:
      return StructToJson(As<arrow::StructArray>(array), row);
    case arrow::Type::MAP:
      return MapToJson(As<arrow::MapArray>(array), row);
    case arrow::Type::DICTIONARY: {
      const auto& coded = As<arrow::DictionaryArray>(array);
      return ValueToJson(*coded.dictionary(), coded.GetValueIndex(row));
    }
    case arrow::Type::EXTENSION:
      return ValueToJson(*As<arrow::ExtensionArray>(array).storage(), row);
    default:
      return ScalarText(array, row);
  }
}

std::string ValueToText(const arrow::Array& array, int64_t row) {
  const Json json = ValueToJson(array, row);
  return json.is_string() ? json.get<std::string>() : Dump(json);
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace headrace::cli
