#include "writer/value_text.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>

namespace headrace::writer {
namespace {

constexpr int64_t kMicros = 1'000'000;  // in a second

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

void AppendPadded(int64_t number, size_t digits, std::string* text) {
  const std::string plain = std::to_string(number);
  if (plain.size() < digits) text->append(digits - plain.size(), '0');
  *text += plain;
}

std::optional<std::string> DateText(int64_t days) {
  // What std::chrono's years hold.
  if (days < -12'000'000 || days > 11'000'000) return std::nullopt;
  const std::chrono::year_month_day date{
      std::chrono::sys_days(std::chrono::days(static_cast<int>(days)))};
  const int year = static_cast<int>(date.year());
  std::string text = year < 0 ? "-" : "";
  AppendPadded(std::abs(year), 4, &text);
  text += '-';
  AppendPadded(static_cast<unsigned>(date.month()), 2, &text);
  text += '-';
  AppendPadded(static_cast<unsigned>(date.day()), 2, &text);
  return text;
}

// In units of a second's `per_second` part.
std::optional<std::string> MomentText(int64_t value, int64_t per_second, char between,
                                      size_t digits) {
  const int64_t per_day = per_second * 86400;
  const int64_t days = FloorDiv(value, per_day);
  auto text = DateText(days);
  if (!text) return text;
  int64_t rest = value - days * per_day;
  const int64_t fraction = rest % per_second;
  rest /= per_second;
  *text += between;
  AppendPadded(rest / 3600, 2, &*text);
  *text += ':';
  AppendPadded(rest / 60 % 60, 2, &*text);
  *text += ':';
  AppendPadded(rest % 60, 2, &*text);
  *text += '.';
  AppendPadded(fraction, digits, &*text);
  return text;
}

int64_t PerSecond(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return 1;
    case arrow::TimeUnit::MILLI:
      return 1000;
    case arrow::TimeUnit::MICRO:
      return kMicros;
    default:
      return 1000 * kMicros;
  }
}

template <typename T>
std::string ShortestText(T value) {
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

}  // namespace

std::optional<std::string> ValueText(const arrow::Scalar& value) {
  if (!value.is_valid) return std::nullopt;
  switch (value.type->id()) {
    case arrow::Type::FLOAT:
      return ShortestText(static_cast<const arrow::FloatScalar&>(value).value);
    case arrow::Type::DOUBLE:
      return ShortestText(static_cast<const arrow::DoubleScalar&>(value).value);
    case arrow::Type::STRING:
      return std::string(static_cast<const arrow::StringScalar&>(value).view());
    case arrow::Type::DATE32:
      return DateText(static_cast<const arrow::Date32Scalar&>(value).value);
    case arrow::Type::TIMESTAMP: {
      const auto& moment = static_cast<const arrow::TimestampScalar&>(value);
      const int64_t per_second =
          PerSecond(static_cast<const arrow::TimestampType&>(*value.type).unit());
      const size_t digits = per_second > kMicros ? 9 : 6;
      const int64_t scale = per_second > kMicros ? 1 : kMicros / per_second;
      int64_t scaled = 0;
      if (__builtin_mul_overflow(moment.value, scale, &scaled)) return std::nullopt;
      return MomentText(scaled, per_second * scale, ' ', digits);
    }
    case arrow::Type::BOOL:
      return static_cast<const arrow::BooleanScalar&>(value).value ? "true" : "false";
    case arrow::Type::DECIMAL128:
      return value.ToString();
    default:
      return arrow::is_integer(value.type->id()) ? std::optional(value.ToString())
                                                 : std::nullopt;
  }
}

std::optional<std::string> TimestampBound(const arrow::Scalar& value, bool round_up) {
  if (!value.is_valid || value.type->id() != arrow::Type::TIMESTAMP) return std::nullopt;
  const auto& type = static_cast<const arrow::TimestampType&>(*value.type);
  const int64_t moment = static_cast<const arrow::TimestampScalar&>(value).value;
  const int64_t per_second = PerSecond(type.unit());
  int64_t millis = 0;
  if (per_second <= 1000) {
    if (__builtin_mul_overflow(moment, 1000 / per_second, &millis)) return std::nullopt;
  } else {
    const int64_t per_milli = per_second / 1000;
    millis = FloorDiv(moment, per_milli);
    if (round_up && moment % per_milli != 0) ++millis;
  }
  auto text = MomentText(millis, 1000, 'T', 3);
  if (text && !type.timezone().empty()) *text += 'Z';
  return text;
}

}  // namespace headrace::writer
