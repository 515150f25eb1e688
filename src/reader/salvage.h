/// \file
/// Reading around damaged pages.
#pragma once

#include <arrow/array.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "reader/read_context.h"

namespace headrace::reader {

/// Values of some rows of a column.
struct Salvaged {
  std::shared_ptr<arrow::Array> values;
  /// A byte a value, 1 where it could not be read and is null instead; empty: none.
  std::vector<uint8_t> damaged;
};

/// Reads rows [first, first + rows) of a column of a row group that is known to be
/// damaged somewhere. A row is damaged if it cannot be read by itself, so what is found
/// does not depend on where reading began; between a range's first and last row, when
/// both are damaged, nothing is looked for. Errors other than Corrupt are returned.
Result<Salvaged> Salvage(const ReadContext& context, int64_t fragment, int row_group,
                         int64_t first, int64_t rows, const ReadColumn& column);

}  // namespace headrace::reader
