#include "reader/cell_source.h"

#include <arrow/buffer.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "reader/page_walk.h"

namespace headrace::reader {
namespace {

using parquet::ByteArray;
using window::CellSlot;

// Blocks of much the same size are used again for each other.
constexpr int64_t kBlockBytes = 256 << 10;

class CellSource : public ColumnSource {
 public:
  CellSource(const ReadContext& context, const parquet::ColumnDescriptor* descriptor,
             ChunkPages pages, int64_t first_row)
      : pool_(context.pool),
        lasting_(pages.lasting),
        walk_(context, descriptor, std::move(pages), first_row) {}

  Result<std::shared_ptr<arrow::Array>> Read(int64_t) override {
    return Error(ErrorKind::kInternal, "cells of this column are placed, not read");
  }
  void Skip(int64_t rows) override { walk_.Skip(rows); }
  DecodePath path() const override { return DecodePath::kCells; }
  bool CanPlaceCells() const override { return true; }

  Status PlaceCells(int64_t rows, const CellSlot& slot) override {
    return walk_.TakeRows(rows, [&](int64_t at, int64_t n) -> Status {
      const parquet::DataPage& page = walk_.page();
      const bool keep = lasting_ && page.encoding() == parquet::Encoding::PLAIN &&
                        2 * n >= page.num_values();
      if (keep) slot.keep(page.buffer());
      for (int64_t end = at + n; at < end; at += kPageTileRows) {
        ARROW_RETURN_NOT_OK(
            PlaceTile(at, std::min(end - at, kPageTileRows), !keep, slot));
      }
      return Status::OK();
    });
  }

 private:
  Status PlaceTile(int64_t at, int64_t rows, bool copy, const CellSlot& slot) {
    std::array<ByteArray, kPageTileRows> tile;
    std::array<bool, kPageTileRows> there;
    int64_t count = rows;
    const bool all = walk_.levels().all_there();
    if (!all) {
      ARROW_ASSIGN_OR_RAISE(count, walk_.levels().Next(rows, there.data()));
    }
    ARROW_RETURN_NOT_OK(walk_.values().Decode(count, tile.data()));
    if (copy) {
      ARROW_RETURN_NOT_OK(Copy(std::span(tile).first(static_cast<size_t>(count)), slot));
    }
    const ByteArray* next = tile.data();
    for (int64_t i = 0; i < rows; ++i) {
      window::Cell& cell = slot.cells[slot.PlaceOf(at + i)];
      if (all || there[static_cast<size_t>(i)]) {
        cell = window::CellOf(next->ptr, next->len);
        ++next;
      } else {
        cell = {};
      }
    }
    return Status::OK();
  }

  // Has values point into memory of their own, which the window holds: a block for as
  // many as fit.
  Status Copy(std::span<ByteArray> values, const CellSlot& slot) {
    while (!values.empty()) {
      int64_t bytes = values[0].len;
      size_t count = 1;
      while (count < values.size() && bytes + values[count].len <= kBlockBytes) {
        bytes += values[count++].len;
      }
      ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> block,
                            arrow::AllocateBuffer(bytes, pool_));
      uint8_t* out = block->mutable_data();
      for (ByteArray& value : values.first(count)) {
        if (value.len > 0) std::memcpy(out, value.ptr, value.len);
        value.ptr = out;
        out += value.len;
      }
      slot.keep(std::move(block));
      values = values.subspan(count);
    }
    return Status::OK();
  }

  arrow::MemoryPool* pool_;
  bool lasting_;
  PageWalk<parquet::ByteArrayType> walk_;
};

}  // namespace

std::unique_ptr<ColumnSource> MakeCellSource(const ReadContext& context,
                                             const parquet::ColumnDescriptor* descriptor,
                                             ChunkPages pages, int64_t first_row) {
  return std::make_unique<CellSource>(context, descriptor, std::move(pages), first_row);
}

}  // namespace headrace::reader
