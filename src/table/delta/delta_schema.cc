#include "table/delta/delta_schema.h"

#include <arrow/util/key_value_metadata.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_text.h"
#include "table/delta/json_depth.h"

namespace headrace::table::delta {
namespace {

using nlohmann::ordered_json;
using TypePtr = std::shared_ptr<arrow::DataType>;

const std::map<std::string, TypePtr>& Primitives() {
  static const auto& types = *new std::map<std::string, TypePtr>{
      {"string", arrow::utf8()},
      {"long", arrow::int64()},
      {"integer", arrow::int32()},
      {"short", arrow::int16()},
      {"byte", arrow::int8()},
      {"float", arrow::float32()},
      {"double", arrow::float64()},
      {"boolean", arrow::boolean()},
      {"binary", arrow::binary()},
      {"date", arrow::date32()},
      {"timestamp", arrow::timestamp(arrow::TimeUnit::MICRO, "UTC")},
      {"timestamp_ntz", arrow::timestamp(arrow::TimeUnit::MICRO)}};
  return types;
}

Result<TypePtr> TypeOf(const ordered_json& type);

Result<TypePtr> PrimitiveOf(const std::string& name) {
  const auto found = Primitives().find(name);
  if (found != Primitives().end()) return found->second;
  int precision = 0, scale = 0;
  if (name == "decimal") return arrow::decimal128(10, 0);
  if (std::sscanf(name.c_str(), "decimal(%d,%d)", &precision, &scale) == 2) {
    return arrow::Decimal128Type::Make(precision, scale);
  }
  return Error(ErrorKind::kUnsupported, "the type \"" + name + "\" is not known");
}

Result<std::shared_ptr<arrow::Field>> FieldOf(const ordered_json& field) {
  const std::string name = field.at("name").get<std::string>();
  auto type = TypeOf(field.at("type"));
  if (!type.ok()) return WithContext(type.status(), "column \"" + name + "\"");
  std::shared_ptr<arrow::KeyValueMetadata> metadata;
  if (field.contains("metadata") && !field.at("metadata").empty()) {
    metadata = std::make_shared<arrow::KeyValueMetadata>();
    for (const auto& [key, value] : field.at("metadata").items()) {
      metadata->Append(key, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
  return arrow::field(name, *type, field.at("nullable").get<bool>(), metadata);
}

Result<TypePtr> TypeOf(const ordered_json& type) {
  if (type.is_string()) return PrimitiveOf(type.get<std::string>());
  const std::string kind = type.at("type").get<std::string>();
  if (kind == "struct") {
    arrow::FieldVector fields;
    for (const ordered_json& field : type.at("fields")) {
      ARROW_ASSIGN_OR_RAISE(fields.emplace_back(), FieldOf(field));
    }
    return arrow::struct_(fields);
  }
  if (kind == "array") {
    ARROW_ASSIGN_OR_RAISE(auto element, TypeOf(type.at("elementType")));
    return arrow::list(
        arrow::field("element", element, type.at("containsNull").get<bool>()));
  }
  if (kind == "map") {
    ARROW_ASSIGN_OR_RAISE(auto key, TypeOf(type.at("keyType")));
    ARROW_ASSIGN_OR_RAISE(auto value, TypeOf(type.at("valueType")));
    return std::make_shared<arrow::MapType>(
        std::move(key),
        arrow::field("value", value, type.at("valueContainsNull").get<bool>()));
  }
  return Error(ErrorKind::kUnsupported, "the type \"" + kind + "\" is not known");
}

Result<ordered_json> JsonOf(const arrow::DataType& type);

Result<ordered_json> JsonOf(const arrow::Field& field) {
  auto type = JsonOf(*field.type());
  if (!type.ok()) return WithContext(type.status(), "column \"" + field.name() + "\"");
  ordered_json metadata = ordered_json::object();
  if (field.metadata() != nullptr) {
    for (int64_t i = 0; i < field.metadata()->size(); ++i) {
      const std::string& key = field.metadata()->key(i);
      if (key != "PARQUET:field_id") metadata[key] = field.metadata()->value(i);
    }
  }
  return ordered_json{{"name", field.name()},
                      {"type", *std::move(type)},
                      {"nullable", field.nullable()},
                      {"metadata", std::move(metadata)}};
}

Result<ordered_json> NestedJsonOf(const arrow::DataType& type) {
  if (type.id() == arrow::Type::STRUCT) {
    ordered_json fields = ordered_json::array();
    for (const auto& field : type.fields()) {
      ARROW_ASSIGN_OR_RAISE(fields.emplace_back(), JsonOf(*field));
    }
    return ordered_json{{"type", "struct"}, {"fields", std::move(fields)}};
  }
  if (type.id() == arrow::Type::MAP) {
    const auto& map = static_cast<const arrow::MapType&>(type);
    ARROW_ASSIGN_OR_RAISE(auto key, JsonOf(*map.key_type()));
    ARROW_ASSIGN_OR_RAISE(auto value, JsonOf(*map.item_type()));
    return ordered_json{{"type", "map"},
                        {"keyType", std::move(key)},
                        {"valueType", std::move(value)},
                        {"valueContainsNull", map.item_field()->nullable()}};
  }
  ARROW_ASSIGN_OR_RAISE(auto element, JsonOf(*type.field(0)->type()));
  return ordered_json{{"type", "array"},
                      {"elementType", std::move(element)},
                      {"containsNull", type.field(0)->nullable()}};
}

Result<ordered_json> JsonOf(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::STRUCT:
    case arrow::Type::MAP:
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::FIXED_SIZE_LIST:
      return NestedJsonOf(type);
    case arrow::Type::LARGE_STRING:
      return ordered_json("string");
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::FIXED_SIZE_BINARY:
      return ordered_json("binary");
    case arrow::Type::DECIMAL128: {
      const auto& decimal = static_cast<const arrow::DecimalType&>(type);
      return ordered_json("decimal(" + std::to_string(decimal.precision()) + "," +
                          std::to_string(decimal.scale()) + ")");
    }
    case arrow::Type::TIMESTAMP:
      return ordered_json(
          static_cast<const arrow::TimestampType&>(type).timezone().empty()
              ? "timestamp_ntz"
              : "timestamp");
    default:
      break;
  }
  for (const auto& [name, known] : Primitives()) {
    if (known->Equals(type)) return ordered_json(name);
  }
  return Error(ErrorKind::kUnsupported,
               "Delta has no type for " + type.ToString() + ": cast the column");
}

}  // namespace

Result<std::shared_ptr<arrow::Schema>> FromDeltaSchema(const std::string& json,
                                                       const std::string& path) {
  if (IsTooDeep(json)) {
    return Error(ErrorKind::kUnsupported,
                 path + ": the schema is nested more than 100 deep");
  }
  try {
    ARROW_ASSIGN_OR_RAISE(auto type, [&]() -> Result<TypePtr> {
      auto parsed = TypeOf(ordered_json::parse(json));
      if (!parsed.ok()) return WithContext(parsed.status(), path);
      return parsed;
    }());
    if (type->id() != arrow::Type::STRUCT) {
      return Error(ErrorKind::kCorrupt, path +
                                            ": the schema is no struct: restore the "
                                            "log, or open a version before it");
    }
    return arrow::schema(type->fields());
  } catch (const ordered_json::exception& e) {
    return Error(ErrorKind::kCorrupt,
                 path + ": the schema does not parse (" + e.what() +
                     "): restore the log, or open a version before it");
  }
}

Result<std::string> ToDeltaSchema(const arrow::Schema& schema) {
  ARROW_ASSIGN_OR_RAISE(const auto json, NestedJsonOf(*arrow::struct_(schema.fields())));
  return base::JsonText(json);
}

bool HasTimestampNtz(const arrow::DataType& type) {
  if (type.id() == arrow::Type::TIMESTAMP) {
    return static_cast<const arrow::TimestampType&>(type).timezone().empty();
  }
  for (const auto& field : type.fields()) {
    if (HasTimestampNtz(*field->type())) return true;
  }
  return false;
}

}  // namespace headrace::table::delta
