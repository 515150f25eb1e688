/// \file
/// Chains of image operations, bound to what a column holds: checked, and taken apart
/// into decoding, what changes pixels, and how they are delivered.
#pragma once

#include <headrace/batch.h>
#include <headrace/image.h>
#include <headrace/schema.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace headrace::schema {

/// An operation between decoding and the end.
struct ImageStep {
  ImageOp op;
  /// Of its kind: 0 for the first flip of a chain, 1 for the second.
  uint64_t occurrence = 0;
};

struct ImageChain {
  /// Set where cells are encoded images of any format; else the field's codec makes the
  /// pixels.
  std::optional<image::Decode> decode;
  std::vector<ImageStep> steps;
  std::optional<image::ToFloat> to_float;
  image::Order order = image::Order::kNhwc;
  /// Of what is delivered; Field::kVaries where a dimension is known by the image alone.
  DType dtype = DType::kUInt8;
  std::vector<int64_t> shape;
};

/// InvalidArgument, naming the operation, for parameters out of their range.
Status CheckImageOp(const ImageOp& op);

/// The operation's name in Python and JSON.
std::string_view ImageOpName(const ImageOp& op);

/// The size that a resize gives an image of a known size.
std::array<int64_t, 2> ResizedTo(const image::Resize& op, int64_t height, int64_t width);

/// Binds a chain to a column of encoded images (no field), or to the values of a field.
/// InvalidArgument, naming the operation, where an operation stands in a wrong place or
/// cannot do its work on images of such a shape, and for fields that hold no images.
Result<ImageChain> BindImageOps(const ImageOps& ops, const std::optional<Field>& field);

}  // namespace headrace::schema
