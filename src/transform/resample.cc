#include "transform/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

// The way of Pillow (its Resample.c; from Anti-Grain Geometry and older than both): an
// output pixel is the weighted mean of the input pixels under a kernel that is stretched
// by the scale when reducing, so that every input pixel counts; rows are done first, then
// columns, with bytes in between; weights are fixed-point numbers. Pillow's have 22 bits,
// these as many as 16-bit weights allow, as pairs of them are multiplied in one
// instruction; results differ by at most one level.

namespace headrace::transform {
namespace {

// Integers in sums: a weight's bits and 8 of the pixel, with room for overshoot.
constexpr int kBitsMax = 20;

/// What the pixels of one output row or column are made of. Weights come in pairs: behind
/// an odd number of them is a 0.
struct Kernels {
  int64_t pairs = 0;  // of each kernel
  int bits = 0;       // of the weights' fraction
  const int32_t* begins = nullptr;
  const int16_t* weights = nullptr;  // 2 * pairs for each output

  const int16_t* Weights(int64_t i) const { return weights + i * 2 * pairs; }
};

double Bilinear(double x) {
  x = std::abs(x);
  return x < 1 ? 1 - x : 0;
}

// Keys' cubic with a = -0.5.
double Bicubic(double x) {
  x = std::abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

/// One axis: `in` pixels, of which [from, to) become `out`.
struct Axis {
  int64_t in = 0;
  double from = 0;
  double to = 0;
  int64_t out = 0;
  image::Interpolation interpolation = image::Interpolation::kBilinear;

  bool IsIdentity() const {
    return out == in && from == 0 && to == static_cast<double>(in);
  }
  double Stretch() const { return std::max(1.0, (to - from) / static_cast<double>(out)); }
  double Support() const {
    return (interpolation == image::Interpolation::kBilinear ? 1.0 : 2.0) * Stretch();
  }
  int64_t Pairs() const {
    const int64_t taps = static_cast<int64_t>(std::ceil(Support())) * 2 + 1;
    return (std::min(taps, in) + 1) / 2;
  }
  int64_t ScratchBytes() const {
    const int64_t weights = 2 * Pairs() * out;
    return weights * static_cast<int64_t>(sizeof(double) + sizeof(int16_t)) +
           out * static_cast<int64_t>(sizeof(int32_t));
  }
};

// Weights of an output pixel, adding up to 1; returns the first input pixel.
int32_t WeighPixel(const Axis& axis, int64_t i, double* weights) {
  const double scale = (axis.to - axis.from) / static_cast<double>(axis.out);
  const double center = axis.from + (static_cast<double>(i) + 0.5) * scale;
  const double support = axis.Support();
  const auto begin =
      std::max<int64_t>(0, static_cast<int64_t>(std::floor(center - support + 0.5)));
  const auto end =
      std::min(axis.in, static_cast<int64_t>(std::floor(center + support + 0.5)));
  const int64_t count = std::min(end - begin, 2 * axis.Pairs());
  const double shrink = 1 / axis.Stretch();
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    const double x = (static_cast<double>(begin + k) - center + 0.5) * shrink;
    weights[k] =
        axis.interpolation == image::Interpolation::kBilinear ? Bilinear(x) : Bicubic(x);
    sum += weights[k];
  }
  for (int64_t k = 0; k < count; ++k) weights[k] /= sum;
  std::fill(weights + count, weights + 2 * axis.Pairs(), 0.0);
  // All that is read lies within the image, but for one pixel where pairs are as many as
  // the image has, which is odd.
  const int64_t from = std::max<int64_t>(0, std::min(begin, axis.in - 2 * axis.Pairs()));
  std::rotate(weights, weights + 2 * axis.Pairs() - (begin - from),
              weights + 2 * axis.Pairs());
  return static_cast<int32_t>(from);
}

// REQUIRES: axis.ScratchBytes() at `scratch`, aligned for doubles.
Kernels MakeKernels(const Axis& axis, uint8_t* scratch) {
  Kernels kernels;
  kernels.pairs = axis.Pairs();
  const int64_t count = 2 * kernels.pairs * axis.out;
  auto* const exact = reinterpret_cast<double*>(scratch);
  auto* const begins = reinterpret_cast<int32_t*>(exact + count);
  auto* const weights = reinterpret_cast<int16_t*>(begins + axis.out);
  double largest = 0;
  for (int64_t i = 0; i < axis.out; ++i) {
    begins[i] = WeighPixel(axis, i, exact + i * 2 * kernels.pairs);
  }
  for (int64_t k = 0; k < count; ++k) largest = std::max(largest, std::abs(exact[k]));
  while (kernels.bits < kBitsMax && largest * (2 << kernels.bits) + 0.5 < INT16_MAX) {
    ++kernels.bits;
  }
  const double unit = 1 << kernels.bits;
  for (int64_t k = 0; k < count; ++k) {
    weights[k] = static_cast<int16_t>(std::lround(exact[k] * unit));
  }
  kernels.begins = begins;
  kernels.weights = weights;
  return kernels;
}

uint8_t ToByte(int32_t sum, int bits) {
  return static_cast<uint8_t>(std::clamp(sum >> bits, 0, 255));
}

#if defined(__SSE2__)
__m128i LoadPixel(const uint8_t* pixel) {
  int32_t four = 0;
  std::memcpy(&four, pixel, 4);
  return _mm_cvtsi32_si128(four);
}

__m128i LoadWeights(const int16_t* pair) {
  int32_t two = 0;
  std::memcpy(&two, pair, 4);
  return _mm_set1_epi32(two);
}

// A row of pixels of 3 or 4 bytes; up to 8 bytes behind the last are read.
template <int kChannels>
void ResampleRow(const uint8_t* in, const Kernels& kernels, int64_t width, uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  const __m128i half = _mm_set1_epi32(1 << (kernels.bits - 1));
  const __m128i bits = _mm_cvtsi32_si128(kernels.bits);
  for (int64_t x = 0; x < width; ++x) {
    const uint8_t* pixel = in + static_cast<int64_t>(kernels.begins[x]) * kChannels;
    const int16_t* weights = kernels.Weights(x);
    __m128i sums = half;
    for (int64_t k = 0; k < kernels.pairs; ++k) {
      // Two pixels' channels side by side, as 16-bit numbers.
      const __m128i pair =
          _mm_unpacklo_epi8(LoadPixel(pixel), LoadPixel(pixel + kChannels));
      sums = _mm_add_epi32(
          sums, _mm_madd_epi16(_mm_unpacklo_epi8(pair, zero), LoadWeights(weights)));
      pixel += int64_t{2} * kChannels;
      weights += 2;
    }
    const __m128i levels = _mm_packs_epi32(_mm_sra_epi32(sums, bits), zero);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(levels, zero));
    std::memcpy(out, &bytes, kChannels);
    out += kChannels;
  }
}

// Bytes of a row, sixteen at a time; returns how many.
int64_t ResampleColumns16(const uint8_t* in, int64_t row_bytes, const int16_t* weights,
                          const Kernels& kernels, int64_t count, uint8_t* out) {
  const __m128i zero = _mm_setzero_si128();
  const __m128i half = _mm_set1_epi32(1 << (kernels.bits - 1));
  const __m128i bits = _mm_cvtsi32_si128(kernels.bits);
  int64_t at = 0;
  for (; at + 16 <= count; at += 16) {
    __m128i sums[4] = {half, half, half, half};
    const uint8_t* row = in + at;
    for (int64_t k = 0; k < kernels.pairs; ++k) {
      const __m128i pair = LoadWeights(weights + 2 * k);
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
      // The second of the last pair may lie below the image: its weight is 0.
      const uint8_t* const next = weights[2 * k + 1] == 0 ? row : row + row_bytes;
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(next));
      const __m128i low = _mm_unpacklo_epi8(a, b);
      const __m128i high = _mm_unpackhi_epi8(a, b);
      auto add = [&](__m128i* sum, __m128i words) {
        *sum = _mm_add_epi32(*sum, _mm_madd_epi16(words, pair));
      };
      add(&sums[0], _mm_unpacklo_epi8(low, zero));
      add(&sums[1], _mm_unpackhi_epi8(low, zero));
      add(&sums[2], _mm_unpacklo_epi8(high, zero));
      add(&sums[3], _mm_unpackhi_epi8(high, zero));
      row += 2 * row_bytes;
    }
    for (__m128i& sum : sums) sum = _mm_sra_epi32(sum, bits);
    const __m128i levels = _mm_packus_epi16(_mm_packs_epi32(sums[0], sums[1]),
                                            _mm_packs_epi32(sums[2], sums[3]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + at), levels);
  }
  return at;
}
#else
int64_t ResampleColumns16(const uint8_t*, int64_t, const int16_t*, const Kernels&,
                          int64_t, uint8_t*) {
  return 0;
}
#endif

