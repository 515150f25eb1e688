#include "catalog/hive/types.h"

#include <arrow/api.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

namespace headrace::catalog {
namespace {

using nlohmann::json;
using TypePtr = std::shared_ptr<arrow::DataType>;

TypePtr ScalarOf(const std::string& name) {
  static const auto& types = *new std::map<std::string, TypePtr>{
      {"boolean", arrow::boolean()},
      {"byte", arrow::int8()},
      {"tinyint", arrow::int8()},
      {"short", arrow::int16()},
      {"smallint", arrow::int16()},
      {"integer", arrow::int32()},
      {"int", arrow::int32()},
      {"long", arrow::int64()},
      {"bigint", arrow::int64()},
      {"float", arrow::float32()},
      {"double", arrow::float64()},
      {"string", arrow::utf8()},
      {"binary", arrow::binary()},
      {"date", arrow::date32()},
      {"timestamp", arrow::timestamp(arrow::TimeUnit::MICRO, "UTC")},
      {"timestamp_ntz", arrow::timestamp(arrow::TimeUnit::MICRO)}};
  const auto found = types.find(name);
  if (found != types.end()) return found->second;
  if (name.starts_with("varchar(") || name.starts_with("char(")) return arrow::utf8();
  int precision = 10;
  int scale = 0;
  if (name == "decimal" ||
      std::sscanf(name.c_str(), "decimal(%d,%d)", &precision, &scale) == 2) {
    return arrow::decimal128(precision, scale);
  }
  return nullptr;
}

TypePtr StructOf(const json& type) {
  arrow::FieldVector fields;
  for (const json& each : type.at("fields")) {
    const TypePtr inner = TypeOfSpark(each.at("type"));
    if (inner == nullptr) return nullptr;
    fields.push_back(arrow::field(each.at("name").get<std::string>(), inner,
                                  each.value("nullable", true)));
  }
  return arrow::struct_(fields);
}

TypePtr NestedOf(const json& type) {
  const std::string kind = type.at("type").get<std::string>();
  if (kind == "struct") return StructOf(type);
  if (kind == "udt") return TypeOfSpark(type.at("sqlType"));
  if (kind == "array") {
    const TypePtr element = TypeOfSpark(type.at("elementType"));
    if (element == nullptr) return nullptr;
    return arrow::list(
        arrow::field("element", element, type.value("containsNull", true)));
  }
  if (kind == "map") {
    const TypePtr key = TypeOfSpark(type.at("keyType"));
    const TypePtr value = TypeOfSpark(type.at("valueType"));
    if (key != nullptr && value != nullptr) return arrow::map(key, value);
  }
  return nullptr;
}

// Lists and structs of Arrow, which both sides spell in their own way.
bool IsList(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::FIXED_SIZE_LIST:
    case arrow::Type::LIST_VIEW:
    case arrow::Type::LARGE_LIST_VIEW:
      return true;
    default:
      return false;
  }
}

// The name of a scalar in Spark's JSON; empty for none.
std::string SparkScalar(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BOOL:
      return "boolean";
    case arrow::Type::INT8:
      return "byte";
    case arrow::Type::INT16:
    case arrow::Type::UINT8:
      return "short";
    case arrow::Type::INT32:
    case arrow::Type::UINT16:
      return "integer";
    case arrow::Type::INT64:
    case arrow::Type::UINT32:
      return "long";
    case arrow::Type::UINT64:
      return "decimal(20,0)";
    case arrow::Type::FLOAT:
      return "float";
    case arrow::Type::DOUBLE:
      return "double";
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      return "string";
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::FIXED_SIZE_BINARY:
      return "binary";
    case arrow::Type::DATE32:
      return "date";
    case arrow::Type::TIMESTAMP: {
      const auto& stamp = static_cast<const arrow::TimestampType&>(type);
      if (stamp.unit() == arrow::TimeUnit::NANO) return "";
      return stamp.timezone().empty() ? "timestamp_ntz" : "timestamp";
    }
    case arrow::Type::DECIMAL32:
    case arrow::Type::DECIMAL64:
    case arrow::Type::DECIMAL128:
    case arrow::Type::DECIMAL256: {
      const auto& decimal = static_cast<const arrow::DecimalType&>(type);
      if (decimal.precision() > 38 || decimal.scale() < 0) return "";
      return "decimal(" + std::to_string(decimal.precision()) + "," +
             std::to_string(decimal.scale()) + ")";
    }
    default:
      return "";
  }
}

