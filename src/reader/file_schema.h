/// \file
/// From a table's column path to a file's leaves.
#pragma once

#include <parquet/arrow/schema.h>

#include <vector>

#include "table/table.h"

namespace headrace::reader {

/// The number of the field that files know so, or -1: by its id where it has one.
int IndexOf(const arrow::FieldVector& fields, const table::FileField& wanted);

/// The file's field at `path`, or null where the file lacks it.
const parquet::arrow::SchemaField* FindField(
    const std::vector<parquet::arrow::SchemaField>& fields,
    const std::vector<table::FileField>& path);

/// Column chunk numbers of all leaves below a field.
void CollectLeaves(const parquet::arrow::SchemaField& field, std::vector<int>* leaves);

}  // namespace headrace::reader
