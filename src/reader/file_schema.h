/// \file
/// From a table's column path to a file's leaves.
#pragma once

#include <parquet/arrow/schema.h>

#include <string>
#include <vector>

namespace headrace::reader {

/// The file's field at `path`, or null where the file lacks it.
const parquet::arrow::SchemaField* FindField(
    const std::vector<parquet::arrow::SchemaField>& fields,
    const std::vector<std::string>& path);

/// Column chunk numbers of all leaves below a field.
void CollectLeaves(const parquet::arrow::SchemaField& field, std::vector<int>* leaves);

}  // namespace headrace::reader
