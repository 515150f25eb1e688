#include "codec/image.h"

#include <algorithm>
#include <cstring>
#include <string>

#include <headrace/batch.h>
#include "codec/image_formats.h"

namespace headrace::codec {
namespace {

Result<ImageFormat> FormatOf(std::span<const uint8_t> image) {
  auto begins = [&](size_t at, std::string_view with) {
    return image.size() >= at + with.size() &&
           std::memcmp(image.data() + at, with.data(), with.size()) == 0;
  };
  if (begins(0, "\xFF\xD8\xFF")) return ImageFormat::kJpeg;
  if (begins(0, "\x89PNG\r\n\x1A\n")) return ImageFormat::kPng;
  if (begins(0, "RIFF") && begins(8, "WEBP")) return ImageFormat::kWebp;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string found;
  for (size_t i = 0; i < std::min<size_t>(image.size(), 8); ++i) {
    found += {' ', kDigits[image[i] >> 4], kDigits[image[i] & 15]};
  }
  return Error(ErrorKind::kUnsupported,
               "found " + std::to_string(image.size()) + " bytes" +
                   (found.empty() ? "" : " that begin with" + found) +
                   ", expected a JPEG, PNG or WebP image");
}

// Where the pixels of a decoded image go, by EXIF: (row, column) as stored of the pixel
// that is seen at (y, x).
struct Turn {
  int64_t height;  // as stored
  int64_t width;
  int orientation;

  int64_t StoredPixel(int64_t y, int64_t x) const {
    int64_t row = y, column = x;
    if (orientation > 4) std::swap(row, column);
    const bool from_right =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool from_below =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    if (from_right) column = width - 1 - column;
    if (from_below) row = height - 1 - row;
    return row * width + column;
  }
};

template <int kBytes>
void Orient(const Turn& turn, const uint8_t* in, uint8_t* out) {
  const bool turned = turn.orientation > 4;
  const int64_t height = turned ? turn.width : turn.height;
  const int64_t width = turned ? turn.height : turn.width;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      std::memcpy(out, in + turn.StoredPixel(y, x) * kBytes, kBytes);
      out += kBytes;
    }
  }
}

Status DecodeUnoriented(const Decoding& decoding, uint8_t* out) {
  switch (decoding.header->format) {
    case ImageFormat::kJpeg:
      return DecodeJpeg(decoding, out);
    case ImageFormat::kPng:
      return DecodePng(decoding, out);
    case ImageFormat::kWebp:
      return DecodeWebp(decoding, out);
  }
  return Error(ErrorKind::kInternal, "an image of no format");
}

}  // namespace

std::string_view ImageFormatName(ImageFormat format) {
  constexpr std::string_view kNames[] = {"jpeg", "png", "webp"};
  return kNames[static_cast<int>(format)];
}

int ChannelsOf(ImageMode mode, int stored) {
  switch (mode) {
    case ImageMode::kAsStored:
      return stored;
    case ImageMode::kGray:
      return 1;
    case ImageMode::kRgb:
      return 3;
    case ImageMode::kRgba:
      return 4;
  }
  return stored;
}

Result<ImageHeader> ReadImageHeader(std::span<const uint8_t> image, int64_t pixels_max) {
  ARROW_ASSIGN_OR_RAISE(const ImageFormat format, FormatOf(image));
  auto read = format == ImageFormat::kJpeg  ? ReadJpegHeader(image)
              : format == ImageFormat::kPng ? ReadPngHeader(image)
                                            : ReadWebpHeader(image);
  ARROW_ASSIGN_OR_RAISE(ImageHeader header, std::move(read));
  if (header.orientation > 4) std::swap(header.height, header.width);
  // Dimensions are below 2^31, so that the product holds.
  if (header.height * header.width > pixels_max) {
    return Error(ErrorKind::kInvalidArgument,
                 "its header claims " + std::to_string(header.height) + " x " +
                     std::to_string(header.width) + " pixels, expected at most " +
                     std::to_string(pixels_max) +
                     " in all: raise pixels_max if it is what it claims to be");
  }
  return header;
}

Status DecodeImage(std::span<const uint8_t> image, const ImageHeader& header,
                   const ImageDecodeOptions& options, arrow::MemoryPool* pool,
                   uint8_t* out) {
  const Decoding decoding{image, &header, options, pool};
  if (header.orientation == 1) return DecodeUnoriented(decoding, out);
  Turn turn;
  turn.orientation = header.orientation;
  turn.height = (header.height + options.scale - 1) / options.scale;
  turn.width = (header.width + options.scale - 1) / options.scale;
  if (header.orientation > 4) std::swap(turn.height, turn.width);
  const bool wide = header.dtype == DType::kUInt16 && !options.to_uint8;
  const int pixel_bytes = ChannelsOf(options.mode, header.channels) * (wide ? 2 : 1);
  ARROW_ASSIGN_OR_RAISE(
      auto stored, arrow::AllocateBuffer(turn.height * turn.width * pixel_bytes, pool));
  ARROW_RETURN_NOT_OK(DecodeUnoriented(decoding, stored->mutable_data()));
  switch (pixel_bytes) {
    case 1:
      Orient<1>(turn, stored->data(), out);
      break;
    case 2:
      Orient<2>(turn, stored->data(), out);
      break;
    case 3:
      Orient<3>(turn, stored->data(), out);
      break;
    case 4:
      Orient<4>(turn, stored->data(), out);
      break;
    case 6:
      Orient<6>(turn, stored->data(), out);
      break;
    default:
      Orient<8>(turn, stored->data(), out);
      break;
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::Buffer>> EncodeImage(const ImagePixels& pixels,
                                                   ImageFormat format, int quality,
                                                   arrow::MemoryPool* pool) {
  const bool alpha = pixels.channels == 4;
  const bool known = pixels.channels == 1 || pixels.channels == 3 || alpha;
  const bool wide = pixels.dtype == DType::kUInt16;
  const bool fits = known && (pixels.dtype == DType::kUInt8 || wide) &&
                    !(wide && format != ImageFormat::kPng) &&
                    !(alpha && format == ImageFormat::kJpeg) &&
                    !(pixels.channels == 1 && format == ImageFormat::kWebp);
  if (!fits || pixels.height < 1 || pixels.width < 1) {
    return Error(ErrorKind::kInvalidArgument,
                 std::string(ImageFormatName(format)) + " cannot hold " +
                     std::string(DTypeName(pixels.dtype)) + " of " +
                     std::to_string(pixels.height) + " x " +
                     std::to_string(pixels.width) + " x " +
                     std::to_string(pixels.channels) +
                     ": jpeg takes uint8 with 1 or 3 channels, png uint8 or uint16 with "
                     "1, 3 or 4, webp uint8 with 3 or 4");
  }
  switch (format) {
    case ImageFormat::kJpeg:
      return EncodeJpeg(pixels, quality, pool);
    case ImageFormat::kPng:
      return EncodePng(pixels, pool);
    case ImageFormat::kWebp:
      return EncodeWebp(pixels, quality, pool);
  }
  return Error(ErrorKind::kInternal, "an image of no format");
}

}  // namespace headrace::codec
