#include "codec/field_codec.h"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "codec/image.h"
#include "codec/npy.h"
#include "codec/npz.h"
#include "schema/dtype.h"
#include "schema/field.h"

namespace headrace::codec {
namespace {

constexpr int kZstdLevel = 3;

int64_t BytesOf(DType dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = ByteWidth(dtype);
  for (const int64_t dimension : shape) bytes *= dimension;
  return bytes;
}

std::span<const uint8_t> BytesOf(const TensorView& value) {
  return {value.data, static_cast<size_t>(BytesOf(value.dtype, value.shape))};
}

Result<std::shared_ptr<arrow::Buffer>> Joined(std::string_view header,
                                              std::span<const uint8_t> elements,
                                              arrow::MemoryPool* pool) {
  const size_t size = header.size() + elements.size();
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> joined,
                        arrow::AllocateBuffer(static_cast<int64_t>(size), pool));
  if (!header.empty()) std::memcpy(joined->mutable_data(), header.data(), header.size());
  if (!elements.empty()) {
    std::memcpy(joined->mutable_data() + header.size(), elements.data(), elements.size());
  }
  return joined;
}

/// Elements and nothing else: what dimension varies follows from how many there are.
class RawCodec : public FieldCodec {
 public:
  using FieldCodec::FieldCodec;

  Status Decode(std::span<const uint8_t> cell, const SampleKey&,
                const Allocate& allocate) const override {
    ARROW_ASSIGN_OR_RAISE(const auto found, ShapeOf(static_cast<int64_t>(cell.size())));
    ARROW_ASSIGN_OR_RAISE(uint8_t* const out, allocate(found));
    if (!cell.empty()) std::memcpy(out, cell.data(), cell.size());
    return Status::OK();
  }
  Result<std::shared_ptr<arrow::Buffer>> Encode(const TensorView& value) const override {
    return Joined("", BytesOf(value), pool());
  }

 protected:
  // The shape of a value of so many bytes.
  Result<std::vector<int64_t>> ShapeOf(int64_t bytes) const {
    std::vector<int64_t> found = shape();
    const auto varying = std::ranges::find(found, kVaries);
    if (varying != found.end()) *varying = 1;
    const int64_t unit = BytesOf(dtype(), found);
    if (varying != found.end()) {
      if (unit == 0 && bytes == 0) *varying = 0;
      if (unit != 0 && bytes % unit == 0) *varying = bytes / unit;
    }
    if (BytesOf(dtype(), found) == bytes) return found;
    return Error(ErrorKind::kSchemaMismatch,
                 "found " + std::to_string(bytes) + " bytes, expected " +
                     (varying == found.end() ? "" : "a multiple of ") +
                     std::to_string(unit) + " for the shape " +
                     schema::ShapeText(shape()) + " of " +
                     std::string(DTypeName(dtype())));
  }
};

/// The elements in one frame of Zstandard.
class ZstdCodec : public RawCodec {
 public:
  using RawCodec::RawCodec;

  Status Decode(std::span<const uint8_t> cell, const SampleKey&,
                const Allocate& allocate) const override {
    const unsigned long long bytes = ZSTD_getFrameContentSize(cell.data(), cell.size());
    if (bytes == ZSTD_CONTENTSIZE_ERROR || bytes > INT64_MAX) {
      return Error(ErrorKind::kCorrupt, "found no frame of zstd that says its size");
    }
    ARROW_ASSIGN_OR_RAISE(const auto found, ShapeOf(static_cast<int64_t>(bytes)));
    ARROW_ASSIGN_OR_RAISE(uint8_t* const out, allocate(found));
    const size_t done = ZSTD_decompress(out, bytes, cell.data(), cell.size());
    if (ZSTD_isError(done) != 0 || done != bytes) {
      return Error(ErrorKind::kCorrupt,
                   std::string("a damaged zstd frame: ") + ZSTD_getErrorName(done));
    }
    return Status::OK();
  }
  Result<std::shared_ptr<arrow::Buffer>> Encode(const TensorView& value) const override {
    const auto elements = BytesOf(value);
    ARROW_ASSIGN_OR_RAISE(
        std::shared_ptr<arrow::ResizableBuffer> cell,
        arrow::AllocateResizableBuffer(
            static_cast<int64_t>(ZSTD_compressBound(elements.size())), pool()));
    const size_t size =
        ZSTD_compress(cell->mutable_data(), static_cast<size_t>(cell->size()),
                      elements.data(), elements.size(), kZstdLevel);
    if (ZSTD_isError(size) != 0) {
      return Error(ErrorKind::kInternal,
                   std::string("zstd failed: ") + ZSTD_getErrorName(size));
    }
    ARROW_RETURN_NOT_OK(cell->Resize(static_cast<int64_t>(size)));
    return cell;
  }
};

class NpyCodec : public FieldCodec {
 public:
  using FieldCodec::FieldCodec;

