/// \file
/// What a table's log says of the values of a file.
#pragma once

#include <arrow/type.h>
#include <headrace/result.h>
#include <parquet/metadata.h>

#include <string>

namespace headrace::writer {

/// Delta's statistics of a file, from its footer: a JSON object of "numRecords",
/// "minValues", "maxValues" and "nullCount", nested as the columns are. Of the first 32
/// leaves, lists and maps counted but left out. Minima and maxima of numbers, dates,
/// timestamps and text alone: text is cut at 32 characters, so that its maximum may be
/// larger than any value; timestamps are in milliseconds, rounded outwards. NaN is never
/// one of them. `schema`: of the file.
std::string DeltaStatistics(const arrow::Schema& schema,
                            const parquet::FileMetaData& footer);

}  // namespace headrace::writer
