#include "expression/literal.h"

#include <arrow/compute/cast.h>
#include <arrow/extension_type.h>
#include <arrow/type_traits.h>
#include <arrow/util/decimal.h>
#include <arrow/util/value_parsing.h>
#include <arrow/visit_type_inline.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "expression/text.h"

namespace headrace::expression {
namespace {

using arrow::Decimal128;
using arrow::Decimal256;
using arrow::Scalar;
using arrow::Type;
using ScalarPtr = std::shared_ptr<Scalar>;
using TypePtr = std::shared_ptr<arrow::DataType>;

/// Types whose values can be told apart by one order.
enum class Family {
  kNumber,
  kInstant,
  kZonedInstant,
  kTimeOfDay,
  kDuration,
  kText,
  kOther
};

Family FamilyOf(const arrow::DataType& type) {
  if (arrow::is_numeric(type.id()) || arrow::is_decimal(type.id()))
    return Family::kNumber;
  if (arrow::is_base_binary_like(type.id()) || type.id() == Type::FIXED_SIZE_BINARY) {
    return Family::kText;
  }
  switch (type.id()) {
    case Type::DATE32:
    case Type::DATE64:
      return Family::kInstant;
    case Type::TIMESTAMP:
      return static_cast<const arrow::TimestampType&>(type).timezone().empty()
                 ? Family::kInstant
                 : Family::kZonedInstant;
    case Type::TIME32:
    case Type::TIME64:
      return Family::kTimeOfDay;
    case Type::DURATION:
      return Family::kDuration;
    default:
      return Family::kOther;
  }
}

int DigitsOf(arrow::TimeUnit::type unit) { return 3 * static_cast<int>(unit); }

/// The values of an integer, decimal or temporal type: n * multiple * 10^-scale for whole
/// numbers n in [min, max]; in seconds where it is temporal.
struct Grid {
  int scale = 0;
  int64_t multiple = 1;
  Decimal256 min;
  Decimal256 max;
};

template <typename C>
Grid IntegerGrid(int scale = 0, int64_t multiple = 1) {
  return {scale, multiple, Decimal256(std::numeric_limits<C>::min()),
          Decimal256(std::numeric_limits<C>::max())};
}

Grid DecimalGrid(const arrow::DecimalType& type) {
  const Decimal256 limit = Decimal256::GetMaxValue(type.precision());
  return {type.scale(), 1, -limit, limit};
}

std::optional<Grid> GridOf(const arrow::DataType& type) {
  switch (type.id()) {
    case Type::INT8:
      return IntegerGrid<int8_t>();
    case Type::INT16:
      return IntegerGrid<int16_t>();
    case Type::INT32:
      return IntegerGrid<int32_t>();
    case Type::INT64:
      return IntegerGrid<int64_t>();
    case Type::UINT8:
      return IntegerGrid<uint8_t>();
    case Type::UINT16:
      return IntegerGrid<uint16_t>();
    case Type::UINT32:
      return IntegerGrid<uint32_t>();
    case Type::UINT64:
      return IntegerGrid<uint64_t>();
    case Type::DATE32:
      return IntegerGrid<int32_t>(0, 86400);
    case Type::DATE64:
      return IntegerGrid<int64_t>(3);
    case Type::TIMESTAMP:
      return IntegerGrid<int64_t>(
          DigitsOf(static_cast<const arrow::TimestampType&>(type).unit()));
    case Type::TIME32:
      return IntegerGrid<int32_t>(
          DigitsOf(static_cast<const arrow::TimeType&>(type).unit()));
    case Type::TIME64:
      return IntegerGrid<int64_t>(
          DigitsOf(static_cast<const arrow::TimeType&>(type).unit()));
    case Type::DURATION:
      return IntegerGrid<int64_t>(
          DigitsOf(static_cast<const arrow::DurationType&>(type).unit()));
    case Type::DECIMAL128:
    case Type::DECIMAL256:
      return DecimalGrid(static_cast<const arrow::DecimalType&>(type));
    default:
      return std::nullopt;
  }
}

/// The whole number that a scalar of a gridded type is; its place is n * multiple *
/// 10^-scale.
struct NumberOf {
  const Scalar& scalar;
  Decimal256 number;

