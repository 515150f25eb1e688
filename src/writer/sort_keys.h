/// \file
/// The sort keys of a batch's rows as bytes that compare as the values do.
#pragma once

#include <arrow/buffer.h>
#include <arrow/record_batch.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace headrace::writer {

/// Of each row a string: for each column a byte that says whether it is null (nulls come
/// last), then the value: integers big-endian with their sign flipped, floating-point
/// numbers likewise (-0 as 0, NaN after all others), text and bytes with each 0 escaped
/// and an end that is smaller than what may follow.
class SortKeys {
 public:
  /// Unsupported for types that have no order (lists, structs), naming the column.
  static Status Check(const arrow::Schema& schema, const std::vector<int>& columns);

  /// REQUIRES: `Check` passed.
  static Result<SortKeys> Make(const arrow::RecordBatch& batch,
                               const std::vector<int>& columns, arrow::MemoryPool* pool);

  int64_t rows() const { return rows_; }
  std::string_view At(int64_t row) const {
    const auto* offsets = reinterpret_cast<const int64_t*>(offsets_->data());
    return {reinterpret_cast<const char*>(bytes_->data()) + offsets[row],
            static_cast<size_t>(offsets[row + 1] - offsets[row])};
  }
  /// The rows in the order of their keys, stable: a buffer of int64.
  Result<std::shared_ptr<arrow::Buffer>> Sorted(arrow::MemoryPool* pool) const;

 private:
  int64_t rows_ = 0;
  std::shared_ptr<arrow::Buffer> offsets_;  // int64, one more than rows
  std::shared_ptr<arrow::Buffer> bytes_;
};

}  // namespace headrace::writer
