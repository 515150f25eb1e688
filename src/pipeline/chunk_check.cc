#include "pipeline/chunk_check.h"

#include <parquet/column_reader.h>
#include <parquet/exception.h>
#include <parquet/page_index.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace headrace::pipeline {
namespace {

// Read ahead of the pages, so that a chunk of any size takes little memory.
constexpr int64_t kStreamBytes = 1 << 20;
constexpr int64_t kBatchLevels = 4096;

Status Corrupt(std::string message) {
  return Error(ErrorKind::kCorrupt, std::move(message));
}

/// Where a page lies in the file, and the rows before it (flat columns only).
struct DataPage {
  int64_t offset = 0;
  int64_t size = 0;
  int64_t first_row = 0;
};

/// Watches the bytes of a column chunk on their way to Arrow's page reader, which tells
/// neither where a page lies nor whether it has a checksum. That reader peeks at a
/// header, advances past it, and reads the page.
class PageWatch : public arrow::io::InputStream {
 public:
  PageWatch(std::shared_ptr<arrow::io::InputStream> stream, int64_t offset,
            PageCounts* counts)
      : stream_(std::move(stream)), offset_(offset), counts_(counts) {}

  const std::vector<DataPage>& data_pages() const { return data_pages_; }
  /// The data page whose header was passed last holds `rows` rows.
  void SetRows(int64_t rows) {
    // Its header is written in a way that BeginPageIfPeeked does not know.
    if (!in_data_page_) BeginDataPage(offset_ - page_begin_);
    data_pages_.back().first_row = next_row_;
    next_row_ += rows;
  }

  arrow::Status Close() override { return stream_->Close(); }
  bool closed() const override { return stream_->closed(); }
  arrow::Result<int64_t> Tell() const override { return stream_->Tell(); }

  arrow::Result<std::string_view> Peek(int64_t nbytes) override {
    ARROW_ASSIGN_OR_RAISE(peeked_, stream_->Peek(nbytes));
    return peeked_;
  }

  arrow::Result<int64_t> Read(int64_t nbytes, void* out) override {
    BeginPageIfPeeked();
    ARROW_ASSIGN_OR_RAISE(const int64_t got, stream_->Read(nbytes, out));
    Pass(got);
    return got;
  }

  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t nbytes) override {
    BeginPageIfPeeked();
    ARROW_ASSIGN_OR_RAISE(auto bytes, stream_->Read(nbytes));
    Pass(bytes->size());
    return bytes;
  }

 private:
  // A page header is a Thrift struct in compact form. Its first fields are int32,
  // required but for the last, and each is a byte (field id difference 1, type 5) and a
  // varint: type, uncompressed size, compressed size, checksum.
  void BeginPageIfPeeked() {
    if (peeked_.empty()) return;
    constexpr char kNextInt32 = 0x15;
    constexpr int kDataPage = 0;
    constexpr int kDataPageV2 = 3;
    size_t at = 0;
    int page_type = -1;
    for (int field = 0; field < 3; ++field) {
      if (at + 1 >= peeked_.size() || peeked_[at] != kNextInt32) break;
      if (field == 0) page_type = static_cast<uint8_t>(peeked_[at + 1]) >> 1;  // zigzag
      ++at;
      while (at < peeked_.size() && (peeked_[at] & 0x80) != 0) ++at;
      ++at;
    }
    counts_->pages += 1;
    if (at < peeked_.size() && peeked_[at] == kNextInt32) counts_->with_checksum += 1;
    page_begin_ = offset_;
    in_data_page_ = false;
    if (page_type == kDataPage || page_type == kDataPageV2) BeginDataPage(0);
    peeked_ = {};
  }

  void BeginDataPage(int64_t bytes_passed) {
    in_data_page_ = true;
    data_pages_.push_back({page_begin_, bytes_passed, 0});
  }

  void Pass(int64_t bytes) {
    offset_ += bytes;
    if (in_data_page_) data_pages_.back().size += bytes;
  }

  std::shared_ptr<arrow::io::InputStream> stream_;
  int64_t offset_;
  PageCounts* counts_;
  std::string_view peeked_;
  int64_t page_begin_ = 0;
  bool in_data_page_ = false;
  std::vector<DataPage> data_pages_;
  int64_t next_row_ = 0;
};

