#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>

#include <cstring>
#include <memory>

#include "codec/image_formats.h"

namespace headrace::codec {
namespace {

Status Damaged() { return Error(ErrorKind::kCorrupt, "a damaged WebP"); }

int OrientationOf(std::span<const uint8_t> image) {
  const WebPData data{image.data(), image.size()};
  const std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)> demuxer(WebPDemux(&data),
                                                                         WebPDemuxDelete);
  if (demuxer == nullptr) return 1;
  WebPChunkIterator chunk;
  if (WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &chunk) == 0) return 1;
  std::span<const uint8_t> exif(chunk.chunk.bytes, chunk.chunk.size);
  // Some writers keep the six bytes that it has in a JPEG.
  if (exif.size() > 6 && std::memcmp(exif.data(), "Exif\0", 6) == 0)
    exif = exif.subspan(6);
  const int orientation = ExifOrientation(exif);
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

}  // namespace

Result<ImageHeader> ReadWebpHeader(std::span<const uint8_t> image) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(image.data(), image.size(), &features) != VP8_STATUS_OK) {
    return Damaged();
  }
  if (features.has_animation != 0) {
    return Error(ErrorKind::kUnsupported,
                 "an animated WebP is no image: store its frames");
  }
  ImageHeader header;
  header.format = ImageFormat::kWebp;
  header.height = features.height;
  header.width = features.width;
  header.channels = features.has_alpha != 0 ? 4 : 3;
  header.orientation = OrientationOf(image);
  return header;
}

Status DecodeWebp(const Decoding& decoding, uint8_t* out) {
  const ImageHeader& header = *decoding.header;
  const int64_t pixels = header.height * header.width;
  const int channels = ChannelsOf(decoding.options.mode, header.channels);
  const int64_t width = header.orientation > 4 ? header.height : header.width;
  std::shared_ptr<arrow::Buffer> rgb;
  uint8_t* to = out;
  if (channels == 1) {
    ARROW_ASSIGN_OR_RAISE(rgb, arrow::AllocateBuffer(pixels * 3, decoding.pool));
    to = rgb->mutable_data();
  }
  const int stored = channels == 4 ? 4 : 3;
  auto* const decode = stored == 4 ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (decode(decoding.image.data(), decoding.image.size(), to,
             static_cast<size_t>(pixels * stored),
             static_cast<int>(width * stored)) == nullptr) {
    return Damaged();
  }
  if (channels == 1) ToGray(to, pixels, out);
  return Status::OK();
}

Result<std::shared_ptr<arrow::Buffer>> EncodeWebp(const ImagePixels& pixels, int quality,
                                                  arrow::MemoryPool* pool) {
  uint8_t* bytes = nullptr;
  auto* const encode = pixels.channels == 4 ? WebPEncodeRGBA : WebPEncodeRGB;
  const size_t size =
      encode(pixels.data, static_cast<int>(pixels.width), static_cast<int>(pixels.height),
             static_cast<int>(pixels.width * pixels.channels),
             static_cast<float>(quality), &bytes);
  const std::unique_ptr<uint8_t, decltype(&WebPFree)> owned(bytes, WebPFree);
  if (size == 0) {
    return Error(ErrorKind::kInvalidArgument, "no WebP can be made of it");
  }
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> encoded,
                        arrow::AllocateBuffer(static_cast<int64_t>(size), pool));
  std::memcpy(encoded->mutable_data(), bytes, size);
  return encoded;
}

}  // namespace headrace::codec
