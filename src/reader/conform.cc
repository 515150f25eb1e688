#include "reader/conform.h"

#include <arrow/api.h>
#include <arrow/compute/api.h>

#include <utility>

#include "reader/file_schema.h"

namespace headrace::reader {
namespace {

using ArrayPtr = std::shared_ptr<arrow::Array>;

Result<ArrayPtr> ConformStruct(const arrow::StructArray& values,
                               const arrow::DataType& type, arrow::MemoryPool* pool) {
  arrow::ArrayVector members;
  arrow::FieldVector fields;
  for (const auto& wanted : type.fields()) {
    const int found = IndexOf(values.type()->fields(), table::FileFieldOf(*wanted));
    ArrayPtr member;
    if (found >= 0) {
      ARROW_ASSIGN_OR_RAISE(member, Conform(values.field(found), *wanted, pool));
    } else {
      ARROW_ASSIGN_OR_RAISE(
          member, arrow::MakeArrayOfNull(wanted->type(), values.length(), pool));
    }
    members.push_back(std::move(member));
    fields.push_back(found >= 0 ? wanted : wanted->WithNullable(true));
  }
  std::shared_ptr<arrow::Buffer> validity;
  if (values.null_count() > 0) {
    ARROW_ASSIGN_OR_RAISE(validity,
                          arrow::internal::CopyBitmap(pool, values.null_bitmap_data(),
                                                      values.offset(), values.length()));
  }
  return std::make_shared<arrow::StructArray>(arrow::struct_(fields), values.length(),
                                              std::move(members), std::move(validity),
                                              values.null_count());
}

template <typename ListArray>
Result<ArrayPtr> ConformList(const ListArray& values,
                             const std::shared_ptr<arrow::DataType>& type,
                             arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(auto elements, Conform(values.values(), *type->field(0), pool));
  return std::make_shared<ListArray>(type, values.length(), values.value_offsets(),
                                     std::move(elements), values.null_bitmap(),
                                     values.data()->null_count, values.offset());
}

Result<ArrayPtr> ConformMap(const arrow::MapArray& values,
                            const std::shared_ptr<arrow::DataType>& type,
                            arrow::MemoryPool* pool) {
  const auto& wanted = static_cast<const arrow::MapType&>(*type);
  ARROW_ASSIGN_OR_RAISE(auto keys, Conform(values.keys(), *wanted.key_field(), pool));
  ARROW_ASSIGN_OR_RAISE(auto items, Conform(values.items(), *wanted.item_field(), pool));
  return std::make_shared<arrow::MapArray>(
      type, values.length(), values.value_offsets(), std::move(keys), std::move(items),
      values.null_bitmap(), values.data()->null_count, values.offset());
}

enum class Kind { kText, kBoolean, kNumber, kTime, kOther };

Kind TypeKindOf(const arrow::DataType& type) {
  const auto id = type.id();
  if (id == arrow::Type::BOOL) return Kind::kBoolean;
  if (arrow::is_numeric(id) || arrow::is_decimal(id)) return Kind::kNumber;
  if (arrow::is_temporal(id)) return Kind::kTime;
  if (arrow::is_base_binary_like(id) || arrow::is_binary_view_like(id) ||
      arrow::is_fixed_size_binary(id)) {
    return Kind::kText;
  }
  return Kind::kOther;
}

// Numbers widen to numbers, times to times; text is read as neither.
Status CheckConforms(const arrow::DataType& from, const arrow::Field& to) {
  const arrow::DataType& stored =
      from.id() == arrow::Type::DICTIONARY
          ? *static_cast<const arrow::DictionaryType&>(from).value_type()
          : from;
  if (stored.id() == arrow::Type::NA || TypeKindOf(stored) == TypeKindOf(*to.type())) {
    return Status::OK();
  }
  return Error(ErrorKind::kSchemaMismatch, "the file holds " + from.ToString() +
                                               ", the table " + to.type()->ToString() +
                                               ": rewrite the file");
}

}  // namespace

Result<ArrayPtr> Conform(const ArrayPtr& values, const arrow::Field& field,
                         arrow::MemoryPool* pool) {
  const auto& type = field.type();
  if (values->type()->Equals(*type)) return values;
  if (values->type_id() == type->id()) {
    switch (type->id()) {
      case arrow::Type::STRUCT:
        return ConformStruct(static_cast<const arrow::StructArray&>(*values), *type,
                             pool);
      case arrow::Type::LIST:
        return ConformList(static_cast<const arrow::ListArray&>(*values), type, pool);
      case arrow::Type::LARGE_LIST:
        return ConformList(static_cast<const arrow::LargeListArray&>(*values), type,
                           pool);
      case arrow::Type::MAP:
        return ConformMap(static_cast<const arrow::MapArray&>(*values), type, pool);
      default:
        break;
    }
  }
  ARROW_RETURN_NOT_OK(CheckConforms(*values->type(), field));
  arrow::compute::ExecContext context(pool);
  ARROW_ASSIGN_OR_RAISE(
      auto cast,
      arrow::compute::Cast(values, type, arrow::compute::CastOptions::Safe(), &context));
  return cast.make_array();
}

}  // namespace headrace::reader
