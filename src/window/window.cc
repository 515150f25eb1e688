#include "window/window.h"

#include <arrow/array/concatenate.h>
#include <arrow/compute/api.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "base/with_width.h"
#include "schema/text.h"

namespace headrace::window {
namespace {

// How far ahead of a write its place is fetched: a processor commits writes in order, so
// that one whose place is not in its first cache holds up all after it.
constexpr int64_t kPlacesAhead = 16;

// Writes `n` elements to their places; null: one after the other.
template <typename T>
void Scatter(const uint8_t* in, int64_t n, const uint32_t* place, uint8_t* out) {
  if (place == nullptr) {
    std::memcpy(out, in, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  const auto* from = reinterpret_cast<const T*>(in);
  auto* to = reinterpret_cast<T*>(out);
  int64_t i = 0;
  for (; i < n - kPlacesAhead; ++i) {
    __builtin_prefetch(to + place[i + kPlacesAhead], 1);
    to[place[i]] = from[i];
  }
  for (; i < n; ++i) to[place[i]] = from[i];
}

// Reads, unlike writes, need not wait for each other: out of a second-level cache they
// are two to three times as fast. But what goes where must be known by place.
template <typename T>
void Permute(const uint8_t* in, std::span<const uint32_t> from,
             std::span<const uint32_t> to, uint8_t* out) {
  const auto* const values = reinterpret_cast<const T*>(in);
  auto* const placed = reinterpret_cast<T*>(out);
  const size_t n = from.size();
  if (to.empty()) {
    for (size_t i = 0; i < n; ++i) placed[i] = values[from[i]];
  } else {
    for (size_t i = 0; i < n; ++i) placed[to[i]] = values[from[i]];
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
    if (column.fixed) {
      slab_bytes += SlabBytes(*column.fixed, rows);
      ++window->fixed_;
    }
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
    ARROW_ASSIGN_OR_RAISE(window->inverse_, window->Inverse());
  }
  return window;
}

Status Window::Put(size_t column, int64_t at,
                   const std::shared_ptr<arrow::Array>& values) {
  assert(at + values->length() <= rows_);
  if (is_fixed(column)) return PutFixed(column, at, *values);
  if (is_cells(column)) return PutCells(CellSlotOf(column, at), values);
  kept_[column].arrays.push_back(values);
  return Status::OK();
}

Result<std::shared_ptr<arrow::Buffer>> Window::Inverse() const {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> inverse,
                        arrow::AllocateBuffer(rows_ * 4, pool_));
  auto* const rows = inverse->mutable_data_as<uint32_t>();
  for (int64_t j = 0; j < rows_; ++j) rows[PlaceOf(j)] = static_cast<uint32_t>(j);
  return inverse;
}

Result<uint8_t*> Window::ValidOf(size_t column) {
  Kept& kept = kept_[column];
  if (!kept.any_null) {
    ARROW_ASSIGN_OR_RAISE(kept.valid, arrow::AllocateBuffer(rows_, pool_));
    std::memset(kept.valid->mutable_data(), 1, static_cast<size_t>(rows_));
    kept.any_null = true;
  }
  return kept.valid->mutable_data();
}

Result<Slot> Window::SlotOf(size_t column, int64_t at, int64_t rows) {
  Slot slot;
  if (placement_.empty()) {
    slot.values =
        kept_[column].values->mutable_data() + at * ByteWidth(*columns_[column].fixed);
    slot.valid = [this, column, at]() -> Result<uint8_t*> {
      ARROW_ASSIGN_OR_RAISE(uint8_t* const valid, ValidOf(column));
      return valid + at;
    };
    return slot;
  }
  if (filling_.values == nullptr) {
    ARROW_ASSIGN_OR_RAISE(filling_.values, arrow::AllocateBuffer(rows_ * 8, pool_));
  }
  filling_.any_null = false;
  slot.values = filling_.values->mutable_data();
  slot.valid = [this, rows]() -> Result<uint8_t*> {
    if (filling_.valid == nullptr) {
      ARROW_ASSIGN_OR_RAISE(filling_.valid, arrow::AllocateBuffer(rows_, pool_));
    }
    uint8_t* const valid = filling_.valid->mutable_data();
    if (!filling_.any_null) std::memset(valid, 1, static_cast<size_t>(rows));
    filling_.any_null = true;
    return valid;
  };
  slot.settle = [this, column, at, rows] { return Settle(column, at, rows); };
  return slot;
}

Result<Window::Moves> Window::MovesOf(int64_t at, int64_t rows) {
  if (inverse_ == nullptr) {
    ARROW_ASSIGN_OR_RAISE(inverse_, Inverse());
  }
  const auto* const inverse = inverse_->data_as<uint32_t>();
  const auto count = static_cast<size_t>(rows);
  if (rows == rows_) return Moves{{inverse, count}, {}};
  if (filling_.moves == nullptr) {
    // One more of each, which is written and not kept.
    ARROW_ASSIGN_OR_RAISE(filling_.moves,
                          arrow::AllocateBuffer((rows_ + 1) * 2 * 4, pool_));
  }
  auto* const from = filling_.moves->mutable_data_as<uint32_t>();
  uint32_t* const to = from + rows_ + 1;
  if (filling_.at != at || filling_.rows != rows) {
    filling_.at = at;
    filling_.rows = rows;
    size_t found = 0;
    for (int64_t place = 0; place < rows_; ++place) {
      const uint32_t row = inverse[place] - static_cast<uint32_t>(at);
      from[found] = row;
      to[found] = static_cast<uint32_t>(place);
      found += row < static_cast<uint32_t>(rows) ? 1 : 0;
    }
    assert(found == count);
  }
  return Moves{{from, count}, {to, count}};
}

Status Window::Settle(size_t column, int64_t at, int64_t rows) {
  uint8_t* valid = nullptr;
  if (filling_.any_null) {
    ARROW_ASSIGN_OR_RAISE(valid, ValidOf(column));
  }
  // To find what goes where passes over the window's rows, for all columns once, and a
  // row takes twice what its permuting saves.
  const bool permutes = rows * fixed_ >= 2 * rows_;
  Moves moves;
  if (permutes) {
    ARROW_ASSIGN_OR_RAISE(moves, MovesOf(at, rows));
  }
  const auto put = [&]<typename T>(T, const arrow::Buffer& in, uint8_t* out) {
    if (permutes) {
      Permute<T>(in.data(), moves.from, moves.to, out);
    } else {
      Scatter<T>(in.data(), rows, placement_.data() + at, out);
    }
  };
  uint8_t* const values = kept_[column].values->mutable_data();
  base::WithWidth(ByteWidth(*columns_[column].fixed),
                  [&]<typename T>(T width) { put(width, *filling_.values, values); });
  if (valid != nullptr) put(uint8_t{}, *filling_.valid, valid);
  return Status::OK();
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

Status Window::PutFixed(size_t column, int64_t at, const arrow::Array& values) {
  const DType dtype = *columns_[column].fixed;
  const arrow::ArrayData& data = *values.data();
  const int64_t n = data.length;
  const int64_t width = ByteWidth(dtype);
  uint8_t* const out = kept_[column].values->mutable_data();
  if (dtype == DType::kBool) {
    for (int64_t i = 0; i < n; ++i) {
      out[PlaceOf(at + i)] =
          arrow::bit_util::GetBit(data.buffers[1]->data(), data.offset + i) ? 1 : 0;
    }
  } else if (n > 0) {
    const uint32_t* const place = placement_.empty() ? nullptr : placement_.data() + at;
    base::WithWidth(width, [&]<typename T>(T) {
      Scatter<T>(data.buffers[1]->data() + data.offset * width, n, place,
                 place == nullptr ? out + at * width : out);
    });
  }
  // What was written there before may have been null.
  if (values.null_count() == 0 && !kept_[column].any_null) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(uint8_t* const valid, ValidOf(column));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t place = PlaceOf(at + i);
    valid[place] = values.IsValid(i) ? 1 : 0;
    // Nulls are 0 in a window, so that a masked value is.
    if (valid[place] == 0) {
      std::memset(out + place * width, 0, static_cast<size_t>(width));
    }
  }
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
    out[PlaceOf(at + static_cast<int64_t>(i))] = damaged[i];
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
  filling_ = {};
  if (std::ranges::none_of(columns_, &WindowColumn::gathered)) inverse_.reset();
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
