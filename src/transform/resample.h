/// \file
/// Antialiased resizing of uint8 images, as Pillow's BILINEAR and BICUBIC.
#pragma once

#include <headrace/image.h>
#include <headrace/result.h>

#include <cstdint>

#include "transform/scratch.h"

namespace headrace::transform {

/// A part of an image; edges may lie within pixels.
struct Box {
  double top = 0;
  double left = 0;
  double bottom = 0;
  double right = 0;
};

/// Resizes `box` of an image to (height, width, channels).
struct Resampling {
  const uint8_t* in = nullptr;
  int64_t in_height = 0;
  int64_t in_width = 0;
  int64_t in_row_bytes = 0;
  int channels = 3;
  /// Inside of the image.
  Box box;
  int64_t height = 0;
  int64_t width = 0;
  image::Interpolation interpolation = image::Interpolation::kBilinear;
  /// C-contiguous; overlaps with nothing.
  uint8_t* out = nullptr;
};

/// REQUIRES: Scratch::kSlack bytes behind the image may be read. Uses kRows and kWeights.
Status Resample(const Resampling& job, Scratch* scratch);

}  // namespace headrace::transform
