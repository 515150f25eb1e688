// Any bytes as a cell of each field codec: refused with words, or values of the shape
// that was declared. What JPEG, PNG and WebP hold is decoded in every mode and at every
// scale.
#include <arrow/memory_pool.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <vector>

#include "codec/field_codec.h"
#include "codec/image.h"
#include "refusal.h"

namespace {

using headrace::DType;
using headrace::ErrorKind;
using headrace::Field;
using headrace::Result;
using headrace::fuzz::CheckRefusal;

// Larger values are refused: they would only take time.
constexpr int64_t kElementsMax = 1 << 20;

void DecodeAs(const Field& given, std::span<const uint8_t> cell) {
  const auto schema = headrace::Schema::Make({given});
  if (!schema.ok()) std::abort();
  const Field& field = schema->fields()[0];
  const auto codec =
      headrace::codec::FieldCodec::Make(field, arrow::default_memory_pool());
  std::vector<uint8_t> out;
  const auto place = [&](std::span<const int64_t> shape) -> Result<uint8_t*> {
    if (shape.size() != field.shape.size()) std::abort();
    int64_t elements = 1;
    for (size_t d = 0; d < shape.size(); ++d) {
      if (field.shape[d] != Field::kVaries && field.shape[d] != shape[d]) std::abort();
      if (shape[d] > kElementsMax) elements = kElementsMax + 1;
      elements = elements > kElementsMax ? elements : elements * shape[d];
    }
    if (elements > kElementsMax) {
      return headrace::Error(ErrorKind::kResourceExhausted, "large");
    }
    // Exactly as long as it has to be, so that writing past it is seen.
    out = std::vector<uint8_t>(
        static_cast<size_t>(elements * headrace::ByteWidth(codec->dtype())));
    return out.data();
  };
  CheckRefusal(codec->Decode(cell, {}, place));
}

void DecodeImage(std::span<const uint8_t> image) {
  namespace codec = headrace::codec;
  const auto header = codec::ReadImageHeader(image, kElementsMax);
  CheckRefusal(header.status());
  if (!header.ok()) return;
  constexpr codec::ImageMode kModes[] = {codec::ImageMode::kAsStored,
                                         codec::ImageMode::kGray, codec::ImageMode::kRgb,
                                         codec::ImageMode::kRgba};
  constexpr int kChannels[] = {0, 1, 3, 4};
  for (size_t m = 0; m < std::size(kModes); ++m) {
    for (const int scale : {1, 2, 8}) {
      if (scale != 1 && header->format != codec::ImageFormat::kJpeg) continue;
      codec::ImageDecodeOptions options;
      options.mode = kModes[m];
      options.scale = scale;
      options.to_uint8 = m == 2;
      const int64_t height = (header->height + scale - 1) / scale;
      const int64_t width = (header->width + scale - 1) / scale;
      const int channels = m == 0 ? header->channels : kChannels[m];
      const int64_t bytes = header->dtype == DType::kUInt16 && !options.to_uint8 ? 2 : 1;
      std::vector<uint8_t> out(static_cast<size_t>(height * width * channels * bytes));
      CheckRefusal(codec::DecodeImage(image, *header, options,
                                      arrow::default_memory_pool(), out.data()));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::span<const uint8_t> cell(bytes, size);
  constexpr int64_t kVaries = Field::kVaries;
  DecodeAs({.name = "x", .dtype = "int16", .shape = {kVaries, 3}, .codec = "raw"}, cell);
  for (const char* codec : {"npy", "npz", "zstd"}) {
    DecodeAs({.name = "x", .dtype = "float32", .shape = {kVaries}, .codec = codec}, cell);
    DecodeAs({.name = "x", .dtype = "uint8", .shape = {2, 3}, .codec = codec}, cell);
  }
  DecodeAs({.name = "x", .dtype = "int64", .shape = {kVaries, kVaries}, .codec = "npy"},
           cell);
  DecodeImage(cell);
  return 0;
}
