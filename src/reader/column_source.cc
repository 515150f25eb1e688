#include "reader/column_source.h"

#include <arrow/array/concatenate.h>
#include <arrow/compute/api.h>
#include <arrow/record_batch.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace headrace::reader {
namespace {

class ConstantSource : public ColumnSource {
 public:
  ConstantSource(std::shared_ptr<arrow::Scalar> value, arrow::MemoryPool* pool)
      : value_(std::move(value)), pool_(pool) {}

  Result<std::shared_ptr<arrow::Array>> Read(int64_t rows) override {
    return arrow::MakeArrayFromScalar(*value_, rows, pool_);
  }
  void Skip(int64_t) override {}
  DecodePath path() const override { return DecodePath::kConstant; }

 private:
  std::shared_ptr<arrow::Scalar> value_;
  arrow::MemoryPool* pool_;
};

class NumberedSource : public ColumnSource {
 public:
  NumberedSource(int64_t first, arrow::MemoryPool* pool) : next_(first), pool_(pool) {}

  Result<std::shared_ptr<arrow::Array>> Read(int64_t rows) override {
    ARROW_ASSIGN_OR_RAISE(
        std::shared_ptr<arrow::Buffer> values,
        arrow::AllocateBuffer(rows * static_cast<int64_t>(sizeof(int64_t)), pool_));
    auto* numbers = values->mutable_data_as<int64_t>();
    std::iota(numbers, numbers + rows, next_);
    next_ += rows;
    return std::make_shared<arrow::Int64Array>(rows, std::move(values));
  }
  void Skip(int64_t rows) override { next_ += rows; }
  DecodePath path() const override { return DecodePath::kConstant; }
  bool CanPlace() const override { return true; }
  Status Place(int64_t rows, const window::Slot& slot) override {
    auto* numbers = reinterpret_cast<int64_t*>(slot.values);
    std::iota(numbers, numbers + rows, next_);
    next_ += rows;
    return Status::OK();
  }

 private:
  int64_t next_;
  arrow::MemoryPool* pool_;
};

class AssembledSource : public ColumnSource {
 public:
  AssembledSource(const ReadContext& context,
                  std::unique_ptr<arrow::RecordBatchReader> batches, int depth,
                  int64_t first_row)
      : pool_(context.pool),
        counters_(context.counters),
        batches_(std::move(batches)),
        depth_(depth),
        pending_skip_(first_row) {}

  Result<std::shared_ptr<arrow::Array>> Read(int64_t rows) override {
    while (pending_skip_ > 0) {
      ARROW_ASSIGN_OR_RAISE(auto passed, NextSlice(pending_skip_));
      pending_skip_ -= passed->length();
    }
    arrow::ArrayVector slices;
    for (int64_t got = 0; got < rows;) {
      ARROW_ASSIGN_OR_RAISE(auto slice, NextSlice(rows - got));
      got += slice->length();
      slices.push_back(std::move(slice));
    }
    if (slices.size() == 1) return slices[0];
    return arrow::Concatenate(slices, pool_);
  }

  void Skip(int64_t rows) override { pending_skip_ += rows; }
  DecodePath path() const override { return DecodePath::kAssembled; }

 private:
  // At least one and at most `rows` values.
  Result<std::shared_ptr<arrow::Array>> NextSlice(int64_t rows) {
    while (current_ == nullptr || at_ == current_->length()) {
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(batches_->ReadNext(&batch));
      if (batch == nullptr) {
        return Error(ErrorKind::kCorrupt, "the column chunk ended " +
                                              std::to_string(rows) +
                                              " rows before its row group");
      }
      current_ = batch->column(0);
      for (int i = 0; i < depth_; ++i) {
        const auto& parent = static_cast<const arrow::StructArray&>(*current_);
        ARROW_ASSIGN_OR_RAISE(current_, parent.GetFlattenedField(0, pool_));
      }
      counters_->values_decoded += current_->length();
      at_ = 0;
    }
    auto slice = current_->Slice(at_, std::min(rows, current_->length() - at_));
    at_ += slice->length();
    return slice;
  }

  arrow::MemoryPool* pool_;
  ReadCounters* counters_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
  int depth_;
  int64_t pending_skip_;
  std::shared_ptr<arrow::Array> current_;
  int64_t at_ = 0;
};

}  // namespace

std::unique_ptr<ColumnSource> MakeConstantSource(std::shared_ptr<arrow::Scalar> value,
                                                 arrow::MemoryPool* pool) {
  return std::make_unique<ConstantSource>(std::move(value), pool);
}

std::unique_ptr<ColumnSource> MakeNumberedSource(int64_t first, arrow::MemoryPool* pool) {
  return std::make_unique<NumberedSource>(first, pool);
}

Result<std::unique_ptr<ColumnSource>> MakeAssembledSource(
    const ReadContext& context, parquet::arrow::FileReader* file,
    const ColumnChunk& chunk, const std::vector<int>& leaves, int depth) {
  ARROW_ASSIGN_OR_RAISE(auto batches,
                        file->GetRecordBatchReader({chunk.row_group}, leaves));
  return std::make_unique<AssembledSource>(context, std::move(batches), depth,
                                           chunk.first_row);
}

}  // namespace headrace::reader
