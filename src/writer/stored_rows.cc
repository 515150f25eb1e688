#include "writer/stored_rows.h"

#include <arrow/compute/api.h>
#include <arrow/extension_type.h>

#include <set>
#include <string>
#include <utility>

#include "schema/dtype.h"
#include "schema/field.h"
#include "schema/text.h"
#include "writer/tensor_cells.h"

namespace headrace::writer {
namespace {

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
    return Error(ErrorKind::kNotFound,
                 "schema names \"" + field.name + "\", which is no column of the data");
  }
  return Status::OK();
}

// The field of tensors that Arrow's type tells of, as "raw" or "npy" cells.
Result<std::optional<Field>> FieldOfTensors(const arrow::Field& column) {
  if (column.type()->id() != arrow::Type::EXTENSION || !HoldsTensors(*column.type())) {
    return std::nullopt;
  }
  ARROW_ASSIGN_OR_RAISE(const auto inferred,
                        Schema::FromArrow(*arrow::schema({column.RemoveMetadata()})));
  Field field = inferred.fields().at(0);
  field.codec.clear();
  ARROW_ASSIGN_OR_RAISE(const auto whole, Schema::Make({std::move(field)}));
  return whole.fields()[0];
}

// A field that says which dtype the stored numbers stand for; null where they are it.
Result<std::shared_ptr<arrow::Field>> WithDType(const arrow::Field& given,
                                                std::shared_ptr<arrow::Field> stored) {
  const auto dtype = schema::DTypeOf(*given.type());
  if (!dtype || !arrow::is_unsigned_integer(given.type()->id()) ||
      stored->type()->Equals(*given.type())) {
    return stored;
  }
  ARROW_ASSIGN_OR_RAISE(const auto fields,
                        Schema::Make({{.name = given.name(),
                                       .dtype = std::string(DTypeName(*dtype)),
                                       .nullable = given.nullable()}}));
  ARROW_ASSIGN_OR_RAISE(const auto declared, schema::ToArrowField(fields.fields()[0]));
  return stored->WithMetadata(declared->metadata());
}

std::shared_ptr<arrow::Array> StorageOf(const std::shared_ptr<arrow::Array>& column,
                                        const arrow::DataType& stored) {
  const bool unwrap = column->type_id() == arrow::Type::EXTENSION &&
                      stored.id() != arrow::Type::EXTENSION;
  return unwrap ? static_cast<const arrow::ExtensionArray&>(*column).storage() : column;
}

}  // namespace

Result<StoredRows::Column> StoredRows::MakeColumn(const arrow::Field& given,
                                                  const Field* declared,
                                                  TypeRules rules) {
  Column column;
  std::optional<Field> cells;
  if (declared != nullptr && declared->codec != "arrow") {
    cells = *declared;
  } else if (declared == nullptr && rules == TypeRules::kDelta) {
    ARROW_ASSIGN_OR_RAISE(cells, FieldOfTensors(given));
  }
  if (cells && HoldsTensors(*given.type())) {
    column.encoded = cells;
    ARROW_ASSIGN_OR_RAISE(column.stored, schema::ToArrowField(*cells));
    return column;
  }
  if (cells && !schema::IsBinary(*given.type())) {
    return Error(ErrorKind::kSchemaMismatch,
                 "column \"" + given.name() + "\" is " + given.type()->ToString() +
                     ", expected tensors, lists or cells for " + cells->ToString());
  }
  ARROW_ASSIGN_OR_RAISE(auto type,
                        StoredType(given, cells ? TypeRules::kParquet : rules));
  if (cells) type = arrow::binary();
  column.stored = schema::WithFieldMetadataOnly(given.WithType(given.type()));
  if (declared != nullptr) {
    ARROW_ASSIGN_OR_RAISE(column.stored, schema::Declare(column.stored, *declared));
    column.stored = column.stored->WithNullable(declared->nullable);
  }
  column.stored = column.stored->WithType(type);
  ARROW_ASSIGN_OR_RAISE(column.stored, WithDType(given, std::move(column.stored)));
  return column;
}

Result<StoredRows> StoredRows::Make(const arrow::Schema& given,
                                    const std::optional<Schema>& declared,
                                    TypeRules rules) {
  ARROW_RETURN_NOT_OK(CheckNames(given, declared));
  StoredRows rows;
  arrow::FieldVector stored;
  for (const auto& field : given.fields()) {
    const Field* found = declared ? declared->Find(field->name()) : nullptr;
    ARROW_ASSIGN_OR_RAISE(auto column, MakeColumn(*field, found, rules));
    stored.push_back(column.stored);
    rows.columns_.push_back(std::move(column));
  }
  rows.schema_ = arrow::schema(std::move(stored));
  return rows;
}

Result<std::shared_ptr<arrow::RecordBatch>> StoredRows::Convert(
    const arrow::RecordBatch& batch, int64_t first_row, arrow::MemoryPool* pool) const {
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  arrow::ArrayVector arrays;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    auto array = batch.column(static_cast<int>(i));
    const auto& type = column.stored->type();
    if (column.encoded) {
      const auto codec = codec::FieldCodec::Make(*column.encoded, pool);
      ARROW_ASSIGN_OR_RAISE(
          array, EncodeTensors(*column.encoded, *codec, *array, first_row, pool));
    } else if (!array->type()->Equals(*type)) {
      auto cast = arrow::compute::Cast(*StorageOf(array, *type), type,
                                       arrow::compute::CastOptions::Safe(), &context);
      if (!cast.ok()) {
        return WithContext(cast.status(), "column \"" + column.stored->name() + "\"");
      }
      array = *std::move(cast);
    }
    if (!column.stored->nullable() && array->null_count() > 0) {
      return Error(ErrorKind::kInvalidArgument, "column \"" + column.stored->name() +
                                                    "\" must have values, found a null");
    }
    arrays.push_back(std::move(array));
  }
  return arrow::RecordBatch::Make(schema_, batch.num_rows(), std::move(arrays));
}

}  // namespace headrace::writer
