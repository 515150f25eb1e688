#include "expression/literal.h"

#include <arrow/compute/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace headrace::expression {
namespace {

TEST(ParseTimestamp, TakesTheUnitAndZoneThatTheTextNeeds) {
  const auto shown = [](const char* text) {
    const auto scalar = ParseTimestamp(text);
    return scalar == nullptr ? "none"
                             : scalar->type->ToString() + " " + scalar->ToString();
  };
  EXPECT_EQ(shown("2013-01-02"), "timestamp[us] 2013-01-02 00:00:00.000000");
  EXPECT_EQ(shown("2013-01-02 10:30"), "timestamp[us] 2013-01-02 10:30:00.000000");
  EXPECT_EQ(shown("2013-01-02T10:30:00.25Z"),
            "timestamp[us, tz=UTC] 2013-01-02 10:30:00.250000Z");
  EXPECT_EQ(shown("2013-01-02 10:30:00-0530"),
            "timestamp[us, tz=UTC] 2013-01-02 16:00:00.000000Z");
  EXPECT_EQ(shown("2013-01-02 10:30:00.1234567"),
            "timestamp[ns] 2013-01-02 10:30:00.123456700");
  EXPECT_EQ(shown("9999-12-31 23:59:59.1234567"), "none");
  EXPECT_EQ(shown("2013-01-02 25:00:00"), "none");
  EXPECT_EQ(shown("2013-02-30"), "none");
  EXPECT_EQ(shown(""), "none");
}

TEST(CompareScalars, HasNoOrderForNanNullAndOtherTypes) {
  using arrow::MakeScalar;
  EXPECT_TRUE(CompareScalars(*MakeScalar(1), *MakeScalar(2)) < 0);
  EXPECT_TRUE(CompareScalars(*MakeScalar(-0.0), *MakeScalar(0.0)) == 0);
  EXPECT_TRUE(CompareScalars(*MakeScalar("a"), *MakeScalar("\xff")) < 0);
  for (const auto& [left, right] :
       {std::pair{MakeScalar(1), MakeScalar(int64_t{1})},
        std::pair{MakeScalar(1.0), MakeScalar(std::nan(""))},
        std::pair{MakeScalar(1), arrow::MakeNullScalar(arrow::int32())}}) {
    EXPECT_TRUE(CompareScalars(*left, *right) == std::partial_ordering::unordered);
  }
}

/// An integer or real number as Arrow compares it; exact for all that the test draws.
long double ValueOf(const arrow::Scalar& scalar) {
  switch (scalar.type->id()) {
    case arrow::Type::INT8:
      return static_cast<const arrow::Int8Scalar&>(scalar).value;
    case arrow::Type::UINT16:
      return static_cast<const arrow::UInt16Scalar&>(scalar).value;
    case arrow::Type::INT64:
      return static_cast<const arrow::Int64Scalar&>(scalar).value;
    case arrow::Type::UINT64:
      return static_cast<const arrow::UInt64Scalar&>(scalar).value;
    case arrow::Type::FLOAT:
      return static_cast<const arrow::FloatScalar&>(scalar).value;
    default:
      return static_cast<const arrow::DoubleScalar&>(scalar).value;
  }
}

// lower <= literal <= upper, with nothing of the type in between.
TEST(BracketLiteral, EnclosesNumbersByTheirNearestNeighbours) {
  std::mt19937_64 random(11);
  const long double edges[] = {0,     1,      -1,     127,    128,     -128,   -129,
                               65535, 65536,  0.5,    -0.5,   126.9,   1e19,   1e30,
                               -1e30, 0x1p24, 0x1p53, 0x1p63, -0x1p63, 0x1p64, 0.1L};
  const auto types = {arrow::int8(),   arrow::uint16(),  arrow::int64(),
                      arrow::uint64(), arrow::float32(), arrow::float64()};
  std::vector<std::shared_ptr<arrow::Scalar>> literals;
  for (const long double edge : edges) {
    for (int step = -2; step <= 2; ++step) {
      const auto real = static_cast<double>(edge) * (1 + step * 0x1p-52);
      literals.push_back(arrow::MakeScalar(real));
      literals.push_back(arrow::MakeScalar(static_cast<float>(real)));
      const long double whole = std::floor(edge) + step;
      if (std::abs(whole) < 0x1p63L) {
        literals.push_back(arrow::MakeScalar(static_cast<int64_t>(whole)));
      }
      if (whole >= 0 && whole < 0x1p64L) {
        literals.push_back(arrow::MakeScalar(static_cast<uint64_t>(whole)));
      }
    }
  }
  for (int i = 0; i < 2000; ++i) {
    literals.push_back(
        arrow::MakeScalar(static_cast<int64_t>(random() >> (random() % 64))));
    literals.push_back(arrow::MakeScalar(
        std::ldexp(static_cast<double>(random()), -int(random() % 90))));
  }
  for (const auto& literal : literals) {
    for (const auto& type : types) {
      const Bracket place = BracketLiteral(literal, type).ValueOrDie();
      const long double value = ValueOf(*literal);
      SCOPED_TRACE(literal->ToString() + " of " + literal->type->ToString() + " among " +
                   type->ToString());
      ASSERT_FALSE(place.unordered());
      if (place.exact()) {
        EXPECT_EQ(ValueOf(*place.lower), value);
        continue;
      }
      if (place.lower != nullptr) {
        EXPECT_LT(ValueOf(*place.lower), value);
      }
      if (place.upper != nullptr) {
        EXPECT_GT(ValueOf(*place.upper), value);
      }
      if (place.lower == nullptr || place.upper == nullptr) continue;
      if (arrow::is_integer(type->id())) {
        EXPECT_EQ(ValueOf(*place.upper) - ValueOf(*place.lower), 1);
      } else if (type->id() == arrow::Type::FLOAT) {
        EXPECT_EQ(std::nextafter(static_cast<float>(ValueOf(*place.lower)), INFINITY),
                  static_cast<float>(ValueOf(*place.upper)));
      } else {
        EXPECT_EQ(std::nextafter(static_cast<double>(ValueOf(*place.lower)), INFINITY),
                  static_cast<double>(ValueOf(*place.upper)));
      }
    }
  }
}

TEST(BracketLiteral, TakesDecimalsOfAnySize) {
  const auto shown = [](double value, int precision, int scale) {
    const auto place =
        BracketLiteral(arrow::MakeScalar(value), arrow::decimal128(precision, scale))
            .ValueOrDie();
    const auto text = [](const std::shared_ptr<arrow::Scalar>& bound) {
      return bound == nullptr ? std::string("-") : bound->ToString();
    };
    return text(place.lower) + " " + text(place.upper);
  };
  EXPECT_EQ(shown(0.1, 5, 2), "0.10 0.10");
  EXPECT_EQ(shown(-0.125, 5, 2), "-0.13 -0.12");
  EXPECT_EQ(shown(1e-300, 5, 2), "0.00 0.01");
  EXPECT_EQ(shown(-1e-300, 5, 2), "-0.01 0.00");
  EXPECT_EQ(shown(1e300, 5, 2), "999.99 -");
  EXPECT_EQ(shown(-1e300, 5, 2), "- -999.99");
  EXPECT_EQ(shown(999.991, 5, 2), "999.99 -");
  EXPECT_EQ(shown(INFINITY, 5, 2), "999.99 -");
  EXPECT_EQ(shown(1e22, 38, 10),
            "10000000000000000000000.0000000000 "
            "10000000000000000000000.0000000000");
}

TEST(BracketLiteral, RefusesOtherFamilies) {
  for (const auto& [literal, type] :
       {std::pair{arrow::MakeScalar("x"), arrow::int64()},
        std::pair{arrow::MakeScalar(1), arrow::date32()},
        std::pair{arrow::MakeScalar(true), arrow::int64()},
        std::pair{arrow::MakeScalar("1e999"), arrow::decimal128(5, 2)},
        std::pair{arrow::MakeScalar("10:00"),
                  arrow::duration(arrow::TimeUnit::SECOND)}}) {
    EXPECT_EQ(KindOf(BracketLiteral(literal, type).status()),
              ErrorKind::kInvalidArgument);
  }
}

}  // namespace
}  // namespace headrace::expression
