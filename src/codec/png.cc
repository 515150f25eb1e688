#include <png.h>

#include <csetjmp>
#include <cstring>
#include <string>
#include <vector>

#include "codec/image_formats.h"

// libpng leaves a failed call by longjmp, as libjpeg does: functions that set the jump
// hold nothing with a destructor.

namespace headrace::codec {
namespace {

constexpr int64_t kChunkBytesMax = 64 << 20;

struct PngErrors {
  std::string message;
};

[[noreturn]] void Leave(png_structp png, png_const_charp message) {
  static_cast<PngErrors*>(png_get_error_ptr(png))->message = message;
  png_longjmp(png, 1);
}

void Ignore(png_structp, png_const_charp) {}

struct Source {
  std::span<const uint8_t> left;
};

void ReadBytes(png_structp png, png_bytep out, size_t count) {
  auto* const source = static_cast<Source*>(png_get_io_ptr(png));
  if (source->left.size() < count) png_error(png, "it is cut off");
  std::memcpy(out, source->left.data(), count);
  source->left = source->left.subspan(count);
}

struct PngReader {
  PngErrors errors;
  Source source;
  png_structp png = nullptr;
  png_infop info = nullptr;

  explicit PngReader(std::span<const uint8_t> image) : source{image} {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &errors, Leave, Ignore);
    if (png != nullptr) info = png_create_info_struct(png);
  }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }

  Status Failure() const {
    return Error(ErrorKind::kCorrupt, "a damaged PNG: " + errors.message);
  }
};

bool ReadInfo(PngReader* reader) {
  if (reader->info == nullptr) return false;
  if (setjmp(png_jmpbuf(reader->png)) != 0) return false;
  png_set_read_fn(reader->png, &reader->source, ReadBytes);
  png_set_user_limits(reader->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_chunk_malloc_max(reader->png, kChunkBytesMax);
  png_read_info(reader->png, reader->info);
  return true;
}

bool HasAlpha(const PngReader& reader) {
  return (png_get_color_type(reader.png, reader.info) & PNG_COLOR_MASK_ALPHA) != 0 ||
         png_get_valid(reader.png, reader.info, PNG_INFO_tRNS) != 0;
}

bool HasColor(const PngReader& reader) {
  return (png_get_color_type(reader.png, reader.info) & PNG_COLOR_MASK_COLOR) != 0;
}

// Asks for `channels` of 8 or 16 bits in this machine's order.
bool SetTransforms(PngReader* reader, int channels, bool to_uint8) {
  if (setjmp(png_jmpbuf(reader->png)) != 0) return false;
  png_structp png = reader->png;
  const bool has_alpha = HasAlpha(*reader);
  const bool wide = png_get_bit_depth(png, reader->info) == 16 && !to_uint8;
  png_set_expand(png);
  if (to_uint8) png_set_strip_16(png);
  if (wide) png_set_swap(png);
  if (channels >= 3 && !HasColor(*reader)) png_set_gray_to_rgb(png);
  if (channels == 4 && !has_alpha) png_set_add_alpha(png, 0xFFFF, PNG_FILLER_AFTER);
  if (channels != 4 && has_alpha) png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, reader->info);
  return true;
}

bool ReadRows(PngReader* reader, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reader->png)) != 0) return false;
  png_read_image(reader->png, rows);
  png_read_end(reader->png, nullptr);
  return true;
}

struct PngWriter {
  PngErrors errors;
  std::vector<uint8_t> bytes;
  png_structp png = nullptr;
  png_infop info = nullptr;

  PngWriter() {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &errors, Leave, Ignore);
    if (png != nullptr) info = png_create_info_struct(png);
  }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
};

void WriteBytes(png_structp png, png_bytep data, size_t count) {
  auto* const bytes = static_cast<std::vector<uint8_t>*>(png_get_io_ptr(png));
  bytes->insert(bytes->end(), data, data + count);
}

void Flush(png_structp) {}

