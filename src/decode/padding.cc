#include "decode/padding.h"

#include <cstring>
#include <utility>

#include "schema/convert.h"
#include "schema/tensor.h"

namespace headrace::decode {
namespace {

// `axis` and those after it.
void CopyFrom(const uint8_t* in, const std::vector<int64_t>& from,
              const std::vector<int64_t>& to, size_t axis, int64_t width, uint8_t* out) {
  int64_t in_stride = width, out_stride = width;
  for (size_t d = axis + 1; d < from.size(); ++d) {
    in_stride *= from[d];
    out_stride *= to[d];
  }
  if (axis + 1 == from.size()) {
    if (from[axis] > 0) std::memcpy(out, in, static_cast<size_t>(from[axis] * width));
    return;
  }
  for (int64_t i = 0; i < from[axis]; ++i) {
    CopyFrom(in + i * in_stride, from, to, axis + 1, width, out + i * out_stride);
  }
}

}  // namespace

Result<Tensor> Background(DType dtype, std::vector<int64_t> shape, const Number& number,
                          bool filled, arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(Tensor tensor,
                        schema::AllocateTensor(dtype, std::move(shape), pool));
  uint8_t* out = tensor.buffer->mutable_data();
  const int64_t width = ByteWidth(dtype);
  if (!filled) {
    std::memset(out, 0, static_cast<size_t>(tensor.size() * width));
    return tensor;
  }
  uint8_t element[8];
  ARROW_RETURN_NOT_OK(schema::StoreNumber(number, dtype, element));
  for (int64_t i = 0; i < tensor.size(); ++i) {
    std::memcpy(out + i * width, element, static_cast<size_t>(width));
  }
  return tensor;
}

void CopyPadded(const uint8_t* in, const std::vector<int64_t>& from,
                const std::vector<int64_t>& to, int64_t width, uint8_t* out) {
  CopyFrom(in, from, to, 0, width, out);
}

}  // namespace headrace::decode