struct Totals {
  int64_t values = 0;  // nulls included
  int64_t rows = 0;
};

/// For each repetition level, the definition level that a further element of a list has
/// at least: a list that goes on is neither null nor empty. The first of a row has any.
std::vector<int16_t> LeastDefinitions(const parquet::ColumnDescriptor& column) {
  std::vector<const parquet::schema::Node*> path;
  for (const auto* node = column.schema_node().get(); node->parent() != nullptr;
       node = node->parent()) {
    path.push_back(node);
  }
  std::vector<int16_t> least = {0};
  int16_t definition = 0;
  for (auto node = path.rbegin(); node != path.rend(); ++node) {
    if (!(*node)->is_required()) ++definition;
    if ((*node)->is_repeated()) least.push_back(definition);
  }
  return least;
}

template <typename PhysicalType>
Result<Totals> DecodeAll(parquet::ColumnReader* column, int64_t expected) {
  auto* reader = static_cast<parquet::TypedColumnReader<PhysicalType>*>(column);
  std::vector<int16_t> definitions(kBatchLevels);
  std::vector<int16_t> repetitions(kBatchLevels);
  // Not a vector: std::vector<bool> has no array of bool.
  auto values = std::make_unique<typename PhysicalType::c_type[]>(kBatchLevels);
  const bool repeated = reader->descr()->max_repetition_level() > 0;
  const std::vector<int16_t> least = LeastDefinitions(*reader->descr());
  Totals totals;
  // A few bytes may claim to hold values by the billion.
  while (totals.values <= expected && reader->HasNext()) {
    int64_t values_read = 0;
    const int64_t levels = reader->ReadBatch(
        kBatchLevels, definitions.data(), repetitions.data(), values.get(), &values_read);
    if (levels == 0 && values_read == 0) break;
    if (repeated && totals.values == 0 && repetitions[0] != 0) {
      return Corrupt("its first value continues a list");
    }
    for (int64_t i = 0; repeated && i < levels; ++i) {
      if (definitions[i] < least[repetitions[i]]) {
        return Corrupt("a null or empty list is continued");
      }
    }
    totals.values += levels;
    totals.rows += repeated ? std::count(repetitions.begin(),
                                         repetitions.begin() + levels, int16_t{0})
                            : levels;
  }
  return totals;
}

Result<Totals> DecodeAll(parquet::ColumnReader* column, int64_t expected) {
  switch (column->type()) {
    case parquet::Type::BOOLEAN:
      return DecodeAll<parquet::BooleanType>(column, expected);
    case parquet::Type::INT32:
      return DecodeAll<parquet::Int32Type>(column, expected);
    case parquet::Type::INT64:
      return DecodeAll<parquet::Int64Type>(column, expected);
    case parquet::Type::INT96:
      return DecodeAll<parquet::Int96Type>(column, expected);
    case parquet::Type::FLOAT:
      return DecodeAll<parquet::FloatType>(column, expected);
    case parquet::Type::DOUBLE:
      return DecodeAll<parquet::DoubleType>(column, expected);
    case parquet::Type::BYTE_ARRAY:
      return DecodeAll<parquet::ByteArrayType>(column, expected);
    case parquet::Type::FIXED_LEN_BYTE_ARRAY:
      return DecodeAll<parquet::FLBAType>(column, expected);
    case parquet::Type::UNDEFINED:
      break;
  }
  return Corrupt("its physical type is unknown");
}

struct ByteRange {
  int64_t offset = 0;
  int64_t length = 0;
};

Result<ByteRange> BytesOf(const parquet::ColumnChunkMetaData& chunk, int64_t file_size) {
  ByteRange range{chunk.data_page_offset(), chunk.total_compressed_size()};
  if (chunk.has_dictionary_page() && chunk.dictionary_page_offset() > 0) {
    range.offset = std::min(range.offset, chunk.dictionary_page_offset());
  }
  if (range.offset < 0 || range.length < 0 || range.offset > file_size ||
      range.length > file_size - range.offset) {
    return Corrupt("the footer puts its pages at byte " + std::to_string(range.offset) +
                   ", " + std::to_string(range.length) + " bytes long, in a file of " +
                   std::to_string(file_size) + " bytes");
  }
  return range;
}

