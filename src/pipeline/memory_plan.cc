#include "pipeline/memory_plan.h"

#include <parquet/arrow/schema.h>
#include <parquet/metadata.h>
#include <parquet/size_statistics.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "reader/catch_parquet.h"
#include "reader/file_schema.h"
#include "window/window.h"

namespace headrace::pipeline {
namespace {

// Row groups whose footers are looked at for sizes.
constexpr int64_t kSampledFragments = 16;
// Writers end pages at about this size before compression.
constexpr int64_t kPageBytes = int64_t{1} << 20;
constexpr int64_t kReadBufferMin = 16 << 10;
constexpr int64_t kReadBufferMax = 256 << 10;
// Where each call takes long.
constexpr int64_t kRemoteBufferMax = 4 << 20;
constexpr int64_t kTileRowsMax = 64 << 10;
// The smallest tile is as many rows as make this many bytes, and no more than these rows.
constexpr int64_t kSmallTileBytes = 64 << 10;
constexpr int64_t kSmallTileRows = 1 << 10;
// Steps that are assembled at once where the budget allows: of small batches as many as
// have these rows, since more tensors alive at once cost more; of large ones these steps,
// as far as they have these rows.
constexpr int64_t kRowsTogether = 8 << 10;
constexpr int64_t kStepsTogetherMax = 256;
constexpr int64_t kLargeStepsTogether = 8;
constexpr int64_t kLargeRowsTogether = 32 << 10;
constexpr int64_t kReadyMin = 4;
// The largest window that a consumer fills, which is away from Ctrl-C meanwhile.
constexpr int64_t kConsumerFillsMax = int64_t{64} << 20;
// A row of a window that is filled: where it goes, and, of thinned blocks, which it is.
constexpr int64_t kPlacementBytes = sizeof(uint32_t);
constexpr int64_t kPickedBytes = sizeof(uint32_t);
// How much larger values of varying shapes are taken to be than their cells.
constexpr int64_t kLossyRatio = 16;
constexpr int64_t kExactRatio = 4;
constexpr int64_t kDecodedBytesMax = int64_t{1} << 40;
// What allocators and small objects of an open column chunk take.
constexpr int64_t kOpenChunkBytes = 8 << 10;

/// Sizes of one column over the sampled row groups.
struct ColumnSizes {
  int64_t largest_chunk = 0;  // uncompressed or compressed, whichever is larger
  int64_t largest_page = 0;   // as far as is known
  int64_t decoded_bytes = 0;
  int64_t rows = 0;