  Status Decode(std::span<const uint8_t> cell, const SampleKey&,
                const Allocate& allocate) const override {
    ARROW_ASSIGN_OR_RAISE(const NpyHeader header, ReadNpyHeader(cell));
    ARROW_RETURN_NOT_OK(CheckStored(header.dtype, header.shape));
    ARROW_ASSIGN_OR_RAISE(uint8_t* const out, allocate(header.shape));
    CopyNpyElements(header, cell, out);
    return Status::OK();
  }
  Result<std::shared_ptr<arrow::Buffer>> Encode(const TensorView& value) const override {
    return Joined(NpyHeaderOf(value.dtype, value.shape), BytesOf(value), pool());
  }
};

class NpzCodec : public NpyCodec {
 public:
  using NpyCodec::NpyCodec;

  Status Decode(std::span<const uint8_t> cell, const SampleKey& key,
                const Allocate& allocate) const override {
    ARROW_ASSIGN_OR_RAISE(auto npy, ReadNpz(cell, pool()));
    return NpyCodec::Decode({npy->data(), static_cast<size_t>(npy->size())}, key,
                            allocate);
  }
  Result<std::shared_ptr<arrow::Buffer>> Encode(const TensorView& value) const override {
    return WriteNpz(NpyHeaderOf(value.dtype, value.shape), BytesOf(value), pool());
  }
};

class ImageCodec : public FieldCodec {
 public:
  ImageCodec(const Field& field, arrow::MemoryPool* pool)
      : FieldCodec(field, pool),
        format_(field.codec == "jpeg"  ? ImageFormat::kJpeg
                : field.codec == "png" ? ImageFormat::kPng
                                       : ImageFormat::kWebp),
        quality_(field.quality.value_or(0)) {
    const int64_t channels = field.shape.size() == 2 ? 1 : field.shape[2];
    mode_ = channels == 1   ? ImageMode::kGray
            : channels == 3 ? ImageMode::kRgb
            : channels == 4 ? ImageMode::kRgba
                            : ImageMode::kAsStored;
  }

  Status Decode(std::span<const uint8_t> cell, const SampleKey&,
                const Allocate& allocate) const override {
    ARROW_ASSIGN_OR_RAISE(const ImageHeader header, ReadImageHeader(cell));
    std::vector<int64_t> found = {header.height, header.width};
    if (shape().size() == 3) {
      found.push_back(mode_ == ImageMode::kAsStored ? header.channels : shape()[2]);
    }
    ARROW_RETURN_NOT_OK(CheckStored(header.dtype, found));
    ARROW_ASSIGN_OR_RAISE(uint8_t* const out, allocate(found));
    return DecodeImage(cell, header, {.mode = mode_}, pool(), out);
  }
  Result<std::shared_ptr<arrow::Buffer>> Encode(const TensorView& value) const override {
    ImagePixels pixels;
    pixels.data = value.data;
    pixels.height = value.shape[0];
    pixels.width = value.shape[1];
    // A number that no format has is refused there.
    pixels.channels = value.shape.size() == 2
                          ? 1
                          : static_cast<int>(std::clamp<int64_t>(value.shape[2], 0, 5));
    pixels.dtype = value.dtype;
    return EncodeImage(pixels, format_, quality_, pool());
  }

 private:
  ImageFormat format_;
  int quality_;
  ImageMode mode_;
};

}  // namespace

FieldCodec::FieldCodec(const Field& field, arrow::MemoryPool* pool)
    // A field of a Schema has a dtype that is known.
    : dtype_(schema::ParseDType(field.dtype).ValueOr(DType::kUInt8)),
      shape_(field.shape),
      pool_(pool) {}

std::unique_ptr<FieldCodec> FieldCodec::Make(const Field& field,
                                             arrow::MemoryPool* pool) {
  if (field.codec == "raw") return std::make_unique<RawCodec>(field, pool);
  if (field.codec == "zstd") return std::make_unique<ZstdCodec>(field, pool);
  if (field.codec == "npy") return std::make_unique<NpyCodec>(field, pool);
  if (field.codec == "npz") return std::make_unique<NpzCodec>(field, pool);
  return std::make_unique<ImageCodec>(field, pool);
}

Status FieldCodec::Check(const TensorView& value) const {
  if (value.dtype != dtype_) {
    return Error(ErrorKind::kInvalidArgument,
                 "must be of dtype " + std::string(DTypeName(dtype_)) + ", found " +
                     std::string(DTypeName(value.dtype)));
  }
  if (!schema::Fits(value.shape, shape_)) {
    return Error(ErrorKind::kInvalidArgument, "must be the shape " +
                                                  schema::ShapeText(shape_) + ", found " +
                                                  schema::ShapeText(value.shape));
  }
  return Status::OK();
}

Status FieldCodec::CheckStored(DType dtype, const std::vector<int64_t>& shape) const {
  if (dtype == dtype_ && schema::Fits(shape, shape_)) return Status::OK();
  return Error(ErrorKind::kSchemaMismatch, "found " + std::string(DTypeName(dtype)) +
                                               " of shape " + schema::ShapeText(shape) +
                                               ", expected " +
                                               std::string(DTypeName(dtype_)) +
                                               " of shape " + schema::ShapeText(shape_));
}

}  // namespace headrace::codec
