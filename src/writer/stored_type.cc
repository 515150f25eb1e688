#include "writer/stored_type.h"

#include <arrow/extension_type.h>

#include <utility>

namespace headrace::writer {
namespace {

using TypePtr = std::shared_ptr<arrow::DataType>;

class Mapping {
 public:
  Mapping(const arrow::Field& column, TypeRules rules)
      : column_(column), delta_(rules == TypeRules::kDelta) {}

  Result<TypePtr> Of(const TypePtr& type) const {
    switch (type->id()) {
      case arrow::Type::DICTIONARY:
        return Of(static_cast<const arrow::DictionaryType&>(*type).value_type());
      case arrow::Type::RUN_END_ENCODED:
        return Of(static_cast<const arrow::RunEndEncodedType&>(*type).value_type());
      case arrow::Type::LARGE_STRING:
      case arrow::Type::STRING_VIEW:
        return arrow::utf8();
      case arrow::Type::LARGE_BINARY:
      case arrow::Type::BINARY_VIEW:
        return arrow::binary();
      case arrow::Type::DATE64:
        return arrow::date32();
      case arrow::Type::LIST:
      case arrow::Type::LARGE_LIST:
      case arrow::Type::LIST_VIEW:
      case arrow::Type::LARGE_LIST_VIEW: {
        ARROW_ASSIGN_OR_RAISE(auto item, OfField(*type->field(0)));
        return arrow::list(std::move(item));
      }
      case arrow::Type::FIXED_SIZE_LIST: {
        ARROW_ASSIGN_OR_RAISE(auto item, OfField(*type->field(0)));
        if (delta_) return arrow::list(std::move(item));
        const auto& fixed = static_cast<const arrow::FixedSizeListType&>(*type);
        return arrow::fixed_size_list(std::move(item), fixed.list_size());
      }
      case arrow::Type::STRUCT: {
        arrow::FieldVector fields;
        for (const auto& field : type->fields()) {
          ARROW_ASSIGN_OR_RAISE(auto inner, OfField(*field));
          fields.push_back(std::move(inner));
        }
        return arrow::struct_(fields);
      }
      case arrow::Type::MAP: {
        const auto& map = static_cast<const arrow::MapType&>(*type);
        ARROW_ASSIGN_OR_RAISE(auto key, OfField(*map.key_field()));
        ARROW_ASSIGN_OR_RAISE(auto item, OfField(*map.item_field()));
        return std::make_shared<arrow::MapType>(std::move(key), std::move(item));
      }
      default:
        return delta_ ? OfDelta(type) : type;
    }
  }

 private:
  Result<std::shared_ptr<arrow::Field>> OfField(const arrow::Field& field) const {
    ARROW_ASSIGN_OR_RAISE(auto type, Of(field.type()));
    return field.WithType(type);
  }

  Result<TypePtr> OfDelta(const TypePtr& type) const {
    switch (type->id()) {
      case arrow::Type::UINT8:
        return arrow::int16();
      case arrow::Type::UINT16:
        return arrow::int32();
      case arrow::Type::UINT32:
        return arrow::int64();
      case arrow::Type::UINT64:
        return arrow::decimal128(20, 0);
      case arrow::Type::TIMESTAMP: {
        const auto& zone = static_cast<const arrow::TimestampType&>(*type).timezone();
        return arrow::timestamp(arrow::TimeUnit::MICRO, zone.empty() ? "" : "UTC");
      }
      case arrow::Type::FIXED_SIZE_BINARY:
        return arrow::binary();
      case arrow::Type::DECIMAL32:
      case arrow::Type::DECIMAL64:
      case arrow::Type::DECIMAL256: {
        const auto& decimal = static_cast<const arrow::DecimalType&>(*type);
        if (decimal.precision() > arrow::Decimal128Type::kMaxPrecision) break;
        return arrow::decimal128(decimal.precision(), decimal.scale());
      }
      case arrow::Type::EXTENSION:
        return Of(static_cast<const arrow::ExtensionType&>(*type).storage_type());
      case arrow::Type::BOOL:
      case arrow::Type::INT8:
      case arrow::Type::INT16:
      case arrow::Type::INT32:
      case arrow::Type::INT64:
      case arrow::Type::FLOAT:
      case arrow::Type::DOUBLE:
      case arrow::Type::DECIMAL128:
      case arrow::Type::STRING:
      case arrow::Type::BINARY:
      case arrow::Type::DATE32:
        return type;
      default:
        break;
    }
    return Error(ErrorKind::kUnsupported,
                 "column \"" + column_.name() + "\" is " + column_.type()->ToString() +
                     ", and Delta has no type for " + type->ToString() +
                     ": cast it, or give it a field with a codec");
  }

  const arrow::Field& column_;
  const bool delta_;
};

}  // namespace

Result<TypePtr> StoredType(const arrow::Field& column, TypeRules rules) {
  return Mapping(column, rules).Of(column.type());
}

}  // namespace headrace::writer
