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

// Four rows of four runs: out row i, `row_bytes` after the last, gets element i of each.
void TransposeFour(const uint8_t* const* runs, int64_t at, uint8_t* out,
                   size_t row_bytes) {
  const auto a = Load<Four>(runs[0] + at * 4);
  const auto b = Load<Four>(runs[1] + at * 4);
  const auto c = Load<Four>(runs[2] + at * 4);
  const auto d = Load<Four>(runs[3] + at * 4);
  const Four ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Four ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Four cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  Store(__builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), out);
  Store(__builtin_shufflevector(ab0, cd0, 2, 3, 6, 7), out + row_bytes);
  Store(__builtin_shufflevector(ab1, cd1, 0, 1, 4, 5), out + 2 * row_bytes);
  Store(__builtin_shufflevector(ab1, cd1, 2, 3, 6, 7), out + 3 * row_bytes);
}

// Lanes in fours, four rows at a time. Returns the rows that are done.
int64_t InterleaveFours(std::span<const uint8_t* const> lanes, int64_t rows,
                        uint8_t* out) {
  const size_t turn = lanes.size();
  int64_t k = 0;
  for (; k + 4 <= rows; k += 4) {
    for (size_t l = 0; l < turn; l += 4) {
      TransposeFour(&lanes[l], k, out + (static_cast<size_t>(k) * turn + l) * 4,
                    turn * 4);
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

template <typename T>
void TransposeEach(std::span<const uint8_t* const> columns, int64_t from, int64_t rows,
                   uint8_t* out, int64_t row_stride) {
  auto* to = reinterpret_cast<T*>(out);
  for (int64_t k = from; k < rows; ++k) {
    for (size_t c = 0; c < columns.size(); ++c) {
      to[k * row_stride + static_cast<int64_t>(c)] =
          reinterpret_cast<const T*>(columns[c])[k];
    }
  }
}

}  // namespace

void Interleave(int64_t width, std::span<const uint8_t* const> lanes, int64_t rows,
                uint8_t* out, int64_t out_stride) {
  if (rows == 0) return;
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

void Transpose(int64_t width, std::span<const uint8_t* const> columns, int64_t rows,
               uint8_t* out, int64_t row_stride) {
  int64_t done = 0;
  switch (width) {
    case 1:
      return TransposeEach<uint8_t>(columns, 0, rows, out, row_stride);
    case 2:
      return TransposeEach<uint16_t>(columns, 0, rows, out, row_stride);
    case 4:
      if (columns.size() % 4 == 0) {
        const auto row_bytes = static_cast<size_t>(row_stride) * 4;
        for (; done + 4 <= rows; done += 4) {
          for (size_t c = 0; c < columns.size(); c += 4) {
            TransposeFour(&columns[c], done,
                          out + static_cast<size_t>(done) * row_bytes + c * 4, row_bytes);
          }
        }
      }
      return TransposeEach<uint32_t>(columns, done, rows, out, row_stride);
    default:
      return TransposeEach<uint64_t>(columns, 0, rows, out, row_stride);
  }
}

}  // namespace headrace::batch
