#include "writer/stored_rows.h"

#include <arrow/compute/api.h>

#include <set>
#include <utility>

#include "schema/field.h"

namespace headrace::writer {
namespace {

// A type without what only memory knows: dictionaries, views, 64-bit offsets.
std::shared_ptr<arrow::DataType> Plain(const std::shared_ptr<arrow::DataType>& type) {
  auto plain_field = [](const std::shared_ptr<arrow::Field>& field) {
    return field->WithType(Plain(field->type()));
  };
  switch (type->id()) {
    case arrow::Type::DICTIONARY:
      return Plain(static_cast<const arrow::DictionaryType&>(*type).value_type());
    case arrow::Type::RUN_END_ENCODED:
      return Plain(static_cast<const arrow::RunEndEncodedType&>(*type).value_type());
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
    case arrow::Type::LARGE_LIST_VIEW:
      return arrow::list(plain_field(type->field(0)));
    case arrow::Type::FIXED_SIZE_LIST:
      return arrow::fixed_size_list(
          plain_field(type->field(0)),
          static_cast<const arrow::FixedSizeListType&>(*type).list_size());
    case arrow::Type::STRUCT: {
      arrow::FieldVector fields;
      for (const auto& field : type->fields()) fields.push_back(plain_field(field));
      return arrow::struct_(std::move(fields));
    }
    default:
      return type;
  }
}

Status CheckNames(const arrow::Schema& given, const std::optional<Schema>& declared) {
  std::set<std::string> names;
  for (const std::string& name : given.field_names()) {
    if (name.empty()) {
      return Error(ErrorKind::kInvalidArgument, "a column has no name, expected one");
    }
    if (!names.insert(name).second) {
      return Error(ErrorKind::kInvalidArgument,
                   "the column \"" + name + "\" occurs twice, expected it once");
    }
  }
  if (!declared) return Status::OK();
  for (const Field& field : declared->fields()) {
    if (names.count(field.name) > 0) continue;
    return Error(ErrorKind::kNotFound, "schema names \"" + field.name +
                                           "\", which is no column of the data");
  }
  return Status::OK();
}

}  // namespace

Result<StoredRows> StoredRows::Make(const arrow::Schema& given,
                                    const std::optional<Schema>& declared) {
  ARROW_RETURN_NOT_OK(CheckNames(given, declared));
  StoredRows stored;
  arrow::FieldVector fields;
  for (const auto& column : given.fields()) {
    auto field = column->WithType(Plain(column->type()));
    field = schema::WithFieldMetadataOnly(field);
    if (const Field* found = declared ? declared->Find(column->name()) : nullptr) {
      ARROW_ASSIGN_OR_RAISE(field, schema::Declare(field, *found));
    }
    fields.push_back(std::move(field));
  }
  stored.schema_ = arrow::schema(std::move(fields));
  return stored;
}

Result<std::shared_ptr<arrow::RecordBatch>> StoredRows::Convert(
    const std::shared_ptr<arrow::RecordBatch>& batch, arrow::MemoryPool* pool) const {
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  arrow::ArrayVector columns;
  for (int i = 0; i < batch->num_columns(); ++i) {
    auto column = batch->column(i);
    const auto& field = schema_->field(i);
    if (!column->type()->Equals(*field->type())) {
      auto cast = arrow::compute::Cast(*column, field->type(),
                                       arrow::compute::CastOptions::Safe(), &context);
      if (!cast.ok()) {
        return WithContext(cast.status(), "column \"" + field->name() + "\"");
      }
      column = *std::move(cast);
    }
    if (!field->nullable() && column->null_count() > 0) {
      return Error(ErrorKind::kInvalidArgument,
                   "column \"" + field->name() + "\" must have values, found a null");
    }
    columns.push_back(std::move(column));
  }
  return arrow::RecordBatch::Make(schema_, batch->num_rows(), std::move(columns));
}

}  // namespace headrace::writer
