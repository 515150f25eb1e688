#include "table/deleted_rows.h"

#include <roaring/roaring64map.hh>

#include <cstring>
#include <exception>
#include <limits>
#include <utility>

namespace headrace::table {

struct DeletedRows::Bitmap {
  ::Roaring64Map rows;
};

DeletedRows::DeletedRows(std::span<const int64_t> rows)
    : bitmap_(std::make_unique<Bitmap>()) {
  for (const int64_t row : rows) bitmap_->rows.add(static_cast<uint64_t>(row));
}

DeletedRows::DeletedRows(std::unique_ptr<Bitmap> bitmap) : bitmap_(std::move(bitmap)) {}
DeletedRows::~DeletedRows() = default;

int64_t DeletedRows::count() const {
  return static_cast<int64_t>(bitmap_->rows.cardinality());
}

int64_t DeletedRows::CountIn(int64_t first, int64_t rows) const {
  if (rows <= 0) return 0;
  // rank(x) counts the members up to and with x.
  const auto last = static_cast<uint64_t>(first + rows - 1);
  const uint64_t before =
      first == 0 ? 0 : bitmap_->rows.rank(static_cast<uint64_t>(first - 1));
  return static_cast<int64_t>(bitmap_->rows.rank(last) - before);
}

void DeletedRows::Clear(int64_t first, std::span<uint8_t> present) const {
  auto it = bitmap_->rows.begin();
  if (!it.move(static_cast<uint64_t>(first))) return;
  for (const auto end = bitmap_->rows.end(); it != end; ++it) {
    const uint64_t at = *it - static_cast<uint64_t>(first);
    if (at >= present.size()) return;
    present[at] = 0;
  }
}

std::shared_ptr<const DeletedRows> DeletedRows::FromPortable(
    std::span<const uint8_t> bytes) {
  // The count of 32-bit maps; each is its high 32 bits, and a 32-bit bitmap.
  uint64_t maps = 0;
  if (bytes.size() < sizeof(maps)) return nullptr;
  std::memcpy(&maps, bytes.data(), sizeof(maps));
  bytes = bytes.subspan(sizeof(maps));
  auto bitmap = std::make_unique<Bitmap>();
  int64_t high_before = -1;
  for (uint64_t m = 0; m < maps; ++m) {
    uint32_t high = 0;
    if (bytes.size() < sizeof(high)) return nullptr;
    std::memcpy(&high, bytes.data(), sizeof(high));
    bytes = bytes.subspan(sizeof(high));
    const auto* data = reinterpret_cast<const char*>(bytes.data());
    const size_t size = roaring_bitmap_portable_deserialize_size(data, bytes.size());
    if (size == 0 || high <= high_before || high > std::numeric_limits<int32_t>::max()) {
      return nullptr;
    }
    high_before = high;
    try {
      const ::Roaring low = ::Roaring::readSafe(data, bytes.size());
      for (const uint32_t row : low) {
        bitmap->rows.add((static_cast<uint64_t>(high) << 32) + row);
      }
    } catch (const std::exception&) {
      return nullptr;
    }
    bytes = bytes.subspan(size);
  }
  if (!bytes.empty()) return nullptr;
  bitmap->rows.runOptimize();
  return std::make_shared<const DeletedRows>(std::move(bitmap));
}

}  // namespace headrace::table
