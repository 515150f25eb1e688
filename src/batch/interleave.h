/// \file
/// Moving elements from several runs into one: in turn, or as the columns of a matrix.
#pragma once

#include <cstdint>
#include <span>

namespace headrace::batch {

/// Element k of lane l goes to out[(k * lanes + l) * out_stride], for k < rows. Elements
/// are of `width` bytes (1, 2, 4 or 8), here and below; strides count elements.
void Interleave(int64_t width, std::span<const uint8_t* const> lanes, int64_t rows,
                uint8_t* out, int64_t out_stride);

/// Element k of column c goes to out[k * row_stride + c], for k < rows.
void Transpose(int64_t width, std::span<const uint8_t* const> columns, int64_t rows,
               uint8_t* out, int64_t row_stride);

}  // namespace headrace::batch
