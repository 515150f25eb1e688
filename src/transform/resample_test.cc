#include "transform/resample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"

namespace headrace::transform {
namespace {

using image::Interpolation;

double Kernel(Interpolation interpolation, double x) {
  x = std::abs(x);
  if (interpolation == Interpolation::kBilinear) return x < 1 ? 1 - x : 0;
  if (x < 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
  return x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
}

// The definition, pixel by pixel and without rounding in between.
double Expected(const Resampling& job, int64_t y, int64_t x, int c) {
  auto weights = [&](int64_t in, double from, double to, int64_t out, int64_t at) {
    const double scale = (to - from) / static_cast<double>(out);
    const double stretch = std::max(1.0, scale);
    const double center = from + (static_cast<double>(at) + 0.5) * scale;
    std::vector<double> found;
    double sum = 0;
    for (int64_t i = 0; i < in; ++i) {
      found.push_back(
          Kernel(job.interpolation, (static_cast<double>(i) + 0.5 - center) / stretch));
      sum += found.back();
    }
    for (double& weight : found) weight /= sum;
    return found;
  };
  const auto down = weights(job.in_height, job.box.top, job.box.bottom, job.height, y);
  const auto across = weights(job.in_width, job.box.left, job.box.right, job.width, x);
  double value = 0;
  for (int64_t i = 0; i < job.in_height; ++i) {
    double row = 0;
    for (int64_t k = 0; k < job.in_width; ++k) {
      row += across[static_cast<size_t>(k)] *
             job.in[i * job.in_row_bytes + k * job.channels + c];
    }
    value += down[static_cast<size_t>(i)] * std::clamp(row, 0.0, 255.0);
  }
  return std::clamp(value, 0.0, 255.0);
}

struct Case {
  int64_t in_height, in_width, height, width;
  int channels;
  Interpolation interpolation;
  double inset = 0;  // of the box, at each side
};

class Resampled : public ::testing::TestWithParam<Case> {};

TEST_P(Resampled, IsWithinALevelOfTheDefinition) {
  const Case& p = GetParam();
  const int64_t row_bytes = p.in_width * p.channels + 5;  // rows apart
  std::vector<uint8_t> in(static_cast<size_t>(p.in_height * row_bytes + Scratch::kSlack));
  base::KeyedRandom random(7);
  for (uint8_t& byte : in) byte = static_cast<uint8_t>(random.Next() >> 56);
  std::vector<uint8_t> out(static_cast<size_t>(p.height * p.width * p.channels));
  Scratch scratch(arrow::default_memory_pool());
  const Resampling job{
      .in = in.data(),
      .in_height = p.in_height,
      .in_width = p.in_width,
      .in_row_bytes = row_bytes,
      .channels = p.channels,
      .box = {p.inset, p.inset, static_cast<double>(p.in_height) - p.inset,
              static_cast<double>(p.in_width) - p.inset},
      .height = p.height,
      .width = p.width,
      .interpolation = p.interpolation,
      .out = out.data()};
  ASSERT_TRUE(Resample(job, &scratch).ok());
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      for (int c = 0; c < p.channels; ++c) {
        const int found = out[static_cast<size_t>((y * p.width + x) * p.channels + c)];
        // Half a level for each of the two roundings, and what weights round.
        ASSERT_NEAR(Expected(job, y, x, c), found, 1.35) << y << " " << x << " " << c;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, Resampled,
    ::testing::Values(Case{37, 50, 16, 21, 3, Interpolation::kBilinear},
                      Case{37, 50, 16, 21, 3, Interpolation::kBicubic},
                      Case{37, 50, 16, 21, 4, Interpolation::kBicubic},
                      Case{37, 50, 16, 21, 1, Interpolation::kBicubic},
                      Case{37, 51, 16, 21, 2, Interpolation::kBilinear},
                      Case{16, 21, 37, 50, 3, Interpolation::kBicubic},
                      Case{16, 21, 37, 50, 3, Interpolation::kBilinear},
                      Case{16, 21, 37, 21, 3, Interpolation::kBilinear},
                      Case{16, 21, 16, 50, 3, Interpolation::kBilinear},
                      Case{16, 21, 16, 21, 3, Interpolation::kBilinear},
                      Case{1, 1, 5, 6, 3, Interpolation::kBicubic},
                      Case{3, 2, 2, 3, 3, Interpolation::kBicubic},
                      Case{1, 97, 1, 2, 3, Interpolation::kBilinear},
                      Case{97, 1, 1, 1, 3, Interpolation::kBicubic},
                      Case{64, 64, 20, 20, 3, Interpolation::kBilinear, 0.75},
                      Case{64, 64, 64, 64, 3, Interpolation::kBicubic, 0.5},
                      Case{8, 300, 4, 3, 3, Interpolation::kBicubic}));

TEST(Resample, KeepsOneColour) {
  std::vector<uint8_t> in(100 * 100 * 3 + Scratch::kSlack, 255);
  Scratch scratch(arrow::default_memory_pool());
  for (const int64_t side : {1, 7, 99, 100, 131}) {
    for (const auto kind : {Interpolation::kBilinear, Interpolation::kBicubic}) {
      std::vector<uint8_t> out(static_cast<size_t>(side * side * 3));
      const Resampling job{in.data(),        100,  100,  300,  3,
                           {0, 0, 100, 100}, side, side, kind, out.data()};
      ASSERT_TRUE(Resample(job, &scratch).ok());
      EXPECT_THAT(out, ::testing::Each(255)) << side;
    }
  }
}

}  // namespace
}  // namespace headrace::transform
