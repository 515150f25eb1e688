/// \file
/// Operations on images: what `Dataset::Map` makes of a column's cells, in C++ threads.
/// Values: copy, compare, print, to and from JSON (docs/guide/images.md).
///
/// An image has height, width and channels of uint8. A chain is `Decode` (implied where
/// it is not given), then any number of the operations from `Resize` to `PadTo`, and at
/// its end `ToFloat` and `Layout`, in either order.
#pragma once

#include <headrace/result.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace headrace {

/// Channels of a decoded image. Alpha is dropped, or opaque; gray is ITU-R 601 luma.
enum class ImageMode {
  kAsStored,  ///< 1, 3 or 4 channels (gray with alpha: 4; CMYK: 3; palettes: 3 or 4)
  kGray,
  kRgb,
  kRgba,
};

namespace image {

/// Kernels of `Resize`: antialiased, as Pillow's of these names.
enum class Interpolation { kBilinear, kBicubic };

/// (height, width, channels), or (channels, height, width).
enum class Order { kNhwc, kNchw };

/// JPEG, PNG or WebP (told by the first bytes) to uint8; 16 bits become 8 by their high
/// bytes. First in its chain.
struct Decode {
  ImageMode mode = ImageMode::kRgb;
  /// Images that claim more pixels are bad rows: a small file can claim any size. This is
  /// what Pillow refuses as a "decompression bomb".
  int64_t pixels_max = 178'956'970;
  /// JPEGs that the next operation reduces to half their size or less are decoded at 1/2,
  /// 1/4 or 1/8 of it: faster, and not the same to the last bit.
  bool dct_scaling = true;

  bool operator==(const Decode&) const = default;
};

/// To a height and width; without a width, the shorter side becomes `height` and the
/// other keeps the ratio (rounded down).
struct Resize {
  int64_t height = 0;
  std::optional<int64_t> width = {};
  Interpolation interpolation = Interpolation::kBilinear;

  bool operator==(const Resize&) const = default;
};

/// The middle; where the image is smaller, 0 is put around it. Without a width: a square.
struct CenterCrop {
  int64_t height = 0;
  std::optional<int64_t> width = {};

  bool operator==(const CenterCrop&) const = default;
};

/// A place drawn anew for every sample and epoch. A smaller image is a bad row. Without a
/// width: a square.
struct RandomCrop {
  int64_t height = 0;
  std::optional<int64_t> width = {};

  bool operator==(const RandomCrop&) const = default;
};

/// A crop of a random share of the area and a random ratio of width to height, resized.
struct RandomResizedCrop {
  int64_t height = 0;
  std::optional<int64_t> width = {};
  std::array<double, 2> scale = {0.08, 1.0};
  std::array<double, 2> ratio = {3.0 / 4, 4.0 / 3};
  Interpolation interpolation = Interpolation::kBilinear;

  bool operator==(const RandomResizedCrop&) const = default;
};

/// Mirrors with these probabilities: left and right, top and bottom.
struct Flip {
  double horizontal = 0.5;
  double vertical = 0.0;

  bool operator==(const Flip&) const = default;
};

/// Changes drawn in random order: brightness, contrast and saturation by factors from
/// [max(0, 1 - x), 1 + x], hue by [-x, x] turns of the colour circle (at most half). Gray
/// images have neither saturation nor hue; alpha stays.
struct ColorJitter {
  double brightness = 0;
  double contrast = 0;
  double saturation = 0;
  double hue = 0;

  bool operator==(const ColorJitter&) const = default;
};

/// `value` around the image, which stays in the middle. A larger image is a bad row.
struct PadTo {
  int64_t height = 0;
  std::optional<int64_t> width = {};  ///< Absent: a square.
  int64_t value = 0;                  ///< 0 to 255, of every channel

  bool operator==(const PadTo&) const = default;
};

/// float32: (x / 255 - mean) / std. One number for all channels, or one for each.
struct ToFloat {
  std::vector<double> mean = {0.0};
  std::vector<double> std = {1.0};

  bool operator==(const ToFloat&) const = default;
};

/// The order of the dimensions.
struct Layout {
  Order order = Order::kNchw;

  bool operator==(const Layout&) const = default;
};

}  // namespace image

using ImageOp =
    std::variant<image::Decode, image::Resize, image::CenterCrop, image::RandomCrop,
                 image::RandomResizedCrop, image::Flip, image::ColorJitter, image::PadTo,
                 image::ToFloat, image::Layout>;
using ImageOps = std::vector<ImageOp>;

/// As Python writes it, for example `resize(256) | center_crop(224) | layout("nchw")`.
std::string ToString(const ImageOps& ops);

/// A list of objects, as in `[{"op": "resize", "height": 256}]`, with every parameter.
std::string ImageOpsToJson(const ImageOps& ops);
/// Parameters that are not given have their defaults. InvalidArgument, naming operation
/// and parameter, for what is not known, missing, of another type or out of its range.
Result<ImageOps> ImageOpsFromJson(const std::string& json);

}  // namespace headrace
