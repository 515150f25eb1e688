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
// What parquet-cpp looks at for a page's header at first.
constexpr int64_t kHeaderBytes = 16 << 10;

std::unique_ptr<parquet::PageReader> PagerOf(const ColumnChunk& chunk,
                                             const parquet::ColumnChunkMetaData& column,
                                             int leaf, std::vector<ByteRange> ranges,
                                             int64_t buffer_bytes, int64_t values,
                                             arrow::MemoryPool* pool) {
  const auto& metadata = *chunk.file->metadata();
  auto stream =
      std::make_shared<ChunkStream>(chunk.input, std::move(ranges), buffer_bytes, pool);
  // Old parquet-cpp compressed pages of format 2 that it said it had not (ARROW-10353).
  const bool always_compressed = metadata.writer_version().VersionLt(
      parquet::ApplicationVersion::PARQUET_CPP_10353_FIXED_VERSION());
  return parquet::PageReader::Open(std::move(stream), values, column.compression(),
                                   *chunk.properties, *metadata.schema()->Column(leaf),
                                   always_compressed);
}

// Takes the dictionary out of the ranges of a chunk that begin with it; nothing if it
// does not come first, or is not where the footer says.
std::vector<ByteRange> TakeDictionary(const parquet::ColumnChunkMetaData& column,
                                      std::vector<ByteRange>* ranges) {
  if (!column.has_dictionary_page()) return {};
  ByteRange& first = ranges->front();
  const int64_t bytes = column.data_page_offset() - first.offset;
  if (column.dictionary_page_offset() != first.offset || bytes <= 0 ||
      bytes > first.size) {
    return {};
  }
  const ByteRange dictionary{first.offset, bytes};
  first.offset += bytes;
  first.size -= bytes;
  if (first.size == 0) ranges->erase(ranges->begin());
  return {dictionary};
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

Result<PageRanges> RangesOf(const ColumnChunk& chunk, int leaf, const RowRange& rows) {
  const auto column =
      chunk.file->metadata()->RowGroup(chunk.row_group)->ColumnChunk(leaf);
  ARROW_ASSIGN_OR_RAISE(const ByteRange bytes, BytesOf(chunk, *column));
  PageRanges whole{{bytes}, 0};
  if (chunk.indexes == nullptr || !column->GetOffsetIndexLocation()) return whole;
  const auto index = chunk.indexes->GetOffsetIndex(leaf);
  if (index == nullptr || index->page_locations().empty()) return whole;
  const auto& pages = index->page_locations();
  auto after = std::upper_bound(pages.begin(), pages.end(), rows.first,
                                [](int64_t row, const parquet::PageLocation& page) {
                                  return row < page.first_row_index;
                                });
  if (after == pages.begin()) return whole;
  const parquet::PageLocation& page = *(after - 1);
  while (after != pages.end() && after->first_row_index < rows.end) ++after;
  const int64_t bytes_end = bytes.offset + bytes.size;
  const int64_t pages_end = after == pages.end() ? bytes_end : after->offset;
  if (page.offset < bytes.offset || page.offset >= pages_end || pages_end > bytes_end ||
      pages[0].offset < bytes.offset) {
    return Error(ErrorKind::kCorrupt,
                 "the offset index points to byte " + std::to_string(page.offset) +
                     ", outside the column chunk's bytes " +
                     std::to_string(bytes.offset) + " to " + std::to_string(bytes_end));
  }
  PageRanges from{{}, page.first_row_index};
  // The dictionary comes before all pages.
  if (pages[0].offset > bytes.offset) {
    from.ranges.push_back({bytes.offset, pages[0].offset - bytes.offset});
  }
  from.ranges.push_back({page.offset, pages_end - page.offset});
  return from;
}

Result<ChunkPages> OpenPages(const ColumnChunk& chunk, int leaf, bool dictionary_apart,
                             SharedPages* shared, arrow::MemoryPool* pool) {
  auto row_group = chunk.file->metadata()->RowGroup(chunk.row_group);
  auto column = row_group->ColumnChunk(leaf);
  ARROW_ASSIGN_OR_RAISE(PageRanges from, RangesOf(chunk, leaf, {chunk.first_row}));
  ChunkPages pages;
  pages.lasting = column->compression() == parquet::Compression::UNCOMPRESSED;
  pages.passed = from.passed;
  const int64_t values = column->num_values() - from.passed;
  const int64_t buffer_bytes = chunk.properties->buffer_size();
  if (dictionary_apart) {
    auto dictionary = TakeDictionary(*column, &from.ranges);
    if (shared != nullptr) {
      pages.key = {chunk.fragment, chunk.row_group, leaf};
      pages.found = shared->Take(pages.key);
      if (chunk.others_follow) pages.shared = shared;
    }
    if (!dictionary.empty() && pages.found.dictionary == nullptr) {
      // Larger than a buffer, it is read to its place, but for the part with the header.
      const int64_t buffered = dictionary.front().size > buffer_bytes
                                   ? std::min(kHeaderBytes, buffer_bytes)
                                   : buffer_bytes;
      pages.dictionary =
          PagerOf(chunk, *column, leaf, std::move(dictionary), buffered, values, pool);
    }
  }
  pages.pager =
      PagerOf(chunk, *column, leaf, std::move(from.ranges), buffer_bytes, values, pool);
  return pages;
}

Status ChunkEnded(int64_t got, int64_t rows) {
  return Error(ErrorKind::kCorrupt, "the column chunk ended after " +
                                        std::to_string(got) + " of " +
                                        std::to_string(rows) + " more rows");
}

}  // namespace headrace::reader
