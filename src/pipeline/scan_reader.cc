#include "pipeline/scan_reader.h"

#include <utility>

#include "pipeline/dataset_impl.h"
#include "schema/cast.h"

namespace headrace::pipeline {

ScanReader::ScanReader(std::shared_ptr<const DatasetImpl> dataset)
    : dataset_(std::move(dataset)) {
  context_.pool = arrow::default_memory_pool();
  context_.counters = &counters_;
}

void ScanReader::Begin(std::shared_ptr<const Scan> scan, size_t first, size_t end) {
  scan_ = std::move(scan);
  context_.table = &scan_->table();
  survivors_ = std::make_unique<reader::SurvivorReader>(&context_, &scan_->spec());
  next_block_ = first;
  end_block_ = end;
}

Result<std::shared_ptr<arrow::RecordBatchReader>> ScanReader::Make(
    std::shared_ptr<const DatasetImpl> dataset, base::Executor& executor) {
  std::shared_ptr<ScanReader> reader(new ScanReader(dataset));
  ARROW_ASSIGN_OR_RAISE(auto scan,
                        Scan::Make(std::move(dataset), reader->context_, executor));
  const size_t blocks = scan->blocks().size();
  reader->Begin(std::move(scan), 0, blocks);
  return reader;
}

std::unique_ptr<ScanReader> ScanReader::OfBlock(
    std::shared_ptr<const DatasetImpl> dataset, std::shared_ptr<const Scan> scan,
    size_t block) {
  std::unique_ptr<ScanReader> reader(new ScanReader(std::move(dataset)));
  reader->Begin(std::move(scan), block, block + 1);
  return reader;
}

std::shared_ptr<arrow::Schema> ScanReader::schema() const { return dataset_->schema; }

arrow::Status ScanReader::ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) {
  arrow::ArrayVector columns(scan_->spec().selected);
  while (next_block_ < end_block_) {
    const plan::Block& block = scan_->blocks()[next_block_];
    int64_t rows = 0;
    if (scan_->verdict(block) != expression::Verdict::kNone) {
      ARROW_ASSIGN_OR_RAISE(
          rows,
          survivors_->ReadNext(scan_->Ref(static_cast<int64_t>(next_block_), nullptr),
                               {[&](const reader::Delivery& read) {
                                 columns[read.column] = read.values;
                                 return Status::OK();
                               }}));
    }
    if (rows == 0) {
      ++next_block_;
      block_rows_ = 0;
      continue;
    }
    for (size_t c = 0; c < columns.size(); ++c) {
      const auto& field = dataset_->schema->field(static_cast<int>(c));
      auto cast =
          schema::CastArray(columns[c], field->type(), arrow::default_memory_pool());
      if (!cast.ok()) return Locate(cast.status(), *columns[c], static_cast<int>(c));
      columns[c] = std::move(*cast);
    }
    block_rows_ += rows;
    *batch = arrow::RecordBatch::Make(dataset_->schema, rows, std::move(columns));
    return Status::OK();
  }
  *batch = nullptr;
  return Status::OK();
}

Status ScanReader::Locate(const Status& status, const arrow::Array& values,
                          int column) const {
  const auto& field = dataset_->schema->field(column);
  const int64_t first = schema::FirstMisfit(values, field->type());
  return WithContext(status, "column \"" + field->name() + "\"" +
                                 scan_->LocationOf(static_cast<int64_t>(next_block_),
                                                   block_rows_ + first, nullptr));
}

}  // namespace headrace::pipeline
