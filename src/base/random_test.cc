#include "base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace headrace::base {
namespace {

using ::testing::ElementsAre;

std::vector<uint32_t> Permutation(uint64_t key, int64_t n) {
  std::vector<uint32_t> permutation;
  FillPermutation(key, n, &permutation);
  return permutation;
}

// The numbers of this file are the ground of every sample order. A change breaks all
// saved states and published runs: see the goldens of plan/epoch_order_test.cc.

// The generator's published test vector for this seed.
TEST(KeyedRandom, IsSplitMix64) {
  KeyedRandom random(1234567);
  EXPECT_EQ(random.Next(), 6457827717110365317U);
  EXPECT_EQ(random.Next(), 3203168211198807973U);
  EXPECT_EQ(random.Next(), 9817491932198370423U);
  EXPECT_EQ(random.Next(), 4593380528125082431U);
  EXPECT_EQ(random.Next(), 16408922859458223821U);
}

TEST(KeyedRandom, HasGoldenBoundedNumbers) {
  KeyedRandom random(7);
  std::vector<uint64_t> drawn;
  for (uint64_t bound :
       {uint64_t{10}, uint64_t{1000}, uint64_t{336776}, uint64_t{1} << 40,
        (uint64_t{1} << 63) + 1, std::numeric_limits<uint64_t>::max()}) {
    drawn.push_back(random.Below(bound));
  }
  EXPECT_THAT(drawn, ElementsAre(3U, 16U, 303354U, 640938635367U, 2300599727732774152U,
                                 8632209307422871797U));
}

TEST(MixKey, HasGoldenKeys) {
  EXPECT_EQ(MixKey(Purpose::kBlocks, {}), 6791897765849424158U);
  EXPECT_EQ(MixKey(Purpose::kBlocks, {7, 0}), 11547965208962289197U);
  EXPECT_EQ(MixKey(Purpose::kRotation, {7, 0}), 9195710002269520609U);
  EXPECT_EQ(MixKey(Purpose::kWindow, {7, 0, 3, 12}), 2077027967867318503U);
  EXPECT_EQ(MixKey(Purpose::kWindow, {~uint64_t{0}, 0, 3, 12}), 17939374135399590169U);
}

TEST(FillPermutation, HasTheGoldenPermutation) {
  EXPECT_THAT(Permutation(MixKey(Purpose::kBlocks, {7, 0}), 16),
              ElementsAre(0, 10, 3, 1, 8, 14, 5, 7, 4, 9, 15, 12, 13, 2, 11, 6));
}

TEST(MixKey, DiffersByPurposeCoordinatesTheirOrderAndNumber) {
  std::set<uint64_t> keys;
  size_t made = 0;
  for (Purpose purpose : {Purpose::kBlocks, Purpose::kRotation, Purpose::kWindow}) {
    keys.insert(MixKey(purpose, {}));
    ++made;
    for (uint64_t a = 0; a < 40; ++a) {
      keys.insert(MixKey(purpose, {a}));
      ++made;
      for (uint64_t b = 0; b < 40; ++b) {
        keys.insert(MixKey(purpose, {a, b}));
        keys.insert(MixKey(purpose, {a, b, 0}));
        made += 2;
      }
    }
  }
  EXPECT_EQ(keys.size(), made);
}

TEST(KeyedRandom, StaysBelowItsBound) {
  KeyedRandom random(3);
  for (uint64_t bound : {uint64_t{1}, uint64_t{2}, uint64_t{3}, uint64_t{1} << 63,
                         (uint64_t{1} << 63) + 1, std::numeric_limits<uint64_t>::max()}) {
    for (int i = 0; i < 1000; ++i) ASSERT_LT(random.Below(bound), bound);
  }
}

// Counts that are as far from even as chance allows once in some ten thousand keys; the
// key is fixed, so the test is not a matter of chance.
double ChiSquare(const std::vector<int64_t>& counts) {
  const auto total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  const double expected = static_cast<double>(total) / static_cast<double>(counts.size());
  double sum = 0;
  for (int64_t count : counts) {
    sum += std::pow(static_cast<double>(count) - expected, 2) / expected;
  }
  return sum;
}

// By the normal approximation: mean n, deviation sqrt(2 n), four deviations.
double ChiSquareMost(double degrees) { return degrees + 4 * std::sqrt(2 * degrees); }

TEST(KeyedRandom, IsUniformBelowABound) {
  for (uint64_t key = 0; key < 4; ++key) {
    KeyedRandom random(key);
    std::vector<int64_t> counts(100);
    for (int i = 0; i < 100'000; ++i) ++counts[random.Below(100)];
    EXPECT_LT(ChiSquare(counts), ChiSquareMost(99)) << "key " << key;
  }
}

// With 3 * 2^62 as the bound a multiply without rejection draws one residue twice as
// often.
TEST(KeyedRandom, HasNoBiasBelowALargeBound) {
  KeyedRandom random(5);
  std::vector<int64_t> counts(3);
  for (int i = 0; i < 90'000; ++i) ++counts[random.Below(3 * (uint64_t{1} << 62)) % 3];
  EXPECT_LT(ChiSquare(counts), ChiSquareMost(2));
}

TEST(FillPermutation, HoldsEveryNumberOnce) {
  for (int64_t n : {0, 1, 2, 3, 7, 64, 1000, 131'072}) {
    auto permutation = Permutation(static_cast<uint64_t>(n) + 1, n);
    std::sort(permutation.begin(), permutation.end());
    std::vector<uint32_t> all(static_cast<size_t>(n));
    std::iota(all.begin(), all.end(), 0U);
    ASSERT_EQ(permutation, all);
  }
}

TEST(FillPermutation, DependsOnNothingThatTheVectorHeld) {
  std::vector<uint32_t> used(50, 0xffffffffU);
  FillPermutation(11, 20, &used);
  EXPECT_EQ(used, Permutation(11, 20));
  used.assign(3, 7);
  FillPermutation(11, 20, &used);
  EXPECT_EQ(used, Permutation(11, 20));
}

TEST(FillPermutation, DrawsEachPermutationAsOften) {
  std::vector<int64_t> counts(24);
  for (uint64_t key = 0; key < 48'000; ++key) {
    const auto p = Permutation(MixKey(Purpose::kWindow, {0, 0, 0, key}), 4);
    size_t rank = 0;  // in the factorial number system
    for (size_t i = 0; i < 4; ++i) {
      size_t smaller = 0;
      for (size_t j = i + 1; j < 4; ++j) smaller += p[j] < p[i];
      rank = rank * (4 - i) + smaller;
    }
    ++counts[rank];
  }
  EXPECT_LT(ChiSquare(counts), ChiSquareMost(23));
}

TEST(FillPermutation, PutsEachNumberAtEachPlaceAsOften) {
  constexpr size_t kSize = 16;
  std::array<std::vector<int64_t>, kSize> counts;
  counts.fill(std::vector<int64_t>(kSize));
  for (uint64_t key = 0; key < 16'000; ++key) {
    const auto p = Permutation(MixKey(Purpose::kBlocks, {key, 0}), kSize);
    for (size_t i = 0; i < kSize; ++i) ++counts[i][p[i]];
  }
  for (size_t i = 0; i < kSize; ++i)
    EXPECT_LT(ChiSquare(counts[i]), ChiSquareMost(15)) << i;
}

}  // namespace
}  // namespace headrace::base
