#include <arrow/array/concatenate.h>
#include <arrow/compute/api.h>
#include <arrow/util/bit_util.h>
#include <parquet/column_reader.h>
#include <parquet/page_index.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "reader/chunk_stream.h"
#include "reader/column_source.h"

namespace headrace::reader {
namespace {

using parquet::internal::RecordReader;

// What parquet-cpp allows for, too.
constexpr int64_t kHeaderForgotten = 100;

template <typename From, typename To>
void Narrow(const uint8_t* in, uint8_t* out, int64_t n) {
  const auto* from = reinterpret_cast<const From*>(in);
  auto* to = reinterpret_cast<To*>(out);
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<To>(from[i]);
}

int PhysicalWidth(parquet::Type::type physical) {
  switch (physical) {
    case parquet::Type::BOOLEAN:
      return 1;
    case parquet::Type::INT32:
    case parquet::Type::FLOAT:
      return 4;
    case parquet::Type::INT64:
    case parquet::Type::DOUBLE:
      return 8;
    default:
      return 0;
  }
}

bool IsNarrowInteger(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::INT8:
    case arrow::Type::UINT8:
    case arrow::Type::INT16:
    case arrow::Type::UINT16:
    case arrow::Type::UINT32:
      return true;
    default:
      return false;
  }
}

class FlatSource : public ColumnSource {
 public:
  FlatSource(const ReadContext& context, const parquet::ColumnDescriptor* descriptor,
             std::shared_ptr<arrow::DataType> type)
      : pool_(context.pool),
        counters_(context.counters),
        physical_(descriptor->physical_type()),
        type_(std::move(type)),
        records_(RecordReader::Make(
            descriptor, parquet::internal::LevelInfo::ComputeLevelInfo(descriptor), pool_,
            /*read_dictionary=*/false, /*read_dense_for_nullable=*/false,
            physical_ == parquet::Type::BYTE_ARRAY ? type_ : nullptr)) {}

  // `passed`: rows of the row group that lie before the pager's first page.
  void Start(std::unique_ptr<parquet::PageReader> pager, int64_t first_row,
             int64_t passed) {
    counters_->values_skipped += passed;
    pending_skip_ = first_row - passed;
    pager->set_data_page_filter([this](const parquet::DataPageStats& page) {
      // Strictly less: SettleSkip has already taken its first row out of the loaded page.
      if (page.num_values < pending_skip_) {
        pending_skip_ -= page.num_values;
        counters_->values_skipped += page.num_values;
        return true;
      }
      page_left_ += page.num_values;
      return false;
    });
    records_->SetPageReader(std::move(pager));
  }

  Result<std::shared_ptr<arrow::Array>> Read(int64_t rows) override {
    ARROW_RETURN_NOT_OK(SettleSkip());
    records_->Reserve(rows);
    int64_t got = 0;
    while (got < rows) {
      const int64_t more = records_->ReadRecords(rows - got);
      if (more == 0) return Ended(got, rows);
      got += more;
    }
    page_left_ -= rows;
    counters_->values_decoded += rows;
    if (physical_ == parquet::Type::BYTE_ARRAY ||
        physical_ == parquet::Type::FIXED_LEN_BYTE_ARRAY) {
      return TakeBytes();
    }
    return TakeValues(rows);
  }

  void Skip(int64_t rows) override { pending_skip_ += rows; }

 private:
  Status Ended(int64_t got, int64_t rows) const {
    return Error(ErrorKind::kCorrupt, "the column chunk ended after " +
                                          std::to_string(got) + " of " +
                                          std::to_string(rows) + " more rows");
  }

  // Passes over pending rows: the rest of the open page by decoding, whole pages by
  // header.
  Status SettleSkip() {
    while (pending_skip_ > 0) {
      // On a page boundary a skip of one row makes the reader load the page that holds
      // it; the filter lets whole pages before it fall away meanwhile.
      const int64_t rows = page_left_ > 0 ? std::min(page_left_, pending_skip_) : 1;
      if (records_->SkipRecords(rows) != rows) return Ended(0, pending_skip_);
      page_left_ -= rows;
      pending_skip_ -= rows;
      counters_->values_decoded += rows;
    }
    return Status::OK();
  }

  Result<std::shared_ptr<arrow::Array>> TakeBytes() {
    auto* binary = dynamic_cast<parquet::internal::BinaryRecordReader*>(records_.get());
    arrow::ArrayVector arrays = binary->GetBuilderChunks();
    records_->Reset();
    if (arrays.size() != 1) {
      ARROW_ASSIGN_OR_RAISE(auto joined, arrow::Concatenate(arrays, pool_));
      arrays = {joined};
    }
    return arrays[0]->View(type_);
  }

