/// \file
/// From a stored column in sample order to columns of the batch, by the column's plan.
#pragma once

#include <arrow/array.h>
#include <headrace/batch.h>
#include <headrace/result.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "schema/column_plan.h"
#include "schema/tensor.h"

namespace headrace::decode {

/// Decodes one column that is not drawn as fixed-width elements: strings, codes,
/// one-hot, decimals, lists, tensors, and anything at all for Form::kArrow. Immutable;
/// thread-safe.
class ColumnDecoder {
 public:
  /// REQUIRES: a kCodes or kOneHot plan has its vocabulary.
  static Result<std::unique_ptr<ColumnDecoder>> Make(const schema::ColumnPlan& plan);

  /// Appends the column, and what goes with it (`_mask`, `_offsets`, `_shape`), to the
  /// batch. Memory comes from the pool. Errors name the column and, by `locate`, the row.
  Status Decode(const std::shared_ptr<arrow::Array>& values, const schema::Locate& locate,
                arrow::MemoryPool* pool, TensorBatch* batch) const;

 private:
  explicit ColumnDecoder(const schema::ColumnPlan& plan) : plan_(plan) {}

  schema::ColumnPlan plan_;
  std::unordered_map<std::string_view, int32_t> codes_;  // views into plan_.vocabulary
};

/// The sorted distinct values (bytewise) of text columns, found chunk by chunk.
class VocabularyBuilder {
 public:
  /// Nulls are passed over. Takes strings, binary and dictionaries of them.
  Status Add(const arrow::Array& values);
  std::vector<std::string> Finish() &&;

 private:
  std::unordered_set<std::string> seen_;
};

}  // namespace headrace::decode
