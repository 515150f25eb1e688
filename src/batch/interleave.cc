#include "batch/interleave.h"

#include <cstring>

namespace headrace::batch {
namespace {

using Four = uint32_t __attribute__((vector_size(16)));
using Two = uint64_t __attribute__((vector_size(16)));

template <typename Vector>
Vector Load(const uint8_t* from) {
  Vector vector;
  std::memcpy(&vector, from, sizeof(vector));
  return vector;
}

template <typename Vector>
void Store(const Vector& vector, uint8_t* to) {
  std::memcpy(to, &vector, sizeof(vector));
}

template <typename T>
void InterleaveEach(std::span<const uint8_t* const> lanes, int64_t from, int64_t rows,
                    uint8_t* out, int64_t out_stride) {
  const auto turn = static_cast<int64_t>(lanes.size());
  auto* to = reinterpret_cast<T*>(out);
  for (int64_t l = 0; l < turn; ++l) {
    const auto* in = reinterpret_cast<const T*>(lanes[static_cast<size_t>(l)]);
    T* at = to + (from * turn + l) * out_stride;
    for (int64_t k = from; k < rows; ++k, at += turn * out_stride) *at = in[k];
  }
}

// Lanes in fours, four rows at a time: a transposition in registers. Returns the rows
// that are done.
int64_t InterleaveFours(std::span<const uint8_t* const> lanes, int64_t rows,
                        uint8_t* out) {
  const size_t turn = lanes.size();
  int64_t k = 0;
  for (; k + 4 <= rows; k += 4) {
    for (size_t l = 0; l < turn; l += 4) {
      const auto a = Load<Four>(lanes[l] + k * 4);
      const auto b = Load<Four>(lanes[l + 1] + k * 4);
      const auto c = Load<Four>(lanes[l + 2] + k * 4);
      const auto d = Load<Four>(lanes[l + 3] + k * 4);
      const Four ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const Four ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Four cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const Four cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      uint8_t* to = out + (static_cast<size_t>(k) * turn + l) * 4;
      Store(__builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), to);
      Store(__builtin_shufflevector(ab0, cd0, 2, 3, 6, 7), to + turn * 4);
      Store(__builtin_shufflevector(ab1, cd1, 0, 1, 4, 5), to + 2 * turn * 4);
      Store(__builtin_shufflevector(ab1, cd1, 2, 3, 6, 7), to + 3 * turn * 4);
    }
  }
  return k;
}

// The same for eight bytes, lanes in twos.
int64_t InterleaveTwos(std::span<const uint8_t* const> lanes, int64_t rows,
                       uint8_t* out) {
  const size_t turn = lanes.size();
  int64_t k = 0;
  for (; k + 2 <= rows; k += 2) {
    for (size_t l = 0; l < turn; l += 2) {
      const auto a = Load<Two>(lanes[l] + k * 8);
      const auto b = Load<Two>(lanes[l + 1] + k * 8);
      uint8_t* to = out + (static_cast<size_t>(k) * turn + l) * 8;
      Store(__builtin_shufflevector(a, b, 0, 2), to);
      Store(__builtin_shufflevector(a, b, 1, 3), to + turn * 8);
    }
  }
  return k;
}

}  // namespace

void Interleave(int64_t width, std::span<const uint8_t* const> lanes, int64_t rows,
                uint8_t* out, int64_t out_stride) {
  if (lanes.size() == 1 && out_stride == 1) {
    std::memcpy(out, lanes[0], static_cast<size_t>(rows * width));
    return;
  }
  int64_t done = 0;
  switch (width) {
    case 1:
      return InterleaveEach<uint8_t>(lanes, 0, rows, out, out_stride);
    case 2:
      return InterleaveEach<uint16_t>(lanes, 0, rows, out, out_stride);
    case 4:
      if (out_stride == 1 && lanes.size() % 4 == 0) {
        done = InterleaveFours(lanes, rows, out);
      }
      return InterleaveEach<uint32_t>(lanes, done, rows, out, out_stride);
    default:
      if (out_stride == 1 && lanes.size() % 2 == 0) {
        done = InterleaveTwos(lanes, rows, out);
      }
      return InterleaveEach<uint64_t>(lanes, done, rows, out, out_stride);
  }
}

}  // namespace headrace::batch
