/// \file
/// Types between Arrow, Spark's schemas in JSON, and Hive's text.
#pragma once

#include <arrow/type_fwd.h>
#include <headrace/result.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace headrace::catalog {

/// What Spark writes as Parquet for a type of its schema's JSON; null for types that are
/// not known (intervals, variants).
std::shared_ptr<arrow::DataType> TypeOfSpark(const nlohmann::json& type);
/// The same for the text of a Hive type; null for what is not a scalar.
std::shared_ptr<arrow::DataType> TypeOfHive(const std::string& text);

/// As `OpenOptions::partition_types` has it; empty for what cannot be a partition
/// column's.
std::string PartitionTypeOf(const arrow::DataType& type);

/// The type as which Spark reads a column. Unsupported where it has none.
Result<nlohmann::json> ToSpark(const arrow::DataType& type);
/// The type as which Hive reads a column. Unsupported where it has none.
Result<std::string> ToHive(const arrow::DataType& type);

}  // namespace headrace::catalog