bool Write(const ImagePixels& pixels, PngWriter* writer) {
  if (writer->info == nullptr) return false;
  if (setjmp(png_jmpbuf(writer->png)) != 0) return false;
  png_structp png = writer->png;
  const bool wide = pixels.dtype == DType::kUInt16;
  png_set_write_fn(png, &writer->bytes, WriteBytes, Flush);
  const int color = pixels.channels == 1   ? PNG_COLOR_TYPE_GRAY
                    : pixels.channels == 3 ? PNG_COLOR_TYPE_RGB
                                           : PNG_COLOR_TYPE_RGB_ALPHA;
  png_set_IHDR(png, writer->info, static_cast<png_uint_32>(pixels.width),
               static_cast<png_uint_32>(pixels.height), wide ? 16 : 8, color,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, writer->info);
  if (wide) png_set_swap(png);
  const int64_t row_bytes = pixels.width * pixels.channels * (wide ? 2 : 1);
  for (int64_t y = 0; y < pixels.height; ++y) {
    png_write_row(png, pixels.data + y * row_bytes);
  }
  png_write_end(png, nullptr);
  return true;
}

}  // namespace

Result<ImageHeader> ReadPngHeader(std::span<const uint8_t> image) {
  PngReader reader(image);
  if (!ReadInfo(&reader)) return reader.Failure();
  ImageHeader header;
  header.format = ImageFormat::kPng;
  header.height = png_get_image_height(reader.png, reader.info);
  header.width = png_get_image_width(reader.png, reader.info);
  header.channels = HasAlpha(reader) ? 4 : HasColor(reader) ? 3 : 1;
  if (png_get_bit_depth(reader.png, reader.info) == 16) header.dtype = DType::kUInt16;
  png_bytep exif = nullptr;
  png_uint_32 exif_bytes = 0;
  if (png_get_eXIf_1(reader.png, reader.info, &exif_bytes, &exif) != 0) {
    header.orientation = ExifOrientation({exif, exif_bytes});
  }
  return header;
}

Status DecodePng(const Decoding& decoding, uint8_t* out) {
  const ImageHeader& header = *decoding.header;
  PngReader reader(decoding.image);
  if (!ReadInfo(&reader)) return reader.Failure();
  // Gray is made of RGB by our own luma; libpng's is another.
  const int channels = ChannelsOf(decoding.options.mode, header.channels);
  const bool to_gray = channels == 1 && HasColor(reader);
  if (!SetTransforms(&reader, to_gray ? 3 : channels, decoding.options.to_uint8)) {
    return reader.Failure();
  }
  const int64_t width = png_get_image_width(reader.png, reader.info);
  const int64_t height = png_get_image_height(reader.png, reader.info);
  const bool wide = header.dtype == DType::kUInt16 && !decoding.options.to_uint8;
  const int64_t row_bytes = width * (to_gray ? 3 : channels) * (wide ? 2 : 1);
  if (static_cast<int64_t>(png_get_rowbytes(reader.png, reader.info)) != row_bytes) {
    return Error(ErrorKind::kInternal, "libpng gives rows of another size than expected");
  }
  std::shared_ptr<arrow::Buffer> rgb;
  uint8_t* pixels = out;
  if (to_gray) {
    ARROW_ASSIGN_OR_RAISE(rgb, arrow::AllocateBuffer(height * row_bytes, decoding.pool));
    pixels = rgb->mutable_data();
  }
  std::vector<png_bytep> rows(static_cast<size_t>(height));
  for (size_t y = 0; y < rows.size(); ++y) {
    rows[y] = pixels + static_cast<int64_t>(y) * row_bytes;
  }
  if (!ReadRows(&reader, rows.data())) return reader.Failure();
  if (!to_gray) return Status::OK();
  if (wide) {
    ToGray(reinterpret_cast<const uint16_t*>(pixels), width * height,
           reinterpret_cast<uint16_t*>(out));
  } else {
    ToGray(pixels, width * height, out);
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::Buffer>> EncodePng(const ImagePixels& pixels,
                                                 arrow::MemoryPool* pool) {
  PngWriter writer;
  if (!Write(pixels, &writer)) {
    return Error(ErrorKind::kInvalidArgument,
                 "no PNG can be made of it: " + writer.errors.message);
  }
  ARROW_ASSIGN_OR_RAISE(
      std::shared_ptr<arrow::Buffer> encoded,
      arrow::AllocateBuffer(static_cast<int64_t>(writer.bytes.size()), pool));
  std::memcpy(encoded->mutable_data(), writer.bytes.data(), writer.bytes.size());
  return encoded;
}

}  // namespace headrace::codec
