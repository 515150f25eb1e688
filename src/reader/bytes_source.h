/// \file
/// Flat columns of strings and bytes.
#pragma once

#include <arrow/type.h>
#include <parquet/schema.h>

#include <cstdint>
#include <memory>

#include "reader/chunk_pages.h"
#include "reader/column_source.h"

namespace headrace::reader {

/// Reads by Arrow's record reader, and places cells by CellSource. REQUIRES: IsFlat,
/// and BYTE_ARRAY.
std::unique_ptr<ColumnSource> MakeBytesSource(const ReadContext& context,
                                              const parquet::ColumnDescriptor* descriptor,
                                              ChunkPages pages, int64_t first_row,
                                              std::shared_ptr<arrow::DataType> type);

}  // namespace headrace::reader