Status CheckOffsetIndex(parquet::ParquetFileReader* file, int row_group, int column,
                        const std::vector<DataPage>& pages) {
  auto indexes = file->GetPageIndexReader();
  auto of_group = indexes == nullptr ? nullptr : indexes->RowGroup(row_group);
  auto index = of_group == nullptr ? nullptr : of_group->GetOffsetIndex(column);
  if (index == nullptr) return Status::OK();
  const auto& locations = index->page_locations();
  if (locations.size() != pages.size()) {
    return Corrupt("the offset index lists " + std::to_string(locations.size()) +
                   " data pages, found " + std::to_string(pages.size()));
  }
  const bool flat =
      file->metadata()->schema()->Column(column)->max_repetition_level() == 0;
  for (size_t i = 0; i < pages.size(); ++i) {
    const parquet::PageLocation& said = locations[i];
    const DataPage& found = pages[i];
    if (said.offset != found.offset || said.compressed_page_size != found.size ||
        (flat && said.first_row_index != found.first_row)) {
      auto describe = [](int64_t offset, int64_t size, int64_t row) {
        return "byte " + std::to_string(offset) + ", " + std::to_string(size) +
               " bytes, first row " + std::to_string(row);
      };
      return Corrupt(
          "the offset index puts data page " + std::to_string(i) + " at " +
          describe(said.offset, said.compressed_page_size, said.first_row_index) +
          "; found it at " +
          describe(found.offset, found.size,
                   flat ? found.first_row : said.first_row_index));
    }
  }
  return Status::OK();
}

Status DecodeAndCompare(const CheckedFile& file, int row_group, int column,
                        PageCounts* counts) {
  const auto metadata = file.reader->metadata();
  const auto group = metadata->RowGroup(row_group);
  const auto chunk = group->ColumnChunk(column);
  if (chunk->crypto_metadata() != nullptr) {
    return Error(ErrorKind::kUnsupported,
                 "it is encrypted, which this build does not read");
  }
  ARROW_ASSIGN_OR_RAISE(const ByteRange bytes, BytesOf(*chunk, file.size));

  parquet::ReaderProperties properties;
  properties.set_page_checksum_verification(true);
  properties.enable_buffered_stream();
  properties.set_buffer_size(kStreamBytes);
  const parquet::ColumnDescriptor* descriptor = metadata->schema()->Column(column);
  auto watch = std::make_shared<PageWatch>(
      properties.GetStream(file.input, bytes.offset, bytes.length), bytes.offset, counts);
  auto pager = parquet::PageReader::Open(watch, chunk->num_values(), chunk->compression(),
                                         properties, *descriptor);
  pager->set_data_page_filter([&](const parquet::DataPageStats& page) {
    watch->SetRows(page.num_values);
    return false;
  });
  auto reader = parquet::ColumnReader::Make(descriptor, std::move(pager));
  ARROW_ASSIGN_OR_RAISE(const Totals totals,
                        DecodeAll(reader.get(), chunk->num_values()));
  if (totals.values != chunk->num_values()) {
    const bool more = totals.values > chunk->num_values();
    return Corrupt("its pages hold " + std::string(more ? "at least " : "") +
                   std::to_string(totals.values) + " values, expected " +
                   std::to_string(chunk->num_values()) + " by the footer");
  }
  if (totals.rows != group->num_rows()) {
    return Corrupt("its pages hold " + std::to_string(totals.rows) + " rows, expected " +
                   std::to_string(group->num_rows()) + " by the footer");
  }
  return CheckOffsetIndex(file.reader, row_group, column, watch->data_pages());
}

}  // namespace

Status CheckColumnChunk(const CheckedFile& file, int row_group, int column,
                        PageCounts* counts) {
  // Beside its own exceptions, Parquet lets those of the standard library pass, such as
  // bad_alloc for an absurd length.
  try {
    return DecodeAndCompare(file, row_group, column, counts);
  } catch (const parquet::ParquetStatusException& e) {
    return e.status();
  } catch (const std::exception& e) {
    return Corrupt(e.what());
  }
}

}  // namespace headrace::pipeline
