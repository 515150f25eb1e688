/// \file
/// Flat columns of strings and bytes that are wanted one by one, where they lie.
#pragma once

#include <parquet/schema.h>

#include <cstdint>
#include <memory>

#include "reader/chunk_pages.h"
#include "reader/column_source.h"

namespace headrace::reader {

/// Gives cells and no arrays. Where half a PLAIN page or more is wanted that was not
/// compressed, the page is kept and nothing is copied. All other cells are copied once,
/// so that no more than twice what was asked for is kept. REQUIRES: IsFlat, and
/// BYTE_ARRAY.
std::unique_ptr<ColumnSource> MakeCellSource(const ReadContext& context,
                                             const parquet::ColumnDescriptor* descriptor,
                                             ChunkPages pages, int64_t first_row);

}  // namespace headrace::reader
