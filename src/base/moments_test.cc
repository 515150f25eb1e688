#include "base/moments.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace headrace::base {
namespace {

Moments Of(const std::vector<double>& values) {
  Moments moments;
  moments.Add(values);
  return moments;
}

TEST(Moments, OfNothingAreZero) {
  const Moments none = Of({});
  EXPECT_EQ(none.count(), 0);
  EXPECT_EQ(none.mean(), 0);
  EXPECT_EQ(none.std(), 0);
}

TEST(Moments, AreThoseOfThePopulation) {
  const Moments moments = Of({2, 4, 4, 4, 5, 5, 7, 9});
  EXPECT_EQ(moments.count(), 8);
  EXPECT_EQ(moments.mean(), 5);
  EXPECT_EQ(moments.std(), 2);
}

TEST(Moments, OfOneValueHaveNoDeviationAtAll) {
  Moments moments;
  for (int part = 1; part <= 7; ++part) {
    moments.Add(std::vector<double>(static_cast<size_t>(part), 0.1));
  }
  EXPECT_EQ(moments.mean(), 0.1);
  EXPECT_EQ(moments.std(), 0);
}

TEST(Moments, KeepDeviationsThatAreSmallAgainstTheMean) {
  // Squares of these take 2e18: their difference is far below what a float64 keeps.
  std::vector<double> values;
  for (int i = 0; i < 30'000; ++i) values.push_back(1e9 + i % 3);
  const double deviation = std::sqrt(2.0 / 3);
  EXPECT_NEAR(Of(values).std(), deviation, 1e-12);
  Moments merged;
  for (size_t at = 0; at < values.size(); at += 1000) {
    merged.Add(std::vector<double>(values.begin() + static_cast<int64_t>(at),
                                   values.begin() + static_cast<int64_t>(at) + 1000));
  }
  EXPECT_EQ(merged.count(), 30'000);
  EXPECT_NEAR(merged.mean(), 1e9 + 1, 1e-6);
  EXPECT_NEAR(merged.std(), deviation, 1e-9);
}

TEST(Moments, OfPartsAreThoseOfTheWhole) {
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) values.push_back(std::sin(i) * i);
  const Moments whole = Of(values);
  for (const size_t cut : {0UL, 1UL, 500UL, 999UL, 1000UL}) {
    const auto at = values.begin() + static_cast<int64_t>(cut);
    Moments merged = Of({values.begin(), at});
    merged.Merge(Of({at, values.end()}));
    EXPECT_EQ(merged.count(), whole.count());
    EXPECT_NEAR(merged.mean(), whole.mean(), 1e-10);
    EXPECT_NEAR(merged.std(), whole.std(), 1e-10);
  }
}

TEST(Moments, OfTheSamePartsInTheSameOrderAreTheSameBits) {
  auto made = [] {
    Moments moments;
    for (int part = 0; part < 20; ++part) moments.Merge(Of({0.1 * part, 1e-3, 7.7}));
    return std::bit_cast<uint64_t>(moments.std());
  };
  EXPECT_EQ(made(), made());
}

}  // namespace
}  // namespace headrace::base
