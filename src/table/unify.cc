#include "table/unify.h"

#include <arrow/type_traits.h>

#include <algorithm>
#include <utility>

#include "schema/field.h"

namespace headrace::table {
namespace {

using arrow::DataType;
using TypePtr = std::shared_ptr<DataType>;

int BitWidth(const DataType& type) {
  return static_cast<const arrow::FixedWidthType&>(type).bit_width();
}

TypePtr CommonInteger(const TypePtr& a, const TypePtr& b) {
  const bool a_signed = arrow::is_signed_integer(a->id());
  if (a_signed == arrow::is_signed_integer(b->id())) {
    return BitWidth(*a) >= BitWidth(*b) ? a : b;
  }
  const TypePtr& with_sign = a_signed ? a : b;
  const TypePtr& without = a_signed ? b : a;
  const int needed = std::max(BitWidth(*with_sign), 2 * BitWidth(*without));
  if (needed <= 16) return arrow::int16();
  if (needed <= 32) return arrow::int32();
  return needed <= 64 ? arrow::int64() : nullptr;
}

TypePtr CommonDecimal(const DataType& a, const DataType& b) {
  const auto& left = static_cast<const arrow::DecimalType&>(a);
  const auto& right = static_cast<const arrow::DecimalType&>(b);
  const int scale = std::max(left.scale(), right.scale());
  const int whole =
      std::max(left.precision() - left.scale(), right.precision() - right.scale());
  if (whole + scale <= arrow::Decimal128Type::kMaxPrecision) {
    return arrow::decimal128(whole + scale, scale);
  }
  if (whole + scale <= arrow::Decimal256Type::kMaxPrecision) {
    return arrow::decimal256(whole + scale, scale);
  }
  return nullptr;
}

bool IsText(arrow::Type::type id) {
  return id == arrow::Type::STRING || id == arrow::Type::LARGE_STRING;
}

bool IsBytes(arrow::Type::type id) {
  return id == arrow::Type::BINARY || id == arrow::Type::LARGE_BINARY;
}

bool IsList(arrow::Type::type id) {
  return id == arrow::Type::LIST || id == arrow::Type::LARGE_LIST;
}

// The parent's fields with the child types of both, by name; null if one has no common
// type.
std::shared_ptr<arrow::Field> CommonField(const arrow::Field& a, const arrow::Field& b) {
  TypePtr type = CommonType(a.type(), b.type());
  if (type == nullptr) return nullptr;
  return arrow::field(a.name(), std::move(type), a.nullable() || b.nullable());
}

TypePtr CommonStruct(const DataType& a, const DataType& b) {
  arrow::FieldVector fields;
  const auto& left = static_cast<const arrow::StructType&>(a);
  const auto& right = static_cast<const arrow::StructType&>(b);
  for (const auto& field : left.fields()) {
    auto other = right.GetFieldByName(field->name());
    auto common =
        other == nullptr ? field->WithNullable(true) : CommonField(*field, *other);
    if (common == nullptr) return nullptr;
    fields.push_back(std::move(common));
  }
  for (const auto& field : right.fields()) {
    if (left.GetFieldByName(field->name()) == nullptr) {
      fields.push_back(field->WithNullable(true));
    }
  }
  return arrow::struct_(fields);
}

}  // namespace

TypePtr CommonType(const TypePtr& a, const TypePtr& b) {
  if (a->Equals(*b)) return a;
  const auto left = a->id(), right = b->id();
  if (left == arrow::Type::NA) return b;
  if (right == arrow::Type::NA) return a;
  if (left == arrow::Type::DICTIONARY || right == arrow::Type::DICTIONARY) {
    auto plain = [](const TypePtr& type) {
      return type->id() == arrow::Type::DICTIONARY
                 ? static_cast<const arrow::DictionaryType&>(*type).value_type()
                 : type;
    };
    return CommonType(plain(a), plain(b));
  }
  if (arrow::is_integer(left) && arrow::is_integer(right)) return CommonInteger(a, b);
  if (arrow::is_floating(left) && arrow::is_floating(right)) {
    return BitWidth(*a) >= BitWidth(*b) ? a : b;
  }
  if (arrow::is_decimal(left) && arrow::is_decimal(right)) return CommonDecimal(*a, *b);
  if (IsText(left) && IsText(right)) return arrow::large_utf8();
  if (IsBytes(left) && IsBytes(right)) return arrow::large_binary();
  if (left == arrow::Type::TIMESTAMP && right == arrow::Type::TIMESTAMP) {
    const auto& x = static_cast<const arrow::TimestampType&>(*a);
    const auto& y = static_cast<const arrow::TimestampType&>(*b);
    if (x.timezone().empty() != y.timezone().empty()) return nullptr;
    return arrow::timestamp(std::max(x.unit(), y.unit()), x.timezone());
  }
  if (IsList(left) && IsList(right)) {
    auto value = CommonField(*a->field(0), *b->field(0));
    if (value == nullptr) return nullptr;
    return left == right && left == arrow::Type::LIST ? arrow::list(value)
                                                      : arrow::large_list(value);
  }
  if (left == arrow::Type::STRUCT && right == arrow::Type::STRUCT)
    return CommonStruct(*a, *b);
  return nullptr;
}

Result<std::shared_ptr<arrow::Schema>> UnifySchemas(const arrow::Schema& unified,
                                                    const arrow::Schema& file,
                                                    const std::string& display_path) {
  arrow::FieldVector fields;
  for (const auto& field : unified.fields()) {
    auto other = file.GetFieldByName(field->name());
    auto common =
        other == nullptr ? field->WithNullable(true) : CommonField(*field, *other);
    if (other != nullptr && schema::DeclareDifferently(*field, *other)) {
      return Error(ErrorKind::kSchemaMismatch,
                   display_path + ": column \"" + field->name() +
                       "\" is declared otherwise (\"" + schema::kFieldMetadata +
                       "\" in its metadata) than in the files before it: rewrite the "
                       "file with the same schema, or open it apart");
    }
    if (common == nullptr) {
      return Error(
          ErrorKind::kSchemaMismatch,
          display_path + ": column \"" + field->name() + "\" is " +
              other->type()->ToString() + ", expected " + field->type()->ToString() +
              " as in the files before it: rewrite the file with that type, or open "
              "it apart");
    }
    const bool declared = other == nullptr || field->metadata() != nullptr;
    fields.push_back(common->WithMetadata((declared ? field : other)->metadata()));
  }
  for (const auto& field : file.fields()) {
    if (unified.GetFieldByName(field->name()) == nullptr) {
      fields.push_back(field->WithNullable(true));
    }
  }
  return arrow::schema(std::move(fields));
}

}  // namespace headrace::table
