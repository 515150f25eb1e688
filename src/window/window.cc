#include "window/window.h"

#include <arrow/array/concatenate.h>
#include <arrow/compute/api.h>
#include <arrow/util/bit_util.h>

#include <cassert>
#include <cstring>
#include <utility>

namespace headrace::window {
namespace {

// Scatters elements of one width to their places; `place` null: in order from `at`.
template <typename T>
void Scatter(const uint8_t* in, int64_t n, const uint32_t* place, int64_t at,
             uint8_t* out) {
  const auto* from = reinterpret_cast<const T*>(in);
  auto* to = reinterpret_cast<T*>(out);
  if (place == nullptr) {
    std::memcpy(to + at, from, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < n; ++i) to[place[at + i]] = from[i];
}

void ScatterBits(const uint8_t* bits, int64_t bit_offset, int64_t n,
                 const uint32_t* place, int64_t at, uint8_t* out) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t to = place == nullptr ? at + i : place[at + i];
    out[to] = arrow::bit_util::GetBit(bits, bit_offset + i) ? 1 : 0;
  }
}

// Nulls are 0 in a window, so that a masked value is.
void ZeroNulls(const uint8_t* bits, int64_t bit_offset, int64_t n, const uint32_t* place,
               int64_t at, int64_t width, uint8_t* out) {
  for (int64_t i = 0; i < n; ++i) {
    if (arrow::bit_util::GetBit(bits, bit_offset + i)) continue;
    const int64_t to = place == nullptr ? at + i : place[at + i];
    std::memset(out + to * width, 0, static_cast<size_t>(width));
  }
}

}  // namespace

int64_t FixedColumnBytes(DType dtype, int64_t rows) {
  return rows * (ByteWidth(dtype) + 1);
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
  for (size_t c = 0; c < columns.size(); ++c) {
    if (!columns[c].fixed) {
      any_gathered = true;
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(
        window->kept_[c].values,
        arrow::AllocateBuffer(rows * ByteWidth(*columns[c].fixed), pool));
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
  Kept& kept = kept_[column];
  if (columns_[column].fixed)
    return PutFixed(&kept, *columns_[column].fixed, at, *values);
  kept.arrays.push_back(values);
  return Status::OK();
}

Status Window::PutFixed(Kept* kept, DType dtype, int64_t at, const arrow::Array& values) {
  const arrow::ArrayData& data = *values.data();
  const int64_t n = data.length;
  const uint32_t* place = placement_.empty() ? nullptr : placement_.data();
  const int64_t width = ByteWidth(dtype);
  uint8_t* out = kept->values->mutable_data();
  if (dtype == DType::kBool) {
    ScatterBits(data.buffers[1]->data(), data.offset, n, place, at, out);
  } else {
    const uint8_t* in = data.buffers[1]->data() + data.offset * width;
    switch (width) {
      case 1:
        Scatter<uint8_t>(in, n, place, at, out);
        break;
      case 2:
        Scatter<uint16_t>(in, n, place, at, out);
        break;
      case 4:
        Scatter<uint32_t>(in, n, place, at, out);
        break;
      default:
        Scatter<uint64_t>(in, n, place, at, out);
        break;
    }
  }
  if (values.null_count() == 0) return Status::OK();
  if (!kept->any_null) {
    ARROW_ASSIGN_OR_RAISE(kept->valid, arrow::AllocateBuffer(rows_, pool_));
    std::memset(kept->valid->mutable_data(), 1, static_cast<size_t>(rows_));
    kept->any_null = true;
  }
  ScatterBits(data.buffers[0]->data(), data.offset, n, place, at,
              kept->valid->mutable_data());
  ZeroNulls(data.buffers[0]->data(), data.offset, n, place, at, width, out);
  return Status::OK();
}

Status Window::MarkDamaged(size_t column, int64_t at, std::span<const uint8_t> damaged) {
  Kept& kept = kept_[column];
  if (kept.damaged == nullptr) {
    ARROW_ASSIGN_OR_RAISE(kept.damaged, arrow::AllocateBuffer(rows_, pool_));
    std::memset(kept.damaged->mutable_data(), 0, static_cast<size_t>(rows_));
  }
  const uint32_t* place = placement_.empty() ? nullptr : placement_.data();
  Scatter<uint8_t>(damaged.data(), static_cast<int64_t>(damaged.size()), place, at,
                   kept.damaged->mutable_data());
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
