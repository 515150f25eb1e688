/// \file
/// Hive partitions: `key=value` directories.
#pragma once

#include <arrow/scalar.h>
#include <arrow/type.h>
#include <headrace/result.h>

#include <map>
#include <memory>
#include <optional>
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

/// Partition columns of a table.
struct Partitions {
  arrow::FieldVector fields;
  /// A row of values a path, parallel to `fields`.
  std::vector<std::vector<std::shared_ptr<arrow::Scalar>>> values;
};

/// Reads all paths. Types come from `given` by key, else are inferred from all values:
/// int32, int64, date32, string. SchemaMismatch (naming the path) if paths have different
/// keys; InvalidArgument for a type that is unknown, unused, or does not fit a value.
Result<Partitions> ReadPartitionPaths(const std::vector<std::string>& relative_paths,
                                      const std::map<std::string, std::string>& given);

}  // namespace headrace::table
