#include <cstring>

#include "codec/image_formats.h"

namespace headrace::codec {
namespace {

constexpr uint16_t kOrientationTag = 0x0112;
constexpr uint16_t kShort = 3;

// Numbers of a TIFF structure, whose first two bytes say which order they are in.
struct Tiff {
  std::span<const uint8_t> bytes;
  bool big_endian = false;

  uint32_t Number(size_t at, size_t width) const {
    if (at > bytes.size() || bytes.size() - at < width) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < width; ++i) {
      const size_t from = big_endian ? at + i : at + width - 1 - i;
      value = value << 8 | bytes[from];
    }
    return value;
  }
};

}  // namespace

// The tag is in the first directory (Exif 2.3, sections 4.5.2 and 4.6.2): a count of
// entries of 12 bytes, each a tag, a type, a count and a value.
int ExifOrientation(std::span<const uint8_t> exif) {
  if (exif.size() < 8) return 1;
  Tiff tiff{exif, false};
  if (std::memcmp(exif.data(), "MM", 2) == 0) {
    tiff.big_endian = true;
  } else if (std::memcmp(exif.data(), "II", 2) != 0) {
    return 1;
  }
  if (tiff.Number(2, 2) != 42) return 1;
  const size_t directory = tiff.Number(4, 4);
  const size_t entries = tiff.Number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > exif.size()) return 1;
    if (tiff.Number(entry, 2) != kOrientationTag) continue;
    const uint32_t value = tiff.Number(entry + 8, 2);
    const bool known = tiff.Number(entry + 2, 2) == kShort && value >= 1 && value <= 8;
    return known ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace headrace::codec
