#include "window/window.h"

#include <arrow/array/concatenate.h>
#include <arrow/compute/api.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "schema/text.h"

namespace headrace::window {
namespace {

void ScatterBits(const uint8_t* bits, int64_t bit_offset, int64_t n, const Slot& slot,
                 uint8_t* out) {
  for (int64_t i = 0; i < n; ++i) {
    out[slot.PlaceOf(i)] = arrow::bit_util::GetBit(bits, bit_offset + i) ? 1 : 0;
  }
}

// Nulls are 0 in a window, so that a masked value is.
void ZeroNulls(const uint8_t* bits, int64_t bit_offset, int64_t n, const Slot& slot,
               int64_t width) {
  for (int64_t i = 0; i < n; ++i) {
    if (arrow::bit_util::GetBit(bits, bit_offset + i)) continue;
    std::memset(slot.values + slot.PlaceOf(i) * width, 0, static_cast<size_t>(width));
  }
}

// Columns of a page and more begin at different places of a page, this many bytes apart:
// the same rows of many columns, which are read side by side, would else fall on the same
// few lines of a cache ("cache colouring": Bonwick, "The slab allocator", 1994).
constexpr int64_t kColour = 256;
constexpr int64_t kPage = 4096;

int64_t RoundUp(int64_t bytes, int64_t to) { return (bytes + to - 1) / to * to; }

// What the values of a column take of the window's slab.
int64_t SlabBytes(DType dtype, int64_t rows) {
  const int64_t bytes = rows * ByteWidth(dtype);
  return bytes < kPage ? RoundUp(bytes, 8) : RoundUp(bytes, 64) + kColour;
}

}  // namespace

int64_t FixedColumnBytes(DType dtype, int64_t rows) {
  return SlabBytes(dtype, rows) + rows;
}

Result<std::unique_ptr<Window>> Window::Make(const std::vector<WindowColumn>& columns,
                                             int64_t rows,
                                             std::span<const uint32_t> placement,
                                             arrow::MemoryPool* pool) {
  assert(placement.empty() || static_cast<int64_t>(placement.size()) == rows);
  std::unique_ptr<Window> window(new Window());
  window->columns_ = columns;
  window->kept_.resize(columns.size());
  window->rows_ = rows;
  window->placement_ = placement;
  window->pool_ = pool;
  bool any_gathered = false;
  int64_t slab_bytes = 0;
  for (const WindowColumn& column : columns) {
    if (column.fixed) slab_bytes += SlabBytes(*column.fixed, rows);
    any_gathered |= column.gathered();
  }
  ARROW_ASSIGN_OR_RAISE(const std::shared_ptr<arrow::Buffer> slab,
                        arrow::AllocateBuffer(slab_bytes, pool));
  int64_t used = 0;
  for (size_t c = 0; c < columns.size(); ++c) {
    if (columns[c].cells) {
      ARROW_ASSIGN_OR_RAISE(window->kept_[c].values,
                            arrow::AllocateBuffer(rows * kCellBytes, pool));
    }
    if (!columns[c].fixed) continue;
    const DType dtype = *columns[c].fixed;
    window->kept_[c].values =
        arrow::SliceMutableBuffer(slab, used, rows * ByteWidth(dtype));
    used += SlabBytes(dtype, rows);
  }
  if (any_gathered) {
    ARROW_ASSIGN_OR_RAISE(window->inverse_, arrow::AllocateBuffer(rows * 4, pool));
    auto* inverse = reinterpret_cast<uint32_t*>(window->inverse_->mutable_data());
    for (int64_t j = 0; j < rows; ++j) {
      const int64_t place = placement.empty() ? j : placement[static_cast<size_t>(j)];
      inverse[place] = static_cast<uint32_t>(j);
    }
  }
  return window;
}

Status Window::Put(size_t column, int64_t at,
                   const std::shared_ptr<arrow::Array>& values) {
  assert(at + values->length() <= rows_);
  if (is_fixed(column)) return PutFixed(column, SlotOf(column, at), *values);
  if (is_cells(column)) return PutCells(CellSlotOf(column, at), values);
  kept_[column].arrays.push_back(values);
  return Status::OK();
}

Slot Window::SlotOf(size_t column, int64_t at) {
  Kept& kept = kept_[column];
  Slot slot;
  slot.values = kept.values->mutable_data();
  int64_t skipped = 0;
  if (placement_.empty()) {
    slot.values += at * ByteWidth(*columns_[column].fixed);
    skipped = at;
  } else {
    slot.place = placement_.data() + at;
  }
  slot.valid = [this, &kept, skipped]() -> Result<uint8_t*> {
    if (!kept.any_null) {
      ARROW_ASSIGN_OR_RAISE(kept.valid, arrow::AllocateBuffer(rows_, pool_));
      std::memset(kept.valid->mutable_data(), 1, static_cast<size_t>(rows_));
      kept.any_null = true;
    }
    return kept.valid->mutable_data() + skipped;
  };
  return slot;
}

CellSlot Window::CellSlotOf(size_t column, int64_t at) {
  Kept& kept = kept_[column];
  CellSlot slot;
  slot.cells = reinterpret_cast<Cell*>(kept.values->mutable_data());
  if (placement_.empty()) {
    slot.cells += at;
  } else {
    slot.place = placement_.data() + at;
  }
  slot.keep = [&kept](std::shared_ptr<const void> memory) {
    kept.memories.push_back(std::move(memory));
  };
  return slot;
}

Status Window::PutCells(const CellSlot& slot,
                        const std::shared_ptr<arrow::Array>& values) {
  ARROW_ASSIGN_OR_RAISE(auto plain, schema::PlainText(values, pool_));
  for (int64_t i = 0; i < plain->length(); ++i) {
    const auto bytes = schema::TextAt(*plain, i);
    Cell& cell = slot.cells[slot.PlaceOf(i)];
    cell = bytes ? CellOf(bytes->data(), std::ssize(*bytes)) : Cell{};
  }
  slot.keep(std::move(plain));
  return Status::OK();
}

Status Window::PutFixed(size_t column, const Slot& slot, const arrow::Array& values) {
  const DType dtype = *columns_[column].fixed;
  const arrow::ArrayData& data = *values.data();
  const int64_t n = data.length;
  const int64_t width = ByteWidth(dtype);
  if (dtype == DType::kBool) {
    ScatterBits(data.buffers[1]->data(), data.offset, n, slot, slot.values);
  } else {
    const uint8_t* in = data.buffers[1]->data() + data.offset * width;
    switch (width) {
      case 1:
        Scatter<uint8_t>(in, n, slot.place, slot.values);
        break;
      case 2:
        Scatter<uint16_t>(in, n, slot.place, slot.values);
        break;
      case 4:
        Scatter<uint32_t>(in, n, slot.place, slot.values);
        break;
      default:
        Scatter<uint64_t>(in, n, slot.place, slot.values);
        break;
    }
  }
  if (values.null_count() == 0) {
    // What was placed there before may have been null.
    if (!kept_[column].any_null) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(uint8_t* const valid, slot.valid());
    for (int64_t i = 0; i < n; ++i) valid[slot.PlaceOf(i)] = 1;
    return Status::OK();
  }
  ARROW_ASSIGN_OR_RAISE(uint8_t* const valid, slot.valid());
  ScatterBits(data.buffers[0]->data(), data.offset, n, slot, valid);
  ZeroNulls(data.buffers[0]->data(), data.offset, n, slot, width);
  return Status::OK();
}

Status Window::MarkDamaged(size_t column, int64_t at, std::span<const uint8_t> damaged) {
  Kept& kept = kept_[column];
  if (kept.damaged == nullptr) {
    ARROW_ASSIGN_OR_RAISE(kept.damaged, arrow::AllocateBuffer(rows_, pool_));
    std::memset(kept.damaged->mutable_data(), 0, static_cast<size_t>(rows_));
  }
  uint8_t* const out = kept.damaged->mutable_data();
  for (size_t i = 0; i < damaged.size(); ++i) {
    const int64_t row = at + static_cast<int64_t>(i);
    out[placement_.empty() ? row : placement_[static_cast<size_t>(row)]] = damaged[i];
  }
  return Status::OK();
}

Status Window::Seal() {
  for (Kept& kept : kept_) {
    if (kept.arrays.size() < 2) continue;
    ARROW_ASSIGN_OR_RAISE(auto joined, arrow::Concatenate(kept.arrays, pool_));
    kept.arrays = {std::move(joined)};
  }
  placement_ = {};
  return Status::OK();
}

Result<std::shared_ptr<arrow::Array>> Window::Gather(size_t column, int64_t from,
                                                     int64_t rows,
                                                     arrow::MemoryPool* pool) const {
  assert(from + rows <= rows_);
  const auto& values = kept_[column].arrays[0];
  auto indices = arrow::ArrayData::Make(
      arrow::uint32(), rows, {nullptr, arrow::SliceBuffer(inverse_, from * 4, rows * 4)},
      /*null_count=*/0);
  arrow::compute::ExecContext exec(pool);
  ARROW_ASSIGN_OR_RAISE(
      auto taken,
      arrow::compute::Take(arrow::Datum(values), arrow::Datum(std::move(indices)),
                           arrow::compute::TakeOptions::NoBoundsCheck(), &exec));
  return taken.make_array();
}

}  // namespace headrace::window
