/// \file
/// Delta schemas (JSON, as Spark writes types) and Arrow's.
#pragma once

#include <arrow/type.h>
#include <headrace/result.h>

#include <memory>
#include <string>

namespace headrace::table::delta {

/// Keys of a field's metadata where columns are mapped to names or ids in files.
inline constexpr char kPhysicalName[] = "delta.columnMapping.physicalName";
inline constexpr char kPhysicalId[] = "delta.columnMapping.id";

/// The Arrow schema of a `schemaString`; metadata of fields, also nested ones, is kept as
/// text. Corrupt for what is no schema, Unsupported for types that are not known, naming
/// the column.
Result<std::shared_ptr<arrow::Schema>> FromDeltaSchema(const std::string& json,
                                                       const std::string& display_path);

/// The `schemaString` of a schema, whose types Delta has; with the fields' metadata.
/// Unsupported, naming the column, for a type that Delta lacks.
Result<std::string> ToDeltaSchema(const arrow::Schema& schema);

/// Whether a type, or one inside of it, is a timestamp without a time zone, for which
/// Delta has a feature.
bool HasTimestampNtz(const arrow::DataType& type);

}  // namespace headrace::table::delta
