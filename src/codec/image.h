/// \file
/// Encoded images: JPEG, PNG and WebP, both ways, by libjpeg-turbo, libpng and libwebp.
///
/// All functions are thread-safe and hold nothing between calls.
#pragma once

#include <arrow/buffer.h>
#include <arrow/memory_pool.h>
#include <headrace/batch.h>
#include <headrace/image.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace headrace::codec {

enum class ImageFormat { kJpeg, kPng, kWebp };

/// "jpeg", "png", "webp".
std::string_view ImageFormatName(ImageFormat format);

using headrace::ImageMode;

/// Pixels that an image may have at most unless said otherwise, as a small file can claim
/// any size: what Pillow refuses as a "decompression bomb".
inline constexpr int64_t kPixelsMax = image::Decode{}.pixels_max;

/// What an image's header tells.
struct ImageHeader {
  ImageFormat format = ImageFormat::kJpeg;
  /// As the image is to be seen: after its EXIF orientation.
  int64_t height = 0;
  int64_t width = 0;
  /// Of ImageMode::kAsStored: 1, 3 or 4.
  int channels = 3;
  /// kUInt8, or kUInt16 for PNG of 16 bits.
  DType dtype = DType::kUInt8;
  /// EXIF, 1 to 8; 1: as stored.
  int orientation = 1;
};

/// The header of an image of whichever format; the type is told by the first bytes.
/// Errors: Corrupt; Unsupported (no such format); InvalidArgument (more than
/// `pixels_max` pixels).
Result<ImageHeader> ReadImageHeader(std::span<const uint8_t> image,
                                    int64_t pixels_max = kPixelsMax);

struct ImageDecodeOptions {
  ImageMode mode = ImageMode::kAsStored;
  /// 1, 2, 4 or 8: JPEG alone, whose blocks are decoded at 1/scale of their size, so that
  /// dimensions are divided and rounded up.
  int scale = 1;
  /// Images of 16 bits become 8, by their high bytes.
  bool to_uint8 = false;
};

/// Decodes to (height, width, channels) elements, C-contiguous, oriented. `out` has room
/// for ceil(height / scale) * ceil(width / scale) * channels of them. Scratch comes from
/// the pool. Corrupt where the image is cut off or damaged; `out` then holds anything.
/// REQUIRES: the header is that of the image; scale is 1 unless it is JPEG.
Status DecodeImage(std::span<const uint8_t> image, const ImageHeader& header,
                   const ImageDecodeOptions& options, arrow::MemoryPool* pool,
                   uint8_t* out);

/// Pixels to be encoded: (height, width, channels), C-contiguous.
struct ImagePixels {
  const uint8_t* data = nullptr;
  int64_t height = 0;
  int64_t width = 0;
  int channels = 3;             ///< 1, 3 or 4; JPEG: 1 or 3
  DType dtype = DType::kUInt8;  ///< PNG: or kUInt16
};

/// Encodes an image. `quality`, 1 to 100, is for JPEG and WebP. InvalidArgument where the
/// format cannot hold the pixels.
Result<std::shared_ptr<arrow::Buffer>> EncodeImage(const ImagePixels& pixels,
                                                   ImageFormat format, int quality,
                                                   arrow::MemoryPool* pool);

}  // namespace headrace::codec