  template <typename T>
  Status Visit(const T&) {
    if constexpr (arrow::is_decimal_type<T>::value) {
      number = Decimal256(
          static_cast<const typename arrow::TypeTraits<T>::ScalarType&>(scalar).value);
    } else if constexpr (arrow::is_integer_type<T>::value ||
                         arrow::is_temporal_type<T>::value) {
      if constexpr (std::is_integral_v<typename T::c_type>) {
        number = Decimal256(
            static_cast<const typename arrow::TypeTraits<T>::ScalarType&>(scalar).value);
      }
    }
    return Status::OK();
  }
};

Result<ScalarPtr> MakeGridScalar(const Decimal256& number, const TypePtr& type) {
  const auto& words = number.little_endian_array();
  if (type->id() == Type::DECIMAL256) {
    return std::make_shared<arrow::Decimal256Scalar>(number, type);
  }
  if (type->id() == Type::DECIMAL128) {
    return std::make_shared<arrow::Decimal128Scalar>(
        Decimal128(static_cast<int64_t>(words[1]), words[0]), type);
  }
  // In range, so that the low word is the number in two's complement.
  if (type->id() == Type::UINT64) return arrow::MakeScalar(type, words[0]);
  return arrow::MakeScalar(type, static_cast<int64_t>(words[0]));
}

/// Places digits * 10^-scale on the grid of `type`.
Result<Bracket> BracketOnGrid(Decimal256 digits, int scale, const Grid& grid,
                              const TypePtr& type) {
  constexpr int kDigitsMax = Decimal256::kMaxPrecision;
  const Decimal256 zero(0);
  Decimal256 divisor(grid.multiple);
  std::optional<Decimal256> floor;  // Absent: beyond all that 256 bits can say.
  bool whole = false;
  if (scale <= grid.scale) {
    const int shift = grid.scale - scale;
    if (digits == zero || shift == 0) {
      floor = digits;
    } else if (shift <= kDigitsMax) {
      auto shifted = digits.Rescale(scale, grid.scale);
      if (shifted.ok()) floor = *shifted;
    }
  } else {
    // Past kDigitsMax the quotient is 0 and the remainder is not, whatever the shift.
    floor = digits;
    divisor *= Decimal256(Decimal256::GetScaleMultiplier(
        std::min(scale - grid.scale, kDigitsMax - (grid.multiple > 1 ? 5 : 0))));
  }
  if (floor.has_value()) {
    ARROW_ASSIGN_OR_RAISE(auto parts, floor->Divide(divisor));
    whole = parts.second == zero;
    floor = parts.first;
    if (parts.second < zero) *floor -= Decimal256(1);
  }

  Bracket bracket;
  const bool above = floor.has_value() ? *floor > grid.max : digits > zero;
  const bool below = floor.has_value() ? *floor < grid.min : digits < zero;
  if (above) {
    ARROW_ASSIGN_OR_RAISE(bracket.lower, MakeGridScalar(grid.max, type));
    return bracket;
  }
  if (below) {
    ARROW_ASSIGN_OR_RAISE(bracket.upper, MakeGridScalar(grid.min, type));
    return bracket;
  }
  ARROW_ASSIGN_OR_RAISE(bracket.lower, MakeGridScalar(*floor, type));
  if (whole) {
    bracket.upper = bracket.lower;
  } else if (*floor < grid.max) {
    ARROW_ASSIGN_OR_RAISE(bracket.upper, MakeGridScalar(*floor + Decimal256(1), type));
  }
  return bracket;
}

std::optional<double> RealOf(const Scalar& scalar) {
  if (scalar.type->id() == Type::DOUBLE) {
    return static_cast<const arrow::DoubleScalar&>(scalar).value;
  }
  if (scalar.type->id() == Type::FLOAT) {
    return static_cast<const arrow::FloatScalar&>(scalar).value;
  }
  return std::nullopt;
}

/// digits * 10^-scale, the shortest decimal that reads back as `value` (finite).
std::pair<Decimal256, int> ShortestDecimal(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value,
                                 std::chars_format::scientific);
  const std::string_view text(buffer, end.ptr - buffer);
  const size_t e = text.find('e');
  int64_t mantissa = 0;
  int scale = 0;
  bool fraction = false;
  for (const char c : text.substr(0, e)) {
    if (c == '.') fraction = true;
    if (c < '0' || c > '9') continue;
    mantissa = mantissa * 10 + (c - '0');
    if (fraction) ++scale;
  }
  int exponent = 0;
  const char* digits = text.data() + e + 1;
  std::from_chars(*digits == '+' ? digits + 1 : digits, end.ptr, exponent);
  return {Decimal256(std::signbit(value) ? -mantissa : mantissa), scale - exponent};
}

Result<Bracket> BracketReal(double value, const Grid& grid, const TypePtr& type) {
  if (std::isnan(value)) return Bracket{};
  if (std::isinf(value)) {
    return BracketOnGrid(Decimal256(value > 0 ? 1 : -1), -1000, grid, type);
  }
  const auto place = [&](double real) -> Result<Bracket> {
    const auto [digits, scale] = ShortestDecimal(real);
    return BracketOnGrid(digits, scale, grid, type);
  };
  if (arrow::is_decimal(type->id())) return place(value);
  // Integers are compared with the double itself, not with its shortest decimal.
  constexpr double kExact = 18446744073709551616.0;
  if (std::abs(value) >= kExact) return place(value);
  const auto whole = [&](double real) -> Result<Bracket> {
    const Decimal256 magnitude(static_cast<uint64_t>(std::abs(real)));
    return BracketOnGrid(real < 0 ? Decimal256(-magnitude) : magnitude, 0, grid, type);
  };
  ARROW_ASSIGN_OR_RAISE(Bracket low, whole(std::floor(value)));
  if (std::floor(value) == value) return low;
  ARROW_ASSIGN_OR_RAISE(Bracket high, whole(std::ceil(value)));
  return Bracket{low.lower, high.upper};
}

/// Places a number among the values of a floating point type. `long double` holds every
/// 64-bit integer and every double.
template <typename Real>
Result<Bracket> BracketAmongReals(const Scalar& literal, const TypePtr& type) {
  static_assert(std::numeric_limits<long double>::digits >= 64);
  constexpr Real kInfinity = std::numeric_limits<Real>::infinity();
  long double value = 0;
  if (const auto real = RealOf(literal)) {
    value = *real;
  } else if (arrow::is_decimal(literal.type->id())) {
    // A decimal stands for the nearest double, as it would in text.
    const std::string text = literal.ToString();
    double real = 0;
    std::from_chars(text.data(), text.data() + text.size(), real);
    value = real;
    if constexpr (std::is_same_v<Real, float>) value = static_cast<float>(value);
  } else {
    NumberOf number{literal, {}};
    ARROW_RETURN_NOT_OK(arrow::VisitTypeInline(*literal.type, &number));
    const bool negative = number.number < Decimal256(0);
    const Decimal256 magnitude = negative ? Decimal256(-number.number) : number.number;
    value = magnitude.little_endian_array()[0];
    if (negative) value = -value;
  }
  const Real nearest = static_cast<Real>(value);
  Bracket bracket;
  ARROW_ASSIGN_OR_RAISE(bracket.lower, arrow::MakeScalar(type, nearest));
  bracket.upper = bracket.lower;
  if (nearest < value) {
    ARROW_ASSIGN_OR_RAISE(bracket.upper,
                          arrow::MakeScalar(type, std::nextafter(nearest, kInfinity)));
  } else if (nearest > value) {
    ARROW_ASSIGN_OR_RAISE(bracket.lower,
                          arrow::MakeScalar(type, std::nextafter(nearest, -kInfinity)));
  }
  return bracket;
}

std::string_view BytesOf(const Scalar& scalar) {
  return static_cast<const arrow::BaseBinaryScalar&>(scalar).view();
}

/// The neighbour of a byte string among those of its length, or nullptr at the end.
ScalarPtr Neighbour(std::string bytes, bool next, const TypePtr& type) {
  for (size_t i = bytes.size(); i-- > 0;) {
    bytes[i] = static_cast<char>(bytes[i] + (next ? 1 : -1));
    const bool carries = static_cast<unsigned char>(bytes[i]) == (next ? 0x00 : 0xff);
    if (!carries) {
      return std::make_shared<arrow::FixedSizeBinaryScalar>(
          arrow::Buffer::FromString(std::move(bytes)), type);
    }
  }
  return nullptr;
}

Result<Bracket> BracketText(const Scalar& literal, const TypePtr& type) {
  const auto& value = static_cast<const arrow::BaseBinaryScalar&>(literal).value;
  ScalarPtr same;
  switch (type->id()) {
    case Type::STRING:
      same = std::make_shared<arrow::StringScalar>(value);
      break;
    case Type::LARGE_STRING:
      same = std::make_shared<arrow::LargeStringScalar>(value);
      break;
    case Type::BINARY:
      same = std::make_shared<arrow::BinaryScalar>(value);
      break;
    case Type::LARGE_BINARY:
      same = std::make_shared<arrow::LargeBinaryScalar>(value);
      break;
    default: {
      const auto width = static_cast<size_t>(
          static_cast<const arrow::FixedSizeBinaryType&>(*type).byte_width());
      const std::string_view bytes = BytesOf(literal);
      std::string fitted(bytes.substr(0, width));
      fitted.resize(width, '\0');
      same = std::make_shared<arrow::FixedSizeBinaryScalar>(
          arrow::Buffer::FromString(fitted), type);
      // Cut off it is less than the literal, filled up it is greater.
      if (bytes.size() > width) return Bracket{same, Neighbour(fitted, true, type)};
      if (bytes.size() < width) return Bracket{Neighbour(fitted, false, type), same};
    }
  }
  return Bracket{same, same};
}

/// Text as a literal that `type` can be compared with, or nullptr.
ScalarPtr ParseAs(std::string_view text, const arrow::DataType& type) {
  switch (FamilyOf(type)) {
    case Family::kInstant:
    case Family::kZonedInstant:
      if (ScalarPtr date = ParseDate(text)) return date;
      return ParseTimestamp(text);
    case Family::kTimeOfDay: {
      const auto nanoseconds = std::static_pointer_cast<arrow::Time64Type>(
          arrow::time64(arrow::TimeUnit::NANO));
      int64_t value = 0;
      if (!arrow::internal::ParseValue(*nanoseconds, text.data(), text.size(), &value)) {
        return nullptr;
      }
      return std::make_shared<arrow::Time64Scalar>(value, nanoseconds);
    }
    case Family::kNumber: {
      Decimal256 digits;
      int32_t precision = 0;
      int32_t scale = 0;
      if (!arrow::is_decimal(type.id()) ||
          !Decimal256::FromString(text, &digits, &precision, &scale).ok() ||
          precision > Decimal256::kMaxPrecision || std::abs(scale) > 1000) {
        return nullptr;
      }
      return std::make_shared<arrow::Decimal256Scalar>(
          digits, arrow::decimal256(std::max(precision, 1), scale));
    }
    default:
      return nullptr;
  }
}

std::string Advice(const Scalar& literal, const arrow::DataType& type) {
  const bool text = FamilyOf(*literal.type) == Family::kText;
  const Family family = FamilyOf(type);
  if (text && family == Family::kNumber) return "; write numbers without quotes";
  if (text && type.id() == Type::BOOL) return "; write true or false";
  if (text && family == Family::kTimeOfDay) return "; write '14:30:00'";
  if (family == Family::kText) return "; write strings in single quotes";
  if (type.id() == Type::DATE32) return "; write date '2013-01-31'";
  if (family == Family::kInstant)
    return "; write timestamp '2013-01-31 14:30:00' (no zone)";
  if (family == Family::kZonedInstant) return "; write timestamp '2013-01-31 14:30:00Z'";
  return "";
}

struct Comparer {
  const Scalar& left;
  const Scalar& right;
  std::partial_ordering order = std::partial_ordering::unordered;