  Result<std::shared_ptr<arrow::Array>> TakeValues(int64_t rows) {
    const int64_t null_count = records_->null_count();
    std::shared_ptr<arrow::Buffer> valid =
        records_->nullable_values() ? records_->ReleaseIsValid() : nullptr;
    if (null_count == 0) valid = nullptr;
    std::shared_ptr<arrow::Buffer> values = records_->ReleaseValues();
    records_->Reset();
    if (type_->id() == arrow::Type::BOOL) {
      ARROW_ASSIGN_OR_RAISE(auto bits, arrow::AllocateEmptyBitmap(rows, pool_));
      for (int64_t i = 0; i < rows; ++i) {
        arrow::bit_util::SetBitTo(bits->mutable_data(), i, values->data()[i] != 0);
      }
      values = std::move(bits);
    } else if (type_->byte_width() < PhysicalWidth(physical_)) {
      ARROW_ASSIGN_OR_RAISE(values, NarrowValues(*values, rows));
    }
    return arrow::MakeArray(arrow::ArrayData::Make(
        type_, rows, {std::move(valid), std::move(values)}, null_count));
  }

  Result<std::shared_ptr<arrow::Buffer>> NarrowValues(const arrow::Buffer& wide,
                                                      int64_t rows) {
    ARROW_ASSIGN_OR_RAISE(auto out,
                          arrow::AllocateBuffer(rows * type_->byte_width(), pool_));
    const bool from64 = physical_ == parquet::Type::INT64;
    switch (type_->byte_width()) {
      case 1:
        (from64 ? Narrow<int64_t, int8_t>
                : Narrow<int32_t, int8_t>)(wide.data(), out->mutable_data(), rows);
        break;
      case 2:
        (from64 ? Narrow<int64_t, int16_t>
                : Narrow<int32_t, int16_t>)(wide.data(), out->mutable_data(), rows);
        break;
      default:
        Narrow<int64_t, int32_t>(wide.data(), out->mutable_data(), rows);
        break;
    }
    return out;
  }

  arrow::MemoryPool* pool_;
  ReadCounters* counters_;
  parquet::Type::type physical_;
  std::shared_ptr<arrow::DataType> type_;
  std::shared_ptr<RecordReader> records_;
  int64_t pending_skip_ = 0;
  int64_t page_left_ = 0;  // rows of loaded pages that were not consumed
};

/// Where the pages of a column chunk lie, dictionary included.
Result<ByteRange> BytesOf(const ColumnChunk& chunk,
                          const parquet::ColumnChunkMetaData& column) {
  ByteRange bytes{column.data_page_offset(), column.total_compressed_size()};
  if (column.has_dictionary_page() && column.dictionary_page_offset() > 0) {
    bytes.offset = std::min(bytes.offset, column.dictionary_page_offset());
  }
  // Old parquet-mr forgot the dictionary page's header in the size (PARQUET-816).
  if (chunk.file->metadata()->writer_version().VersionLt(
          parquet::ApplicationVersion::PARQUET_816_FIXED_VERSION())) {
    ARROW_ASSIGN_OR_RAISE(const int64_t file_size, chunk.input->GetSize());
    bytes.size +=
        std::min<int64_t>(kHeaderForgotten, file_size - bytes.offset - bytes.size);
  }
  return bytes;
}

std::unique_ptr<parquet::PageReader> OpenPages(const ColumnChunk& chunk,
                                               const parquet::ColumnChunkMetaData& column,
                                               int leaf, std::vector<ByteRange> ranges,
                                               int64_t values, arrow::MemoryPool* pool) {
  const auto& metadata = *chunk.file->metadata();
  auto stream = std::make_shared<ChunkStream>(chunk.input, std::move(ranges),
                                              chunk.properties->buffer_size(), pool);
  // Old parquet-cpp compressed pages of format 2 that it said it had not (ARROW-10353).
  const bool always_compressed = metadata.writer_version().VersionLt(
      parquet::ApplicationVersion::PARQUET_CPP_10353_FIXED_VERSION());
  return parquet::PageReader::Open(std::move(stream), values, column.compression(),
                                   *chunk.properties, *metadata.schema()->Column(leaf),
                                   always_compressed);
}

/// The page that holds chunk.first_row and those after it, by the offset index; `passed`
/// gets the rows before. Null where there is no such index.
Result<std::unique_ptr<parquet::PageReader>> SeekPage(
    const ColumnChunk& chunk, const parquet::ColumnChunkMetaData& column,
    const ByteRange& bytes, int leaf, int64_t* passed, arrow::MemoryPool* pool) {
  if (!column.GetOffsetIndexLocation()) return nullptr;
  auto indexes = chunk.file->GetPageIndexReader();
  auto index_of_group = indexes == nullptr ? nullptr : indexes->RowGroup(chunk.row_group);
  auto index = index_of_group == nullptr ? nullptr : index_of_group->GetOffsetIndex(leaf);
  if (index == nullptr || index->page_locations().empty()) return nullptr;
  const auto& pages = index->page_locations();
  auto after = std::upper_bound(pages.begin(), pages.end(), chunk.first_row,
                                [](int64_t row, const parquet::PageLocation& page) {
                                  return row < page.first_row_index;
                                });
  if (after == pages.begin()) return nullptr;
  const parquet::PageLocation& page = *(after - 1);
  *passed = page.first_row_index;
  const int64_t end = bytes.offset + bytes.size;
  if (page.offset < bytes.offset || page.offset >= end ||
      pages[0].offset < bytes.offset) {
    return Error(ErrorKind::kCorrupt,
                 "the offset index points to byte " + std::to_string(page.offset) +
                     ", outside the column chunk's bytes " +
                     std::to_string(bytes.offset) + " to " + std::to_string(end));
  }
  std::vector<ByteRange> ranges;
  // The dictionary comes before all pages.
  if (pages[0].offset > bytes.offset) {
    ranges.push_back({bytes.offset, pages[0].offset - bytes.offset});
  }
  ranges.push_back({page.offset, end - page.offset});
  const int64_t rows = chunk.file->metadata()->RowGroup(chunk.row_group)->num_rows();
  return OpenPages(chunk, column, leaf, std::move(ranges), rows - page.first_row_index,
                   pool);
}

}  // namespace

