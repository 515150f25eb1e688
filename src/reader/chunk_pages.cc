#include "reader/chunk_pages.h"

#include <parquet/page_index.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace headrace::reader {
namespace {

// What parquet-cpp allows for, too.
constexpr int64_t kHeaderForgotten = 100;

std::unique_ptr<parquet::PageReader> PagerOf(const ColumnChunk& chunk,
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
  return PagerOf(chunk, column, leaf, std::move(ranges), rows - page.first_row_index,
                 pool);
}

}  // namespace

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

Result<ChunkPages> OpenPages(const ColumnChunk& chunk, int leaf,
                             arrow::MemoryPool* pool) {
  auto row_group = chunk.file->metadata()->RowGroup(chunk.row_group);
  auto column = row_group->ColumnChunk(leaf);
  ARROW_ASSIGN_OR_RAISE(const ByteRange bytes, BytesOf(chunk, *column));
  ChunkPages pages;
  pages.lasting = column->compression() == parquet::Compression::UNCOMPRESSED;
  if (chunk.first_row > 0) {
    ARROW_ASSIGN_OR_RAISE(pages.pager,
                          SeekPage(chunk, *column, bytes, leaf, &pages.passed, pool));
  }
  if (pages.pager == nullptr) {
    pages.passed = 0;
    pages.pager = PagerOf(chunk, *column, leaf, {bytes}, column->num_values(), pool);
  }
  return pages;
}

Status ChunkEnded(int64_t got, int64_t rows) {
  return Error(ErrorKind::kCorrupt, "the column chunk ended after " +
                                        std::to_string(got) + " of " +
                                        std::to_string(rows) + " more rows");
}

}  // namespace headrace::reader
