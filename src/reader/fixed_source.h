/// \file
/// Flat columns of fixed width, decoded straight to where they are wanted.
#pragma once

#include <arrow/type.h>
#include <headrace/result.h>
#include <parquet/schema.h>

#include <cstdint>
#include <memory>

#include "reader/chunk_pages.h"
#include "reader/column_source.h"

namespace headrace::reader {

/// Values of PLAIN pages go from the page to where they are wanted, others by way of a
/// tile in the cache. REQUIRES: IsFlat, and no BYTE_ARRAY.
Result<std::unique_ptr<ColumnSource>> MakeFixedSource(
    const ReadContext& context, const parquet::ColumnDescriptor* descriptor,
    ChunkPages pages, int64_t first_row, std::shared_ptr<arrow::DataType> type);

}  // namespace headrace::reader
