/// \file
/// What footers say of a row group's values: partition values, statistics, bloom filters.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <vector>

#include "expression/filter.h"
#include "reader/read_context.h"

namespace headrace::reader {

/// Decides a filter on one row group. Bloom filters are read only where statistics leave
/// the question open. `columns` are the filter's, resolved. A broken statistic proves
/// nothing; a broken bloom filter is Corrupt.
Result<expression::Verdict> DecideRowGroup(const ReadContext& context,
                                           const expression::Filter& filter,
                                           const std::vector<ReadColumn>& columns,
                                           int64_t fragment, int row_group);

/// Decides a filter on all rows of a fragment by its partition values, its row ids and
/// what the table's log says of its values, reading nothing.
Result<expression::Verdict> DecideFragment(const table::Table& table,
                                           const expression::Filter& filter,
                                           const std::vector<ReadColumn>& columns,
                                           int64_t fragment);

/// What the footer says of one row group's values, column by column.
Result<std::vector<expression::ColumnBounds>> BoundsOf(
    const ReadContext& context, const std::vector<ReadColumn>& columns, int64_t fragment,
    int row_group);

/// Compressed bytes of the columns in one row group, by the footer.
Result<int64_t> ColumnBytes(const ReadContext& context,
                            const std::vector<ReadColumn>& columns, int64_t fragment,
                            int row_group);

}  // namespace headrace::reader
