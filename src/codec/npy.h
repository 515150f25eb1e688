/// \file
/// Numpy's array format, both ways (numpy.lib.format, versions 1.0 to 3.0).
#pragma once

#include <headrace/batch.h>
#include <headrace/result.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace headrace::codec {

/// What precedes the elements.
struct NpyHeader {
  /// datetime64 and timedelta64 are kInt64, in the unit that is stored.
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  bool swapped = false;       ///< of the other byte order than this machine's
  bool column_major = false;  ///< numpy's fortran_order
  size_t bytes = 0;           ///< of the header: where the elements begin
  int64_t elements = 0;
};

/// Reads a header and checks that its elements are all there. Corrupt; Unsupported for
/// element types that no tensor has. Pickled objects are such: nothing is ever executed.
Result<NpyHeader> ReadNpyHeader(std::span<const uint8_t> npy);

/// Copies the elements in C order and this machine's byte order.
void CopyNpyElements(const NpyHeader& header, std::span<const uint8_t> npy, uint8_t* out);

/// The header that numpy.save writes for C-contiguous elements. REQUIRES: no bfloat16.
std::string NpyHeaderOf(DType dtype, const std::vector<int64_t>& shape);

}  // namespace headrace::codec
