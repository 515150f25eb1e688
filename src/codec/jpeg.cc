// libjpeg's headers need those before them.
// clang-format off
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <string>

#include "codec/image_formats.h"

// libjpeg leaves a failed call by longjmp. Functions that set the jump hold nothing with
// a destructor: what they need belongs to their callers.

namespace headrace::codec {
namespace {

// A few kilobytes of progressive JPEG can ask for the whole picture to be gone over
// thousands of times.
constexpr int kScansMax = 500;
constexpr uint8_t kExif[] = {'E', 'x', 'i', 'f', 0, 0};

struct JpegErrors {
  jpeg_error_mgr base;  // first: libjpeg sees this alone
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  bool damaged;  // decoded, but not all of it
};

JpegErrors* ErrorsOf(j_common_ptr info) {
  return reinterpret_cast<JpegErrors*>(info->err);
}

[[noreturn]] void Leave(j_common_ptr info) {
  JpegErrors* const errors = ErrorsOf(info);
  if (!errors->damaged) info->err->format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

// libjpeg mends what is missing and warns of it. Warnings of what changes no pixel, such
// as bytes between markers, are passed over.
void Note(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
      if (!ErrorsOf(info)->damaged) {
        info->err->format_message(info, ErrorsOf(info)->message);
      }
      ErrorsOf(info)->damaged = true;
      break;
    default:
      break;
  }
}

void CheckScans(j_common_ptr info) {
  if (!info->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kScansMax) return;
  std::strcpy(ErrorsOf(info)->message, "more than 500 scans");
  std::longjmp(ErrorsOf(info)->jump, 1);
}

void SetErrors(JpegErrors* errors) {
  errors->base.error_exit = Leave;
  errors->base.emit_message = Note;
  errors->message[0] = '\0';
  errors->damaged = false;
}

struct JpegReader {
  jpeg_decompress_struct info = {};
  JpegErrors errors = {};
  jpeg_progress_mgr progress = {};

  JpegReader() {
    info.err = jpeg_std_error(&errors.base);
    SetErrors(&errors);
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info); }

  Status Failure() const {
    return Error(ErrorKind::kCorrupt, std::string("a damaged JPEG: ") + errors.message);
  }
};

bool ReadHeader(std::span<const uint8_t> image, bool with_exif, JpegReader* reader) {
  if (setjmp(reader->errors.jump) != 0) return false;
  jpeg_create_decompress(&reader->info);
  reader->progress.progress_monitor = CheckScans;
  reader->info.progress = &reader->progress;
  jpeg_mem_src(&reader->info, image.data(), image.size());
  if (with_exif) jpeg_save_markers(&reader->info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&reader->info, TRUE);
  return true;
}

bool ReadRows(JpegReader* reader, uint8_t* out, int64_t row_bytes) {
  if (setjmp(reader->errors.jump) != 0) return false;
  jpeg_decompress_struct& info = reader->info;
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    JSAMPROW rows[8];
    const JDIMENSION left = info.output_height - info.output_scanline;
    const JDIMENSION count = left < 8 ? left : 8;
    for (JDIMENSION i = 0; i < count; ++i) {
      rows[i] = out + static_cast<int64_t>(info.output_scanline + i) * row_bytes;
    }
    jpeg_read_scanlines(&info, rows, count);
  }
  jpeg_finish_decompress(&info);
  return !reader->errors.damaged;
}

bool IsInk(const jpeg_decompress_struct& info) {
  return info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
}

// Cyan, magenta, yellow and key to RGB without a profile, as Pillow has it. Adobe stores
// them inverted.
void InkToRgb(const uint8_t* ink, int64_t pixels, bool inverted, uint8_t* rgb) {
  for (int64_t i = 0; i < pixels; ++i) {
    const int key = inverted ? ink[4 * i + 3] : 255 - ink[4 * i + 3];
    for (int c = 0; c < 3; ++c) {
      const int paper = inverted ? ink[4 * i + c] : 255 - ink[4 * i + c];
      rgb[3 * i + c] = static_cast<uint8_t>((paper * key + 127) / 255);
    }
  }
}

void AddAlpha(const uint8_t* rgb, int64_t pixels, uint8_t* rgba) {
  for (int64_t i = 0; i < pixels; ++i) {
    std::memcpy(rgba + 4 * i, rgb + 3 * i, 3);
    rgba[4 * i + 3] = 255;
  }
}