  // Of a page and a dictionary, compressed and not, with a copy while decompressing. Of
  // larger pages, which some writers end by rows and not by bytes, the open one and what
  // windows keep of others beside their own rows.
  int64_t PageBytes() const {
    const int64_t usual = 3 * std::min(largest_chunk, std::max(kPageBytes, ValueBytes()));
    return std::max(usual, 2 * largest_page + std::min(largest_chunk, kPageBytes));
  }
  int64_t ValueBytes() const { return rows == 0 ? 8 : decoded_bytes / rows + 9; }
};

int64_t DecodedBytes(const parquet::ColumnChunkMetaData& chunk) {
  // Dictionary encoding hides the size of strings; newer writers tell it.
  if (auto sizes = chunk.size_statistics()) {
    if (sizes->unencoded_byte_array_data_bytes) {
      return *sizes->unencoded_byte_array_data_bytes + 4 * chunk.num_values();
    }
  }
  const bool text = chunk.type() == parquet::Type::BYTE_ARRAY;
  return text ? 2 * chunk.total_uncompressed_size() + 8 * chunk.num_values()
              : std::max(chunk.total_uncompressed_size(), 8 * chunk.num_values());
}

// The largest data page of a chunk whose pages are larger than usual, if all but the last
// have as many rows; else 0, also if the writer did not count its pages.
int64_t LargestPage(const parquet::ColumnChunkMetaData& chunk, int64_t bytes) {
  int64_t pages = 0;
  for (const parquet::PageEncodingStats& counted : chunk.encoding_stats()) {
    const bool data = counted.page_type == parquet::PageType::DATA_PAGE ||
                      counted.page_type == parquet::PageType::DATA_PAGE_V2;
    if (data) pages += counted.count;
  }
  if (pages == 0 || bytes <= pages * kPageBytes) return 0;
  return bytes / std::max<int64_t>(1, pages - 1);
}

Status SampleFragment(const table::Table& table, int64_t fragment,
                      const std::vector<reader::ReadColumn>& columns,
                      std::vector<ColumnSizes>* sizes) {
  ARROW_ASSIGN_OR_RAISE(auto metadata, table.Footer(fragment));
  parquet::arrow::SchemaManifest manifest;
  ARROW_RETURN_NOT_OK(parquet::arrow::SchemaManifest::Make(
      metadata->schema(), metadata->key_value_metadata(),
      parquet::ArrowReaderProperties(), &manifest));
  for (size_t c = 0; c < columns.size(); ++c) {
    const auto* field = columns[c].stored() ? reader::FindField(manifest.schema_fields,
                                                                columns[c].file_path)
                                            : nullptr;
    if (field == nullptr) continue;
    std::vector<int> leaves;
    reader::CollectLeaves(*field, &leaves);
    for (int g = 0; g < metadata->num_row_groups(); ++g) {
      auto group = metadata->RowGroup(g);
      int64_t chunk_bytes = 0;
      int64_t page_bytes = 0;
      for (int leaf : leaves) {
        auto chunk = group->ColumnChunk(leaf);
        const int64_t bytes =
            std::max(chunk->total_uncompressed_size(), chunk->total_compressed_size());
        chunk_bytes += bytes;
        page_bytes += LargestPage(*chunk, bytes);
        (*sizes)[c].decoded_bytes += DecodedBytes(*chunk);
      }
      (*sizes)[c].rows += group->num_rows();
      (*sizes)[c].largest_chunk = std::max((*sizes)[c].largest_chunk, chunk_bytes);
      (*sizes)[c].largest_page = std::max((*sizes)[c].largest_page, page_bytes);
    }
  }
  return Status::OK();
}

Result<std::vector<ColumnSizes>> SampleSizes(
    const table::Table& table, const std::vector<reader::ReadColumn>& columns) {
  std::vector<ColumnSizes> sizes(columns.size());
  const auto fragments = static_cast<int64_t>(table.fragments().size());
  const int64_t step = std::max<int64_t>(1, fragments / kSampledFragments);
  for (int64_t f = 0; f < fragments; f += step) {
    if (table.fragments()[static_cast<size_t>(f)].row_group_count == 0) continue;
    ARROW_RETURN_NOT_OK(
        reader::CatchParquet([&] { return SampleFragment(table, f, columns, &sizes); }));
  }
  return sizes;
}

// A column's part of a batch's row, where values are stored in `stored` bytes.
int64_t BatchBytes(const schema::ColumnPlan& column, int64_t stored) {
  if (!column.holds_cells()) {
    const bool one_hot = column.form == schema::Form::kOneHot;
    // Taken, joined, put in order, decoded.
    return 4 * (stored + 16 + (one_hot ? std::ssize(*column.vocabulary) : 0));
  }
  const int64_t width =
      ByteWidth(column.dtype) + (column.dtype == column.stored_dtype ? 0 : 8);
  if (column.form == schema::Form::kFixedShape) {
    int64_t bytes = width + 1;
    for (const int64_t dimension : column.shape) {
      if (__builtin_mul_overflow(bytes, std::max<int64_t>(dimension, 1), &bytes)) {
        return kDecodedBytesMax;
      }
    }
    return std::min(bytes, kDecodedBytesMax);
  }
  // Decoded apart, then put together.
  const std::string codec = column.field ? column.field->codec : "";
  const bool exact = codec == "raw" || codec == "zstd" || codec == "npy" ||
                     codec == "npz" || codec == "png";
  return 2 * stored * (exact ? kExactRatio : kLossyRatio) * width;
}

int64_t StreamRows(const MemoryNeeds& needs) {
  return needs.rows / needs.order.streams + needs.order.streams;
}

// Rows in windows that must be there at once: each stream's current one, those whose next
// one begins within the same step, and a step's worth where windows are shorter than
// that.
int64_t WindowRows(const MemoryNeeds& needs) {
  const int64_t streams = std::max(1, needs.order.streams / needs.options.world_size);
  const int64_t window =
      std::max<int64_t>(1, needs.order.shuffle_window_rows / needs.order.streams);
  const int64_t batch = needs.options.batch_size;
  const int64_t flips = std::min(streams, (batch + window - 1) / window + 1);
  const int64_t short_windows = batch / streams >= window ? batch : 0;
  const int64_t rows = (streams + flips) * window + short_windows;
  // No stream holds more than it has; the remainder is another window.
  return std::min(rows, streams * StreamRows(needs) + short_windows) +
         needs.order.streams;
}

}  // namespace

Result<MemoryPlan> PlanMemory(const table::Table& table, const MemoryNeeds& needs) {
  MemoryPlan plan;
  ARROW_ASSIGN_OR_RAISE(auto sizes, SampleSizes(table, *needs.read_columns));
  const auto& columns = *needs.columns;
  const int64_t window_per_stream = std::min(
      StreamRows(needs),
      std::max<int64_t>(1, needs.order.shuffle_window_rows / needs.order.streams));
  bool any_gathered = false;
  int64_t fixed_window = 0;
  int64_t widest_value = 8;
  int64_t row_bytes = 0;
  for (size_t c = 0; c < sizes.size(); ++c) {
    const bool selected = c < columns.size();
    const bool fixed = selected && columns[c].fixed_width();
    const int64_t value = fixed ? columns[c].value_bytes : sizes[c].ValueBytes();
    widest_value = std::max(widest_value, value);
    row_bytes += value;
    if (!selected) continue;
    if (fixed) {
      fixed_window +=
          window::FixedColumnBytes(columns[c].stored_dtype, window_per_stream);
      plan.batch_row_bytes += ByteWidth(columns[c].dtype) + 1;
    } else {
      const bool cells = columns[c].holds_cells();
      any_gathered |= !cells;
      plan.window_row_bytes += value + (cells ? window::kCellBytes : 0);
      plan.batch_row_bytes += BatchBytes(columns[c], value);
    }
  }
  if (needs.row_ids) {
    fixed_window += window::FixedColumnBytes(DType::kInt64, window_per_stream);
  }
  plan.window_row_bytes += (fixed_window + window_per_stream - 1) / window_per_stream;
  if (any_gathered) plan.window_row_bytes += 4;  // the inverse permutation

  const int64_t streams = std::max(1, needs.order.streams / needs.options.world_size);
  const int64_t window_rows = WindowRows(needs);
  plan.windows = window_rows * plan.window_row_bytes;
  const int64_t batch_rows = needs.options.pad_last
                                 ? needs.options.batch_size
                                 : std::min(needs.options.batch_size, needs.rows);
  plan.batch = batch_rows * plan.batch_row_bytes + (64 << 10);

  int64_t pages = 0;
  int64_t group_bytes = 0;
  for (const ColumnSizes& column : sizes) {
    pages += column.PageBytes() + kOpenChunkBytes;
    group_bytes += column.largest_chunk;
  }
  const bool remote = !table.storage().local();
  const auto chunks = static_cast<int64_t>(sizes.size()) * streams;
  const bool selective = needs.filtered && 2 * needs.rows_left <= table.rows();
  plan.consumer_fills = !remote && needs.rows_left <= 2 * needs.rows &&
                        window_per_stream * plan.window_row_bytes <= kConsumerFillsMax;
  const int64_t threads = needs.options.num_threads + (plan.consumer_fills ? 1 : 0);
  // Joining a window's gathered columns holds them twice for a moment.
  const int64_t joining =
      any_gathered ? threads * window_per_stream * plan.window_row_bytes : 0;
  const int64_t fixed_part = streams * pages + joining + table.footer_cache_bytes_used() +
                             threads * window_per_stream *
                                 (kPlacementBytes + kPickedBytes + window::kFillingBytes);
  // A tile: one column, and all that the filter reads, which may be all, with copies.
  const int64_t tile_row_bytes = needs.filtered ? 3 * row_bytes + 16 : 3 * widest_value;
  auto readers_with = [&](int64_t buffer, int64_t tile) {
    // A page may lie in one buffer while the next is filled.
    return fixed_part + 2 * chunks * buffer + (threads + streams) * tile * tile_row_bytes;
  };
  const int64_t small_tile =
      std::clamp<int64_t>(kSmallTileBytes / tile_row_bytes, 1, kSmallTileRows);
  plan.readers = readers_with(kReadBufferMin, small_tile);
  plan.floor_bytes = plan.windows + plan.readers + plan.batch;
  const int64_t budget = needs.options.memory_budget;
  if (budget < plan.floor_bytes) {
    return Error(ErrorKind::kResourceExhausted,
                 "memory_budget is " + std::to_string(budget) +
                     " bytes, expected at least " + std::to_string(plan.floor_bytes) +
                     ": " + std::to_string(plan.windows) + " for shuffle windows, " +
                     std::to_string(plan.batch) + " for a batch and " +
                     std::to_string(plan.readers) +
                     " for open pages; give more memory, fewer streams, or a smaller "
                     "shuffle_window_rows, batch_size or selection");
  }
  // A quarter of what is left goes into larger reads, another into keeping what is read
  // more than once, chunks or pages (two where each read takes long), an eighth into
  // steps that are assembled together, another into batches that wait, the rest into
  // running ahead.
  if (needs.part_rows && needs.options.batch_size % *needs.part_rows == 0) {
    const int64_t fit = (budget - plan.floor_bytes) / 8 / plan.batch;
    const int64_t batch = needs.options.batch_size;
    const int64_t wanted =
        std::max(std::min(kRowsTogether / batch, kStepsTogetherMax),
                 std::min(kLargeRowsTogether / batch, kLargeStepsTogether));
    plan.steps_together = std::max<int64_t>(std::min(wanted, fit), 1);
    plan.batch *= plan.steps_together;
  }
  const int64_t spare = (budget - plan.floor_bytes) / 4;
  plan.ready_max = std::max(
      kReadyMin,
      std::min(window_per_stream / (plan.steps_together * needs.options.batch_size),
               spare / 2 / plan.batch));
  plan.tile_rows = std::min(
      small_tile + spare / 2 / std::max<int64_t>(1, (threads + streams) * tile_row_bytes),
      kTileRowsMax);
  plan.read_buffer_bytes =
      std::clamp(kReadBufferMin + spare / 4 / std::max<int64_t>(1, chunks),
                 kReadBufferMin, remote ? kRemoteBufferMax : kReadBufferMax);
  plan.readers = readers_with(plan.read_buffer_bytes, plan.tile_rows);
  if (selective || remote) {
    plan.chunk_cache = remote ? 2 * spare : spare;
    if (!needs.filtered) {
      // For what streams have open, what they will have open next, and where they begin,
      // which is read again where others end.
      plan.chunk_cache = std::min(plan.chunk_cache, 3 * streams * group_bytes);
    }
    plan.readers += plan.chunk_cache;
  } else if (!needs.filtered) {
    // Those of the row groups that streams begin in.
    plan.shared_pages = std::min(spare, streams * group_bytes);
    plan.readers += plan.shared_pages;
  }
  return plan;
}

}  // namespace headrace::pipeline
