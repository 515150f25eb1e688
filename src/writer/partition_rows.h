/// \file
/// Rows by the partition they are of.
#pragma once

#include <arrow/record_batch.h>
#include <headrace/result.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headrace::writer {

/// One partition of a table.
struct Partition {
  /// "month=3/day=4/", escaped as Hive does; empty without partition columns.
  std::string directory = {};
  std::map<std::string, std::optional<std::string>> values = {};
};

/// A directory's name for a value: "key=value", both escaped;
/// "key=__HIVE_DEFAULT_PARTITION__" for null.
std::string PartitionDirectory(const std::string& key,
                               const std::optional<std::string>& value);

/// Unsupported for types whose values are no directories' names, naming the column.
Status CheckPartitionColumns(const arrow::Schema& schema,
                             const std::vector<int>& columns);

/// A batch, and which partition each of its rows is of.
class PartitionedBatch {
 public:
  /// InvalidArgument for text that is empty, or reads as null: neither can be told from
  /// null in a path. REQUIRES: `CheckPartitionColumns` passed.
  static Result<PartitionedBatch> Make(std::shared_ptr<arrow::RecordBatch> batch,
                                       const std::vector<int>& columns,
                                       arrow::MemoryPool* pool);

  /// In the order in which they first occur.
  const std::vector<Partition>& partitions() const { return partitions_; }
  /// The rows of some of the partitions, one after the other, each in its order.
  Result<std::shared_ptr<arrow::RecordBatch>> Rows(const std::vector<size_t>& partitions,
                                                   arrow::MemoryPool* pool) const;

 private:
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<Partition> partitions_;
  std::shared_ptr<arrow::Buffer> order_;  // int64 rows, by partition
  std::vector<int64_t> begins_;           // of each partition in it, and the end
};

}  // namespace headrace::writer
