/// \file
/// What is done to pixels one by one, and how they are delivered.
#pragma once

#include <headrace/image.h>

#include <array>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "transform/scratch.h"

namespace headrace::transform {

/// An image in memory that somebody else holds; not always all of it is there, as crops
/// are views.
struct Picture {
  const uint8_t* pixels = nullptr;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t row_bytes = 0;
  /// To be seen mirrored: left and right, top and bottom.
  bool mirrored = false;
  bool upside_down = false;

  const uint8_t* Row(int64_t y) const { return pixels + y * row_bytes; }
};

/// Uniform in [0, 1).
double Uniform(base::KeyedRandom* random);
/// Uniform in [least, greatest).
double UniformIn(base::KeyedRandom* random, double least, double greatest);

/// C-contiguous pixels.
struct Packed {
  uint8_t* pixels = nullptr;
  int64_t count = 0;
  int64_t channels = 0;
};

/// Draws the changes and makes them. REQUIRES: 1, 3 or 4 channels.
void Jitter(const image::ColorJitter& op, base::KeyedRandom* random, const Packed& image);

/// Colours times alpha, and back, as Pillow rounds them: transparent pixels are not to
/// bleed into others when resized. REQUIRES: 4 channels.
void Premultiply(const Packed& image);
void Unpremultiply(const Packed& image);

/// Copies a picture, not mirrored, to (height, width) with its top left pixel at (top,
/// left), which may lie outside; what it does not cover is `value`.
struct Placing {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
  uint8_t value = 0;
};
void Place(const Picture& picture, const Placing& placing, uint8_t* out);

/// Makes floats of levels, channel by channel.
class FloatTables {
 public:
  FloatTables() = default;
  explicit FloatTables(const image::ToFloat& op);

  const std::array<float, 256>& Of(int64_t channel) const {
    return tables_[tables_.size() == 1 ? 0 : static_cast<size_t>(channel)];
  }

 private:
  std::vector<std::array<float, 256>> tables_;
};

/// Writes a picture, as it is to be seen.
void Deliver(const Picture& picture, image::Order order, uint8_t* out);
void Deliver(const Picture& picture, image::Order order, const FloatTables& tables,
             float* out);

}  // namespace headrace::transform
