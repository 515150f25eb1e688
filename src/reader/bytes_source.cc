#include "reader/bytes_source.h"

#include <arrow/array/concatenate.h>

#include <algorithm>
#include <string>
#include <utility>

#include "reader/cell_source.h"

namespace headrace::reader {
namespace {

using parquet::internal::RecordReader;

class RecordSource : public ColumnSource {
 public:
  RecordSource(const ReadContext& context, const parquet::ColumnDescriptor* descriptor,
               ChunkPages pages, int64_t first_row, std::shared_ptr<arrow::DataType> type)
      : pool_(context.pool),
        counters_(context.counters),
        type_(std::move(type)),
        records_(RecordReader::Make(
            descriptor, parquet::internal::LevelInfo::ComputeLevelInfo(descriptor), pool_,
            /*read_dictionary=*/false, /*read_dense_for_nullable=*/false, type_)),
        pending_skip_(first_row - pages.passed) {
    counters_->values_skipped += pages.passed;
    pages.pager->set_data_page_filter([this](const parquet::DataPageStats& page) {
      // Strictly less: SettleSkip has already taken its first row out of the loaded page.
      if (page.num_values < pending_skip_) {
        pending_skip_ -= page.num_values;
        counters_->values_skipped += page.num_values;
        return true;
      }
      page_left_ += page.num_values;
      return false;
    });
    records_->SetPageReader(std::move(pages.pager));
  }

  Result<std::shared_ptr<arrow::Array>> Read(int64_t rows) override {
    ARROW_RETURN_NOT_OK(SettleSkip());
    records_->Reserve(rows);
    int64_t got = 0;
    while (got < rows) {
      const int64_t more = records_->ReadRecords(rows - got);
      if (more == 0) return ChunkEnded(got, rows);
      got += more;
    }
    page_left_ -= rows;
    counters_->values_decoded += rows;
    auto* binary = dynamic_cast<parquet::internal::BinaryRecordReader*>(records_.get());
    arrow::ArrayVector arrays = binary->GetBuilderChunks();
    records_->Reset();
    if (arrays.size() != 1) {
      ARROW_ASSIGN_OR_RAISE(auto joined, arrow::Concatenate(arrays, pool_));
      arrays = {joined};
    }
    return arrays[0]->View(type_);
  }

  void Skip(int64_t rows) override { pending_skip_ += rows; }
  DecodePath path() const override { return DecodePath::kBytes; }

 private:
  // Passes over pending rows: the rest of the open page by decoding, whole pages by
  // header.
  Status SettleSkip() {
    while (pending_skip_ > 0) {
      // On a page boundary a skip of one row makes the reader load the page that holds
      // it; the filter lets whole pages before it fall away meanwhile.
      const int64_t rows = page_left_ > 0 ? std::min(page_left_, pending_skip_) : 1;
      if (records_->SkipRecords(rows) != rows) return ChunkEnded(0, pending_skip_);
      page_left_ -= rows;
      pending_skip_ -= rows;
      counters_->values_decoded += rows;
    }
    return Status::OK();
  }

  arrow::MemoryPool* pool_;
  ReadCounters* counters_;
  std::shared_ptr<arrow::DataType> type_;
  std::shared_ptr<RecordReader> records_;
  int64_t pending_skip_;
  int64_t page_left_ = 0;  // rows of loaded pages that were not consumed
};

/// Reads in the way that is asked for first.
class BytesSource : public ColumnSource {
 public:
  BytesSource(const ReadContext& context, const parquet::ColumnDescriptor* descriptor,
              ChunkPages pages, int64_t first_row, std::shared_ptr<arrow::DataType> type)
      : context_(context),
        descriptor_(descriptor),
        pages_(std::move(pages)),
        first_row_(first_row),
        type_(std::move(type)) {}

  Result<std::shared_ptr<arrow::Array>> Read(int64_t rows) override {
    if (way_ == nullptr) {
      way_ = std::make_unique<RecordSource>(context_, descriptor_, std::move(pages_),
                                            first_row_, type_);
    }
    return way_->Read(rows);
  }
  bool CanPlaceCells() const override { return true; }
  Status PlaceCells(int64_t rows, const window::CellSlot& slot) override {
    if (way_ == nullptr) {
      way_ = MakeCellSource(context_, descriptor_, std::move(pages_), first_row_);
    }
    return way_->PlaceCells(rows, slot);
  }
  void Skip(int64_t rows) override {
    if (way_ == nullptr) {
      first_row_ += rows;
    } else {
      way_->Skip(rows);
    }
  }
  DecodePath path() const override { return DecodePath::kBytes; }

 private:
  ReadContext context_;
  const parquet::ColumnDescriptor* descriptor_;
  ChunkPages pages_;
  int64_t first_row_;
  std::shared_ptr<arrow::DataType> type_;
  std::unique_ptr<ColumnSource> way_;
};

}  // namespace

std::unique_ptr<ColumnSource> MakeBytesSource(const ReadContext& context,
                                              const parquet::ColumnDescriptor* descriptor,
                                              ChunkPages pages, int64_t first_row,
                                              std::shared_ptr<arrow::DataType> type) {
  return std::make_unique<BytesSource>(context, descriptor, std::move(pages), first_row,
                                       std::move(type));
}

}  // namespace headrace::reader
