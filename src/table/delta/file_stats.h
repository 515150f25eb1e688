/// \file
/// What a Delta log says of a file's values.
#pragma once

#include <arrow/scalar.h>
#include <arrow/type.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace headrace::table::delta {

/// Bounds of one column; what is not known is absent.
struct StatBounds {
  std::shared_ptr<arrow::Scalar> min;  ///< Inclusive, and no value is below it.
  std::shared_ptr<arrow::Scalar> max;  ///< Inclusive, and no value is above it.
  std::optional<int64_t> null_count;
};

/// "numRecords" of the statistics; absent if they do not say.
std::optional<int64_t> RowsOf(const std::string& stats);

/// What the statistics say of the column at `path`, by its names in files. Statistics
/// that do not parse say nothing.
StatBounds BoundsOf(const std::string& stats, std::span<const std::string> path,
                    const std::shared_ptr<arrow::DataType>& type);

/// A partition value of a log as a scalar; null for no value. InvalidArgument for a text
/// that is no value of the type.
Result<std::shared_ptr<arrow::Scalar>> PartitionScalar(
    const std::optional<std::string>& value,
    const std::shared_ptr<arrow::DataType>& type);

}  // namespace headrace::table::delta