Status DecodeInk(const Decoding& decoding, JpegReader* reader, uint8_t* out) {
  jpeg_decompress_struct& info = reader->info;
  info.out_color_space = JCS_CMYK;
  jpeg_calc_output_dimensions(&info);
  const int64_t pixels = int64_t{info.output_width} * info.output_height;
  ARROW_ASSIGN_OR_RAISE(auto ink, arrow::AllocateBuffer(pixels * 4, decoding.pool));
  if (!ReadRows(reader, ink->mutable_data(), int64_t{info.output_width} * 4)) {
    return reader->Failure();
  }
  const bool inverted = info.saw_Adobe_marker != 0;
  if (ChannelsOf(decoding.options.mode, 3) == 3) {
    InkToRgb(ink->data(), pixels, inverted, out);
    return Status::OK();
  }
  ARROW_ASSIGN_OR_RAISE(auto rgb, arrow::AllocateBuffer(pixels * 3, decoding.pool));
  InkToRgb(ink->data(), pixels, inverted, rgb->mutable_data());
  if (decoding.options.mode == ImageMode::kGray) {
    ToGray(rgb->data(), pixels, out);
  } else {
    AddAlpha(rgb->data(), pixels, out);
  }
  return Status::OK();
}

struct JpegWriter {
  jpeg_compress_struct info = {};
  JpegErrors errors = {};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // libjpeg's type

  JpegWriter() {
    info.err = jpeg_std_error(&errors.base);
    SetErrors(&errors);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;
  ~JpegWriter() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
};

bool Write(const ImagePixels& pixels, int quality, JpegWriter* writer) {
  if (setjmp(writer->errors.jump) != 0) return false;
  jpeg_compress_struct& info = writer->info;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &writer->bytes, &writer->size);
  info.image_width = static_cast<JDIMENSION>(pixels.width);
  info.image_height = static_cast<JDIMENSION>(pixels.height);
  info.input_components = pixels.channels;
  info.in_color_space = pixels.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    // Not written to: the parameter's type is older than const.
    auto* row = const_cast<JSAMPLE*>(pixels.data + int64_t{info.next_scanline} *
                                                       pixels.width * pixels.channels);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

}  // namespace

Result<ImageHeader> ReadJpegHeader(std::span<const uint8_t> image) {
  JpegReader reader;
  if (!ReadHeader(image, /*with_exif=*/true, &reader)) return reader.Failure();
  ImageHeader header;
  header.format = ImageFormat::kJpeg;
  header.height = reader.info.image_height;
  header.width = reader.info.image_width;
  header.channels = reader.info.num_components == 1 ? 1 : 3;
  for (auto* marker = reader.info.marker_list; marker != nullptr; marker = marker->next) {
    if (marker->data_length < sizeof(kExif)) continue;
    if (std::memcmp(marker->data, kExif, sizeof(kExif)) != 0) continue;
    header.orientation = ExifOrientation(
        {marker->data + sizeof(kExif), marker->data_length - sizeof(kExif)});
    break;
  }
  return header;
}

Status DecodeJpeg(const Decoding& decoding, uint8_t* out) {
  JpegReader reader;
  if (!ReadHeader(decoding.image, /*with_exif=*/false, &reader)) return reader.Failure();
  jpeg_decompress_struct& info = reader.info;
  info.scale_num = 1;
  info.scale_denom = static_cast<unsigned>(decoding.options.scale);
  if (IsInk(info)) return DecodeInk(decoding, &reader, out);
  const int channels =
      ChannelsOf(decoding.options.mode, info.num_components == 1 ? 1 : 3);
  const bool luma_stored =
      info.jpeg_color_space == JCS_YCbCr || info.jpeg_color_space == JCS_GRAYSCALE;
  if (channels == 1 && !luma_stored) {
    jpeg_calc_output_dimensions(&info);
    const int64_t pixels = int64_t{info.output_width} * info.output_height;
    ARROW_ASSIGN_OR_RAISE(auto rgb, arrow::AllocateBuffer(pixels * 3, decoding.pool));
    info.out_color_space = JCS_RGB;
    if (!ReadRows(&reader, rgb->mutable_data(), int64_t{info.output_width} * 3)) {
      return reader.Failure();
    }
    ToGray(rgb->data(), pixels, out);
    return Status::OK();
  }
  info.out_color_space = channels == 1   ? JCS_GRAYSCALE
                         : channels == 3 ? JCS_RGB
                                         : JCS_EXT_RGBA;
  jpeg_calc_output_dimensions(&info);
  if (!ReadRows(&reader, out, int64_t{info.output_width} * channels)) {
    return reader.Failure();
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::Buffer>> EncodeJpeg(const ImagePixels& pixels, int quality,
                                                  arrow::MemoryPool* pool) {
  JpegWriter writer;
  if (!Write(pixels, quality, &writer)) {
    return Error(ErrorKind::kInvalidArgument,
                 std::string("no JPEG can be made of it: ") + writer.errors.message);
  }
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> encoded,
                        arrow::AllocateBuffer(static_cast<int64_t>(writer.size), pool));
  std::memcpy(encoded->mutable_data(), writer.bytes, writer.size);
  return encoded;
}

}  // namespace headrace::codec