  template <typename T>
  Status Visit(const T&) {
    using ScalarType = typename arrow::TypeTraits<T>::ScalarType;
    const auto& l = static_cast<const ScalarType&>(left);
    const auto& r = static_cast<const ScalarType&>(right);
    if constexpr (arrow::is_base_binary_type<T>::value ||
                  std::is_same_v<T, arrow::FixedSizeBinaryType>) {
      order = l.view() <=> r.view();
    } else if constexpr (arrow::is_decimal_type<T>::value) {
      order = l.value < r.value   ? std::partial_ordering::less
              : r.value < l.value ? std::partial_ordering::greater
                                  : std::partial_ordering::equivalent;
    } else if constexpr (arrow::has_c_type<T>::value &&
                         !std::is_same_v<T, arrow::HalfFloatType>) {
      if constexpr (std::is_arithmetic_v<typename T::c_type>) order = l.value <=> r.value;
    }
    return Status::OK();
  }
  Status Visit(const arrow::NullType&) { return Status::OK(); }
  Status Visit(const arrow::ExtensionType&) { return Status::OK(); }
};

}  // namespace

ScalarPtr ParseDate(std::string_view text) {
  int32_t days = 0;
  if (!arrow::internal::ParseValue<arrow::Date32Type>(text.data(), text.size(), &days)) {
    return nullptr;
  }
  return std::make_shared<arrow::Date32Scalar>(days);
}

