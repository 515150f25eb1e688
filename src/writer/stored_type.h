/// \file
/// The types that columns are stored as.
#pragma once

#include <arrow/type.h>
#include <headrace/result.h>

#include <memory>

namespace headrace::writer {

/// Which types the files of a table may hold.
enum class TypeRules {
  kParquet,  ///< Those that Parquet with its Arrow schema can hold.
  kDelta,    ///< Those that Delta has a name for.
};

/// The type without what only memory knows: dictionaries, views, 64-bit offsets; under
/// kDelta also unsigned integers as the next wider signed ones (uint64 as
/// decimal(20, 0)), timestamps in microseconds and, if they have a zone, in UTC, lists
/// and bytes of fixed size as any others, extension types as what stores them.
/// Unsupported for what Delta has not (float16, time, duration), naming the column.
Result<std::shared_ptr<arrow::DataType>> StoredType(const arrow::Field& column,
                                                    TypeRules rules);

}  // namespace headrace::writer
