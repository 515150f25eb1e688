/// \file
/// Where values, or where they lie, are written.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <memory>

namespace headrace::window {

/// Rows that are being written: row i goes to element i of `values`.
struct Slot {
  uint8_t* values = nullptr;
  /// A byte a row: 1 where the value is there, 0 where it is null. All are 1 at first;
  /// the first call makes them.
  std::function<Result<uint8_t*>()> valid;
  /// Puts the rows where they belong, to be called once all are written; null: they are
  /// there.
  std::function<Status()> settle;
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

}  // namespace headrace::window
