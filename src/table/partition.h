/// \file
/// Hive partitions: `key=value` directories.
#pragma once

#include <arrow/scalar.h>
#include <arrow/type.h>
#include <headrace/result.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace headrace::table {

/// One `key=value` of a path, unescaped; no value for __HIVE_DEFAULT_PARTITION__.
struct PartitionKey {
  std::string key;
  std::optional<std::string> value;
};

/// The partition keys among a path's directories, in order.
std::vector<PartitionKey> ParsePartitionPath(std::string_view relative_path);

/// SchemaMismatch if a path has a key twice.
Status CheckKeys(const std::vector<PartitionKey>& keys, const std::string& path);

/// Types of partition columns by key, as users give them.
using PartitionTypes = std::map<std::string, std::string>;

/// Values of one key, each once.
using PartitionValues = std::set<std::optional<std::string>>;

/// A key's type: what `given` says, else the narrowest of int32, int64, date32 and string
/// that all values fit. InvalidArgument for a type that is unknown.
Result<std::shared_ptr<arrow::DataType>> PartitionType(const std::string& key,
                                                       const PartitionValues& values,
                                                       const PartitionTypes& given);

/// A key's value in a path. InvalidArgument if it does not fit the type.
Result<std::shared_ptr<arrow::Scalar>> PartitionValue(
    const PartitionKey& key, const std::shared_ptr<arrow::DataType>& type,
    const std::string& path);

/// Partition columns, and the values that were seen of each, whether or not a file is
/// left that has them.
struct PartitionColumns {
  arrow::FieldVector fields;
  /// Of fields[i]; made when asked for. Null scalars for __HIVE_DEFAULT_PARTITION__.
  std::function<arrow::ScalarVector(int)> values;
};

/// Partition columns of a table.
struct Partitions {
  arrow::FieldVector fields;
  /// A row of values a path, parallel to `fields`.
  std::vector<arrow::ScalarVector> values;
  /// The values of directories that were ruled out, parallel to `fields`.
  std::vector<arrow::ScalarVector> ruled_out;
  /// Those of `fields` that would be of another type without such directories.
  arrow::FieldVector widened;
};

/// Reads all paths, and directories ("year=2013/") below which none of them lies, whose
/// values count for types. Types are those of `PartitionType`. SchemaMismatch (naming the
/// path) if paths have different keys; InvalidArgument for a type that is unknown,
/// unused, or does not fit a value.
Result<Partitions> ReadPartitionPaths(const std::vector<std::string>& relative_paths,
                                      const PartitionTypes& given,
                                      const std::vector<std::string>& ruled_out = {});

}  // namespace headrace::table
