/// \file
/// Writing values, or where they lie, to their permuted places.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>

namespace headrace::window {

/// Rows that are being written: row i goes to element `place[i]` of `values`, or to
/// element i where `place` is null.
struct Slot {
  uint8_t* values = nullptr;
  const uint32_t* place = nullptr;
  /// A byte a row, at the same places: 1 where the value is there, 0 where it is null.
  /// All are 1 at first; the first call makes them.
  std::function<Result<uint8_t*>()> valid;

  int64_t PlaceOf(int64_t row) const { return place == nullptr ? row : place[row]; }
};

/// The bytes of a string or of a blob, which lie elsewhere; `data` is null for a null.
struct Cell {
  const uint8_t* data = nullptr;
  int64_t size = 0;
};

/// What is not null has a place, though it be empty.
inline Cell CellOf(const uint8_t* data, int64_t size) {
  static constexpr uint8_t kNothing = 0;
  return {data == nullptr ? &kNothing : data, size};
}

/// Cells that are being written: row i goes to `cells[place[i]]`, or to `cells[i]` where
/// `place` is null.
struct CellSlot {
  Cell* cells = nullptr;
  const uint32_t* place = nullptr;
  /// Has the window hold what cells' bytes lie in.
  std::function<void(std::shared_ptr<const void> memory)> keep;

  int64_t PlaceOf(int64_t row) const { return place == nullptr ? row : place[row]; }
};

/// How far ahead of a write its place is fetched: a processor commits writes in order, so
/// that one whose place is not in its first cache holds up all after it.
inline constexpr int64_t kPlacesAhead = 16;

/// Writes `n` elements from memory of any alignment to their places.
template <typename T>
void Scatter(const uint8_t* in, int64_t n, const uint32_t* place, uint8_t* out) {
  if (n == 0) return;
  if (place == nullptr) {
    std::memcpy(out, in, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  auto* to = reinterpret_cast<T*>(out);
  int64_t i = 0;
  auto write = [&] {
    T value;
    std::memcpy(&value, in + i * sizeof(T), sizeof(T));
    to[place[i]] = value;
  };
  for (; i < n - kPlacesAhead; ++i) {
    __builtin_prefetch(to + place[i + kPlacesAhead], 1);
    write();
  }
  for (; i < n; ++i) write();
}

}  // namespace headrace::window
