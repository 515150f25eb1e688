/// \file
/// A stream of RecordBatches whose cells are decoded.
#pragma once

#include <arrow/record_batch.h>
#include <headrace/result.h>

#include <memory>
#include <vector>

#include "codec/cell_decoder.h"
#include "schema/column_plan.h"

namespace headrace::pipeline {

/// Hands on what another reader reads, in smaller batches, with the cells of field codecs
/// as tensors: `arrow.fixed_shape_tensor` where every dimension is declared, lists where
/// the only one varies, else `arrow.variable_shape_tensor`. Elements are of the dtype
/// that the field, or a cast, says; float32 for bfloat16, which Arrow lacks. Nulls stay
/// nulls. Not thread-safe.
class DecodedReader : public arrow::RecordBatchReader {
 public:
  static Result<std::shared_ptr<arrow::RecordBatchReader>> Make(
      std::shared_ptr<arrow::RecordBatchReader> stored,
      const schema::ColumnChoices& choices);

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override;

 private:
  DecodedReader() = default;

  struct Column {
    schema::ColumnPlan plan;
    /// Null: handed on as it is.
    std::unique_ptr<codec::CellDecoder> decoder;
  };
  Result<std::shared_ptr<arrow::Array>> Decode(size_t column,
                                               const arrow::Array& values) const;

  std::shared_ptr<arrow::RecordBatchReader> stored_;
  std::shared_ptr<arrow::Schema> schema_;
  std::vector<Column> columns_;
  std::shared_ptr<arrow::RecordBatch> current_;
  int64_t at_ = 0;         // in current_
  int64_t rows_read_ = 0;  // before current_
};

}  // namespace headrace::pipeline
