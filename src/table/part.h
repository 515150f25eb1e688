/// \file
/// A part of a folder of Hive partitions: the files that a condition leaves, found level
/// by level, so that directories which it rules out are never listed.
#pragma once

#include <arrow/compute/expression.h>
#include <headrace/result.h>

#include <functional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "storage/storage.h"
#include "table/partition.h"

namespace headrace::table {

/// What rows of a part are to pass.
struct PartCondition {
  /// May name columns that are not known, and so rule out nothing.
  arrow::compute::Expression condition;
  /// No partition column that is not known yet can rule out more.
  bool complete = false;
};

/// Says the condition by the partition columns that are known of some directories: those
/// of the keys in their paths. `keys`: all that paths of files have.
using PartRule = std::function<Result<PartCondition>(
    const PartitionColumns& known, const std::vector<std::string>& keys)>;

/// Files, by relative path, bytewise, and directories that were ruled out ("year=2013/"),
/// all below the folder.
struct Part {
  std::vector<storage::FileEntry> files;
  std::vector<std::string> ruled_out;
};

/// Lists a part of a folder: no directory that was ruled out, and others one by one only
/// as long as their directories may be. What keys there are is told by the first file
/// that is come upon. If nothing is left, some file is the part, for its schema. NotFound
/// if there is none.
Result<Part> ListPart(const storage::Storage& storage, const std::string& folder,
                      const PartRule& rule, const PartitionTypes& types,
                      base::Executor& executor);

}  // namespace headrace::table
