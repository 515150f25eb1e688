/// \file
/// Dealing the elements of several runs out in turn.
#pragma once

#include <cstdint>
#include <span>

namespace headrace::batch {

/// Element k of lane l goes to out[(k * lanes + l) * out_stride], for k < rows. Elements
/// are of `width` bytes (1, 2, 4 or 8); strides count elements.
void Interleave(int64_t width, std::span<const uint8_t* const> lanes, int64_t rows,
                uint8_t* out, int64_t out_stride);

}  // namespace headrace::batch