void ResampleRowAnyChannels(const uint8_t* in, const Kernels& kernels, int64_t width,
                            int channels, uint8_t* out) {
  for (int64_t x = 0; x < width; ++x) {
    const uint8_t* const pixel = in + static_cast<int64_t>(kernels.begins[x]) * channels;
    const int16_t* const weights = kernels.Weights(x);
    for (int c = 0; c < channels; ++c) {
      int32_t sum = 1 << (kernels.bits - 1);
      for (int64_t k = 0; k < 2 * kernels.pairs; ++k) {
        if (weights[k] != 0) sum += weights[k] * pixel[k * channels + c];
      }
      *out++ = ToByte(sum, kernels.bits);
    }
  }
}

void ResampleRows(const uint8_t* in, int64_t in_row_bytes, int64_t rows, int channels,
                  const Kernels& kernels, int64_t width, uint8_t* out) {
  for (int64_t y = 0; y < rows; ++y) {
#if defined(__SSE2__)
    if (channels == 3) {
      ResampleRow<3>(in, kernels, width, out);
    } else if (channels == 4) {
      ResampleRow<4>(in, kernels, width, out);
    } else {
      ResampleRowAnyChannels(in, kernels, width, channels, out);
    }
#else
    ResampleRowAnyChannels(in, kernels, width, channels, out);
#endif
    in += in_row_bytes;
    out += width * channels;
  }
}

