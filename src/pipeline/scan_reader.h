/// \file
/// A choice as a stream of RecordBatches, in stored order.
#pragma once

#include <arrow/record_batch.h>
#include <headrace/dataset.h>

#include <memory>
#include <vector>

#include "base/executor.h"
#include "pipeline/scan.h"

namespace headrace::pipeline {

/// Reads as it is pulled; holds one tile. Not thread-safe.
class ScanReader : public arrow::RecordBatchReader {
 public:
  static Result<std::shared_ptr<arrow::RecordBatchReader>> Make(
      std::shared_ptr<const DatasetImpl> dataset, base::Executor& executor);
  /// Reads one block of a scan of the dataset.
  static std::unique_ptr<ScanReader> OfBlock(std::shared_ptr<const DatasetImpl> dataset,
                                             std::shared_ptr<const Scan> scan,
                                             size_t block);

  std::shared_ptr<arrow::Schema> schema() const override;
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override;

 private:
  explicit ScanReader(std::shared_ptr<const DatasetImpl> dataset);
  /// Blocks [first, end) are to be read.
  void Begin(std::shared_ptr<const Scan> scan, size_t first, size_t end);
  /// The error of a cast, with the column and the first row that does not fit.
  Status Locate(const Status& status, const arrow::Array& values, int column) const;

  std::shared_ptr<const DatasetImpl> dataset_;
  reader::ReadCounters counters_;
  reader::ReadContext context_;
  std::shared_ptr<const Scan> scan_;
  std::unique_ptr<reader::SurvivorReader> survivors_;
  size_t next_block_ = 0;
  size_t end_block_ = 0;
  int64_t block_rows_ = 0;  // survivors of the block that were read
};

}  // namespace headrace::pipeline