ScalarPtr ParseTimestamp(std::string_view text) {
  for (const auto unit : {arrow::TimeUnit::MICRO, arrow::TimeUnit::NANO}) {
    int64_t value = 0;
    bool zoned = false;
    if (arrow::internal::ParseTimestampISO8601(text.data(), text.size(), unit, &value,
                                               &zoned)) {
      return std::make_shared<arrow::TimestampScalar>(
          value, arrow::timestamp(unit, zoned ? "UTC" : ""));
    }
  }
  return nullptr;
}

TypePtr PlainType(const TypePtr& type) {
  switch (type->id()) {
    case Type::DICTIONARY:
      return PlainType(static_cast<const arrow::DictionaryType&>(*type).value_type());
    case Type::EXTENSION:
      return PlainType(static_cast<const arrow::ExtensionType&>(*type).storage_type());
    case Type::STRING_VIEW:
      return arrow::large_utf8();
    case Type::BINARY_VIEW:
      return arrow::large_binary();
    case Type::HALF_FLOAT:
      return arrow::float32();
    case Type::DECIMAL32:
    case Type::DECIMAL64: {
      const auto& decimal = static_cast<const arrow::DecimalType&>(*type);
      return arrow::decimal128(decimal.precision(), decimal.scale());
    }
    default:
      return type;
  }
}