// `in` begins with row `first` of the image.
void ResampleColumns(const uint8_t* in, int64_t in_row_bytes, int64_t first,
                     const Kernels& kernels, int64_t height, int64_t row_bytes,
                     uint8_t* out) {
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* const rows = in + (kernels.begins[y] - first) * in_row_bytes;
    const int16_t* const weights = kernels.Weights(y);
    int64_t at = ResampleColumns16(rows, in_row_bytes, weights, kernels, row_bytes, out);
    for (; at < row_bytes; ++at) {
      int32_t sum = 1 << (kernels.bits - 1);
      for (int64_t k = 0; k < 2 * kernels.pairs; ++k) {
        if (weights[k] != 0) sum += weights[k] * rows[k * in_row_bytes + at];
      }
      out[at] = ToByte(sum, kernels.bits);
    }
    out += row_bytes;
  }
}

}  // namespace

Status Resample(const Resampling& job, Scratch* scratch) {
  const Axis across{job.in_width, job.box.left, job.box.right, job.width,
                    job.interpolation};
  const Axis down{job.in_height, job.box.top, job.box.bottom, job.height,
                  job.interpolation};
  const int64_t row_bytes = job.width * job.channels;
  if (across.IsIdentity() && down.IsIdentity()) {
    for (int64_t y = 0; y < job.height; ++y) {
      std::memcpy(job.out + y * row_bytes, job.in + y * job.in_row_bytes,
                  static_cast<size_t>(row_bytes));
    }
    return Status::OK();
  }
  const int64_t across_bytes = (across.ScratchBytes() + 7) / 8 * 8;
  ARROW_ASSIGN_OR_RAISE(
      uint8_t* const weights,
      scratch->Take(Scratch::kWeights, across_bytes + down.ScratchBytes()));
  if (down.IsIdentity()) {
    ResampleRows(job.in, job.in_row_bytes, job.height, job.channels,
                 MakeKernels(across, weights), job.width, job.out);
    return Status::OK();
  }
  const Kernels rows = MakeKernels(down, weights + across_bytes);
  if (across.IsIdentity()) {
    ResampleColumns(job.in, job.in_row_bytes, 0, rows, job.height, row_bytes, job.out);
    return Status::OK();
  }
  // Only the rows that the columns' kernels reach.
  const int64_t first = rows.begins[0];
  const int64_t end =
      std::min(job.in_height, rows.begins[job.height - 1] + 2 * rows.pairs);
  ARROW_ASSIGN_OR_RAISE(uint8_t* const between,
                        scratch->Take(Scratch::kRows, (end - first) * row_bytes));
  ResampleRows(job.in + first * job.in_row_bytes, job.in_row_bytes, end - first,
               job.channels, MakeKernels(across, weights), job.width, between);
  ResampleColumns(between, row_bytes, first, rows, job.height, row_bytes, job.out);
  return Status::OK();
}

}  // namespace headrace::transform
