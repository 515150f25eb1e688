/// \file
/// One image library each, behind the same functions: what image.cc chooses from. None
/// knows of orientation.
#pragma once

#include <arrow/memory_pool.h>

#include "codec/image.h"

namespace headrace::codec {

/// The pixels as stored, unoriented.
struct Decoding {
  std::span<const uint8_t> image;
  const ImageHeader* header = nullptr;
  ImageDecodeOptions options;
  arrow::MemoryPool* pool = nullptr;
};

Result<ImageHeader> ReadJpegHeader(std::span<const uint8_t> image);
/// Rows of `row_pixels` pixels and the channels of the mode, one after the other.
Status DecodeJpeg(const Decoding& decoding, uint8_t* out);
Result<std::shared_ptr<arrow::Buffer>> EncodeJpeg(const ImagePixels& pixels, int quality,
                                                  arrow::MemoryPool* pool);

Result<ImageHeader> ReadPngHeader(std::span<const uint8_t> image);
Status DecodePng(const Decoding& decoding, uint8_t* out);
Result<std::shared_ptr<arrow::Buffer>> EncodePng(const ImagePixels& pixels,
                                                 arrow::MemoryPool* pool);

Result<ImageHeader> ReadWebpHeader(std::span<const uint8_t> image);
Status DecodeWebp(const Decoding& decoding, uint8_t* out);
Result<std::shared_ptr<arrow::Buffer>> EncodeWebp(const ImagePixels& pixels, int quality,
                                                  arrow::MemoryPool* pool);

/// 1 to 8 of the EXIF block, without its "Exif\0\0"; 1 where it says nothing.
int ExifOrientation(std::span<const uint8_t> exif);

/// Channels of an image of `stored` channels in a mode.
int ChannelsOf(ImageMode mode, int stored);

/// ITU-R 601 luma of RGB pixels, as Pillow rounds it.
template <typename T>
void ToGray(const T* rgb, int64_t pixels, T* gray) {
  for (int64_t i = 0; i < pixels; ++i) {
    const T* const p = rgb + 3 * i;
    const uint64_t sum =
        uint64_t{19595} * p[0] + uint64_t{38470} * p[1] + uint64_t{7471} * p[2] + 0x8000;
    gray[i] = static_cast<T>(sum >> 16);
  }
}

}  // namespace headrace::codec