bool IsFlat(const parquet::ColumnDescriptor& descriptor, const arrow::DataType& type) {
  if (descriptor.max_repetition_level() > 0) return false;
  const int width = PhysicalWidth(descriptor.physical_type());
  switch (type.id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return descriptor.physical_type() == parquet::Type::BYTE_ARRAY;
    case arrow::Type::HALF_FLOAT:
      return descriptor.physical_type() == parquet::Type::FIXED_LEN_BYTE_ARRAY &&
             descriptor.type_length() == 2;
    case arrow::Type::BOOL:
      return descriptor.physical_type() == parquet::Type::BOOLEAN;
    case arrow::Type::FLOAT:
      return descriptor.physical_type() == parquet::Type::FLOAT;
    case arrow::Type::DOUBLE:
      return descriptor.physical_type() == parquet::Type::DOUBLE;
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::INT64:
    case arrow::Type::UINT8:
    case arrow::Type::UINT16:
    case arrow::Type::UINT32:
    case arrow::Type::UINT64:
    case arrow::Type::DATE32:
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP:
    case arrow::Type::DURATION:
      if (descriptor.physical_type() != parquet::Type::INT32 &&
          descriptor.physical_type() != parquet::Type::INT64) {
        return false;
      }
      return type.byte_width() == width ||
             (type.byte_width() < width && IsNarrowInteger(type));
    default:
      return false;
  }
}

Result<std::unique_ptr<ColumnSource>> MakeFlatSource(
    const ReadContext& context, const ColumnChunk& chunk, int leaf,
    std::shared_ptr<arrow::DataType> type) {
  auto source = std::make_unique<FlatSource>(
      context, chunk.file->metadata()->schema()->Column(leaf), std::move(type));
  auto row_group = chunk.file->metadata()->RowGroup(chunk.row_group);
  auto column = row_group->ColumnChunk(leaf);
  ARROW_ASSIGN_OR_RAISE(const ByteRange bytes, BytesOf(chunk, *column));
  std::unique_ptr<parquet::PageReader> pager;
  int64_t passed = 0;
  if (chunk.first_row > 0) {
    ARROW_ASSIGN_OR_RAISE(pager,
                          SeekPage(chunk, *column, bytes, leaf, &passed, context.pool));
  }
  if (pager == nullptr) {
    passed = 0;
    pager = OpenPages(chunk, *column, leaf, {bytes}, column->num_values(), context.pool);
  }
  source->Start(std::move(pager), chunk.first_row, passed);
  return source;
}

}  // namespace headrace::reader