Result<ScalarPtr> PlainScalar(const ScalarPtr& scalar) {
  const TypePtr plain = PlainType(scalar->type);
  if (plain->Equals(*scalar->type)) return scalar;
  if (!scalar->is_valid) return arrow::MakeNullScalar(plain);
  if (scalar->type->id() == Type::DICTIONARY) {
    ARROW_ASSIGN_OR_RAISE(
        auto value,
        static_cast<const arrow::DictionaryScalar&>(*scalar).GetEncodedValue());
    return PlainScalar(value);
  }
  if (scalar->type->id() == Type::EXTENSION) {
    return PlainScalar(static_cast<const arrow::ExtensionScalar&>(*scalar).value);
  }
  ARROW_ASSIGN_OR_RAISE(arrow::Datum cast, arrow::compute::Cast(scalar, plain));
  return cast.scalar();
}

std::partial_ordering CompareScalars(const Scalar& left, const Scalar& right) {
  Comparer comparer{left, right};
  if (left.is_valid && right.is_valid && left.type->Equals(*right.type)) {
    (void)arrow::VisitTypeInline(*left.type, &comparer);
  }
  return comparer.order;
}

Result<Bracket> BracketLiteral(const ScalarPtr& literal, const TypePtr& type) {
  if (literal->type->Equals(*type)) return Bracket{literal, literal};
  const Family from = FamilyOf(*literal->type);
  const Family to = FamilyOf(*type);
  if (from == Family::kText && to == Family::kText) return BracketText(*literal, type);
  if (from == Family::kText) {
    const ScalarPtr parsed = ParseAs(BytesOf(*literal), *type);
    if (parsed != nullptr &&
        !(FamilyOf(*parsed->type) == Family::kZonedInstant && to == Family::kInstant)) {
      return BracketLiteral(parsed, type);
    }
  }
  const bool as_utc = from == Family::kInstant && to == Family::kZonedInstant;
  if ((from == to || as_utc) && from != Family::kText && from != Family::kOther) {
    if (type->id() == Type::DOUBLE) return BracketAmongReals<double>(*literal, type);
    if (type->id() == Type::FLOAT) return BracketAmongReals<float>(*literal, type);
    if (const auto grid = GridOf(*type)) {
      if (const auto real = RealOf(*literal)) return BracketReal(*real, *grid, type);
      if (const auto source = GridOf(*literal->type)) {
        NumberOf number{*literal, {}};
        ARROW_RETURN_NOT_OK(arrow::VisitTypeInline(*literal->type, &number));
        return BracketOnGrid(number.number * Decimal256(source->multiple), source->scale,
                             *grid, type);
      }
    }
  }
  return Error(ErrorKind::kInvalidArgument,
               "a value of type " + type->ToString() + " cannot be compared with " +
                   LiteralText(*literal, nullptr) + " of type " +
                   literal->type->ToString() + Advice(*literal, *type));
}

}  // namespace headrace::expression
