/// \file
/// Fields in Arrow: their metadata, and what Arrow's types say where there is none.
#pragma once

#include <arrow/type.h>
#include <headrace/schema.h>

#include <memory>
#include <optional>
#include <string>

namespace headrace::schema {

/// The key of a field's JSON in the metadata of an Arrow field.
inline constexpr char kFieldMetadata[] = "headrace.field";

/// What the field's metadata declares; nothing where it has none. Corrupt for what is no
/// field's JSON, Unsupported for a later format.
Result<std::optional<Field>> DeclaredField(const arrow::Field& field);

/// The column as a field says it is: with its metadata. SchemaMismatch if the column's
/// type can hold no such values.
Result<std::shared_ptr<arrow::Field>> Declare(const std::shared_ptr<arrow::Field>& column,
                                              const Field& field);

/// The column without its metadata but for a field's.
std::shared_ptr<arrow::Field> WithFieldMetadataOnly(
    const std::shared_ptr<arrow::Field>& column);

/// Whether both columns have a field's metadata, and not the same.
bool DeclareDifferently(const arrow::Field& a, const arrow::Field& b);

/// The Arrow field of a field, with its metadata.
Result<std::shared_ptr<arrow::Field>> ToArrowField(const Field& field);

/// "(None, None, 3)".
std::string ShapeText(const std::vector<int64_t>& shape);

/// Whether a shape is one that a field allows.
bool Fits(const std::vector<int64_t>& shape, const std::vector<int64_t>& allowed);

}  // namespace headrace::schema