Status NoSuchType(const arrow::DataType& type) {
  return Error(ErrorKind::kUnsupported,
               "type " + type.ToString() + " has no counterpart in Spark and Hive");
}

}  // namespace

TypePtr TypeOfSpark(const json& type) {
  return type.is_string() ? ScalarOf(type.get<std::string>()) : NestedOf(type);
}

TypePtr TypeOfHive(const std::string& text) { return ScalarOf(text); }

std::string PartitionTypeOf(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BOOL:
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::INT64:
      return type.ToString();
    case arrow::Type::FLOAT:
      return "float32";
    case arrow::Type::DOUBLE:
      return "float64";
    case arrow::Type::DATE32:
      return "date32";
    case arrow::Type::STRING:
      return "string";
    case arrow::Type::TIMESTAMP:
      return "timestamp";
    default:
      return "";
  }
}

Result<json> ToSpark(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY) {
    return ToSpark(*static_cast<const arrow::DictionaryType&>(type).value_type());
  }
  if (type.id() == arrow::Type::EXTENSION) {
    return ToSpark(*static_cast<const arrow::ExtensionType&>(type).storage_type());
  }
  if (type.id() == arrow::Type::MAP) {
    const auto& map = static_cast<const arrow::MapType&>(type);
    ARROW_ASSIGN_OR_RAISE(json key, ToSpark(*map.key_type()));
    ARROW_ASSIGN_OR_RAISE(json value, ToSpark(*map.item_type()));
    return json{{"type", "map"},
                {"keyType", std::move(key)},
                {"valueType", std::move(value)},
                {"valueContainsNull", true}};
  }
  if (type.id() == arrow::Type::STRUCT) {
    json fields = json::array();
    for (const auto& field : type.fields()) {
      ARROW_ASSIGN_OR_RAISE(json inner, ToSpark(*field->type()));
      fields.push_back({{"name", field->name()},
                        {"type", std::move(inner)},
                        {"nullable", true},
                        {"metadata", json::object()}});
    }
    return json{{"type", "struct"}, {"fields", std::move(fields)}};
  }
  if (IsList(type)) {
    ARROW_ASSIGN_OR_RAISE(json element, ToSpark(*type.field(0)->type()));
    return json{
        {"type", "array"}, {"elementType", std::move(element)}, {"containsNull", true}};
  }
  const std::string scalar = SparkScalar(type);
  if (scalar.empty()) return NoSuchType(type);
  return json(scalar);
}

Result<std::string> ToHive(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY) {
    return ToHive(*static_cast<const arrow::DictionaryType&>(type).value_type());
  }
  if (type.id() == arrow::Type::EXTENSION) {
    return ToHive(*static_cast<const arrow::ExtensionType&>(type).storage_type());
  }
  if (type.id() == arrow::Type::MAP) {
    const auto& map = static_cast<const arrow::MapType&>(type);
    ARROW_ASSIGN_OR_RAISE(const std::string key, ToHive(*map.key_type()));
    ARROW_ASSIGN_OR_RAISE(const std::string value, ToHive(*map.item_type()));
    return "map<" + key + "," + value + ">";
  }
  if (type.id() == arrow::Type::STRUCT) {
    std::string text = "struct<";
    for (const auto& field : type.fields()) {
      ARROW_ASSIGN_OR_RAISE(const std::string inner, ToHive(*field->type()));
      text += (text.back() == '<' ? "" : ",") + field->name() + ":" + inner;
    }
    return text + ">";
  }
  if (IsList(type)) {
    ARROW_ASSIGN_OR_RAISE(const std::string element, ToHive(*type.field(0)->type()));
    return "array<" + element + ">";
  }
  static const auto& names =
      *new std::map<std::string, std::string>{{"byte", "tinyint"},
                                              {"short", "smallint"},
                                              {"integer", "int"},
                                              {"long", "bigint"},
                                              {"timestamp_ntz", "timestamp"}};
  const std::string scalar = SparkScalar(type);
  if (scalar.empty()) return NoSuchType(type);
  const auto found = names.find(scalar);
  return found == names.end() ? scalar : found->second;
}

}  // namespace headrace::catalog
