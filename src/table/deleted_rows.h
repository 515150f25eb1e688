/// \file
/// DeletedRows: which rows of a file a table does not have any more.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace headrace::table {

/// A set of row numbers, counted in the file. Immutable; thread-safe.
class DeletedRows {
 public:
  /// A compressed bitmap; its definition is deleted_rows.cc's.
  struct Bitmap;

  explicit DeletedRows(std::span<const int64_t> rows);
  explicit DeletedRows(std::unique_ptr<Bitmap> bitmap);
  ~DeletedRows();

  int64_t count() const;
  /// How many of the rows [first, first + rows).
  int64_t CountIn(int64_t first, int64_t rows) const;
  /// Writes 0 for each of the rows [first, first + present.size()) that is deleted, and
  /// leaves the others.
  void Clear(int64_t first, std::span<uint8_t> present) const;

  /// Of a bitmap in the portable form of 64-bit roaring bitmaps; null if it is none.
  static std::shared_ptr<const DeletedRows> FromPortable(std::span<const uint8_t> bytes);

 private:
  std::unique_ptr<Bitmap> bitmap_;
};

}  // namespace headrace::table
