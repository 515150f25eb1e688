#include "schema/convert.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace headrace::schema {
namespace {

constexpr std::array kAll = {
    DType::kBool,     DType::kInt8,    DType::kInt16,  DType::kInt32,  DType::kInt64,
    DType::kUInt8,    DType::kUInt16,  DType::kUInt32, DType::kUInt64, DType::kFloat16,
    DType::kBFloat16, DType::kFloat32, DType::kFloat64};

template <typename From, typename To>
std::optional<int64_t> ConvertAll(DType from, DType to, const std::vector<From>& in,
                                  std::vector<To>* out) {
  out->resize(in.size());
  ConvertSpan span;
  span.in = reinterpret_cast<const uint8_t*>(in.data());
  span.out = reinterpret_cast<uint8_t*>(out->data());
  span.count = static_cast<int64_t>(in.size());
  return Convert(from, to, span);
}

TEST(Convert, KeepsSmallIntegersAcrossAllPairs) {
  for (DType from : kAll) {
    for (DType to : kAll) {
      uint8_t a[8], b[8], back[8];
      ASSERT_TRUE(StoreNumber(Number{true, 1, 0}, from, a).ok());
      ConvertSpan there{a, 1, b, 1, 1};
      ASSERT_FALSE(Convert(from, to, there))
          << DTypeName(from) << " to " << DTypeName(to);
      ConvertSpan again{b, 1, back, 1, 1};
      ASSERT_FALSE(Convert(to, from, again));
      EXPECT_EQ(0, std::memcmp(a, back, static_cast<size_t>(ByteWidth(from))))
          << DTypeName(from) << " by " << DTypeName(to);
    }
  }
}

TEST(Convert, RefusesWhatDoesNotFitAnInteger) {
  std::vector<int8_t> narrow;
  EXPECT_EQ(1, ConvertAll<int64_t>(DType::kInt64, DType::kInt8, {127, 128}, &narrow));
  std::vector<uint8_t> positive;
  EXPECT_EQ(0, ConvertAll<int32_t>(DType::kInt32, DType::kUInt8, {-1}, &positive));
  std::vector<int32_t> whole;
  EXPECT_EQ(2,
            ConvertAll<double>(DType::kFloat64, DType::kInt32, {1.0, -2.0, 0.5}, &whole));
  EXPECT_EQ(0,
            ConvertAll<double>(DType::kFloat64, DType::kInt32, {std::nan("")}, &whole));
  EXPECT_EQ(0, ConvertAll<float>(DType::kFloat32, DType::kInt32, {INFINITY}, &whole));
}

TEST(Convert, KnowsTheEdgesOfSixtyFourBits) {
  std::vector<int64_t> out;
  EXPECT_EQ(0, ConvertAll<double>(DType::kFloat64, DType::kInt64, {9223372036854775808.0},
                                  &out));
  EXPECT_FALSE(
      ConvertAll<double>(DType::kFloat64, DType::kInt64, {-9223372036854775808.0}, &out));
  EXPECT_EQ(std::numeric_limits<int64_t>::min(), out[0]);
  EXPECT_EQ(
      0, ConvertAll<uint64_t>(DType::kUInt64, DType::kInt64, {uint64_t{1} << 63}, &out));
}

TEST(Convert, RoundsToNearestEvenInSixteenBits) {
  std::vector<uint16_t> out;
  // 1 + 2^-8 lies between the bfloat16 numbers 1 and 1 + 2^-7: the even one is 1.
  EXPECT_FALSE(ConvertAll<float>(DType::kFloat32, DType::kBFloat16,
                                 {1.0f + 0x1p-8f, 1.0f + 3 * 0x1p-8f, -INFINITY}, &out));
  EXPECT_EQ(0x3f80, out[0]);
  EXPECT_EQ(0x3f82, out[1]);
  EXPECT_EQ(0xff80, out[2]);
  EXPECT_FALSE(
      ConvertAll<float>(DType::kFloat32, DType::kBFloat16, {std::nanf("")}, &out));
  EXPECT_EQ(0x7f80, out[0] & 0x7f80);
  EXPECT_NE(0, out[0] & 0x7f);
  EXPECT_FALSE(
      ConvertAll<float>(DType::kFloat32, DType::kFloat16, {65504.0f, 1e-8f}, &out));
  EXPECT_EQ(0x7bff, out[0]);
  EXPECT_EQ(0, out[1]);
}

TEST(Convert, FollowsStrides) {
  const std::vector<int32_t> in = {1, 2, 3, 4, 5, 6};
  std::vector<float> out(6, -1);
  ConvertSpan span{reinterpret_cast<const uint8_t*>(in.data()), 2,
                   reinterpret_cast<uint8_t*>(out.data()), 3, 2};
  EXPECT_FALSE(Convert(DType::kInt32, DType::kFloat32, span));
  EXPECT_EQ((std::vector<float>{1, -1, -1, 3, -1, -1}), out);
}

TEST(Standardize, IsComputedInDoubleAndRoundedOnceForEveryDType) {
  const StandardizePolicy how{0.3, 0.7};
  const double expected = (1 - 0.3) / 0.7;
  for (DType from : kAll) {
    uint8_t in[8];
    ASSERT_TRUE(StoreNumber(Number{true, 1, 0}, from, in).ok());
    float single = 0;
    Standardize(how, from, DType::kFloat32,
                {in, 1, reinterpret_cast<uint8_t*>(&single), 1, 1});
    EXPECT_EQ(single, static_cast<float>(expected)) << DTypeName(from);
    double twice = 0;
    Standardize(how, from, DType::kFloat64,
                {in, 1, reinterpret_cast<uint8_t*>(&twice), 1, 1});
    EXPECT_EQ(twice, expected) << DTypeName(from);
    for (DType to : {DType::kFloat16, DType::kBFloat16}) {
      uint16_t half = 0, nearest = 0;
      Standardize(how, from, to, {in, 1, reinterpret_cast<uint8_t*>(&half), 1, 1});
      Convert(DType::kFloat64, to,
              {reinterpret_cast<const uint8_t*>(&expected), 1,
               reinterpret_cast<uint8_t*>(&nearest), 1, 1});
      EXPECT_EQ(half, nearest) << DTypeName(from) << " to " << DTypeName(to);
    }
  }
}

TEST(Standardize, KeepsWhatFloat32WouldLoseBeforeTheMeanIsTakenOff) {
  const std::vector<int64_t> in = {(int64_t{1} << 40) + 1, int64_t{1} << 40};
  std::vector<float> out(2);
  Standardize({static_cast<double>(int64_t{1} << 40), 1}, DType::kInt64, DType::kFloat32,
              {reinterpret_cast<const uint8_t*>(in.data()), 1,
               reinterpret_cast<uint8_t*>(out.data()), 1, 2});
  EXPECT_EQ(out, (std::vector<float>{1, 0}));
}

TEST(Standardize, OnlyShiftsWhereNothingDeviatesAndFollowsStrides) {
  const std::vector<int32_t> in = {1, 2, 3, 4};
  std::vector<float> out(6, 9);
  Standardize({2, 0}, DType::kInt32, DType::kFloat32,
              {reinterpret_cast<const uint8_t*>(in.data()), 2,
               reinterpret_cast<uint8_t*>(out.data()), 3, 2});
  EXPECT_EQ(out, (std::vector<float>{-1, 9, 9, 1, 9, 9}));
}

TEST(StoreNumber, SaysWhatDoesNotFit) {
  uint8_t out[8];
  Status status = StoreNumber(Number{true, 300, 0}, DType::kUInt8, out);
  EXPECT_EQ(ErrorKind::kInvalidArgument, KindOf(status));
  EXPECT_EQ("300 is no uint8", status.message());
  status = StoreNumber(Number{false, 0, 0.5}, DType::kInt32, out);
  EXPECT_EQ("0.5 is no int32", status.message());
}

TEST(NumberToString, ReadsBackAsTheSameNumber) {
  EXPECT_EQ("0.1", NumberToString(Number{false, 0, 0.1}));
  EXPECT_EQ("-9223372036854775808",
            NumberToString(Number{true, std::numeric_limits<int64_t>::min(), 0}));
}

}  // namespace
}  // namespace headrace::schema
