#include "table/delta/file_stats.h"

#include <arrow/compute/cast.h>
#include <arrow/util/decimal.h>
#include <arrow/util/value_parsing.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace headrace::table::delta {
namespace {

using nlohmann::json;

// Statistics hold timestamps to the millisecond, cut off.
constexpr int64_t kMicrosecondsCutOff = 999;

// Of 64 bits.
bool IsInteger(const json& value) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return value.is_number_unsigned() ? value.get<uint64_t>() <= kMost
                                    : value.is_number_integer();
}

// The statistics of a file; nothing for what is none.
json Parse(const std::string& stats) {
  json parsed = json::parse(stats, nullptr, /*allow_exceptions=*/false);
  return parsed.is_object() ? parsed : json::object();
}

// Null if there is none.
const json* At(const json& root, const char* member, std::span<const std::string> path) {
  const auto begin = root.find(member);
  const json* at = begin == root.end() ? nullptr : &*begin;
  for (const std::string& name : path) {
    if (at == nullptr || !at->is_object()) return nullptr;
    const auto next = at->find(name);
    at = next == at->end() ? nullptr : &*next;
  }
  return at;
}

// Engines count in integers that fit; what does not says nothing.
std::optional<int64_t> Count(const json* value) {
  if (value == nullptr || !IsInteger(*value)) return {};
  const auto count = value->get<int64_t>();
  if (count < 0) return {};
  return count;
}

std::optional<int64_t> Timestamp(std::string text) {
  bool has_zone = false;
  int64_t micros = 0;
  if (!arrow::internal::ParseTimestampISO8601(
          text.data(), text.size(), arrow::TimeUnit::MICRO, &micros, &has_zone)) {
    return {};
  }
  return micros;
}

Result<std::shared_ptr<arrow::Scalar>> Decimal(const std::string& text,
                                               const arrow::DataType& type) {
  const auto& wanted = static_cast<const arrow::Decimal128Type&>(type);
  arrow::Decimal128 value;
  int32_t precision = 0, scale = 0;
  ARROW_RETURN_NOT_OK(arrow::Decimal128::FromString(text, &value, &precision, &scale));
  ARROW_ASSIGN_OR_RAISE(value, value.Rescale(scale, wanted.scale()));
  return std::make_shared<arrow::Decimal128Scalar>(
      value, arrow::decimal128(wanted.precision(), wanted.scale()));
}

Result<std::shared_ptr<arrow::Scalar>> FromText(
    const std::string& text, const std::shared_ptr<arrow::DataType>& type) {
  switch (type->id()) {
    case arrow::Type::TIMESTAMP: {
      const auto micros = Timestamp(text);
      if (!micros) return Status::Invalid("no timestamp");
      return std::make_shared<arrow::TimestampScalar>(*micros, type);
    }
    case arrow::Type::DECIMAL128:
      return Decimal(text, *type);
    case arrow::Type::STRING:
      return std::make_shared<arrow::StringScalar>(text);
    case arrow::Type::BINARY:
      return std::make_shared<arrow::BinaryScalar>(text);
    default:
      return arrow::Scalar::Parse(type, text);
  }
}

// A number that may have lost digits bounds nothing exactly: `up` says to which side it
// may be moved.
std::shared_ptr<arrow::Scalar> FromNumber(const json& value,
                                          const std::shared_ptr<arrow::DataType>& type,
                                          bool up) {
  if (IsInteger(value)) {
    const auto integer = value.get<int64_t>();
    if (type->id() == arrow::Type::DECIMAL128) {
      return Decimal(std::to_string(integer), *type).ValueOr(nullptr);
    }
    if (arrow::is_integer(type->id()) || arrow::is_floating(type->id())) {
      auto cast = arrow::compute::Cast(arrow::Datum(integer), type,
                                       arrow::compute::CastOptions::Safe());
      return cast.ok() ? cast->scalar() : nullptr;
    }
    return nullptr;
  }
  const auto real = value.get<double>();
  if (!std::isfinite(real)) return nullptr;
  switch (type->id()) {
    case arrow::Type::DOUBLE:
      return arrow::MakeScalar(real);
    case arrow::Type::FLOAT:
      return arrow::MakeScalar(static_cast<float>(real));
    case arrow::Type::DECIMAL128: {
      // A double has 15 digits that are sure; beyond, one unit of them is given away.
      const auto& decimal = static_cast<const arrow::Decimal128Type&>(*type);
      const double unit = std::pow(10.0, -decimal.scale());
      const double moved = real + (up ? 1 : -1) * (std::abs(real) * 1e-15 + unit * 0.5);
      auto scaled = arrow::Decimal128::FromReal(moved, 38, decimal.scale());
      if (!scaled.ok() || !scaled->FitsInPrecision(decimal.precision())) return nullptr;
      return std::make_shared<arrow::Decimal128Scalar>(*scaled, type);
    }
    default:
      return nullptr;
  }
}

std::shared_ptr<arrow::Scalar> Bound(const json& value,
                                     const std::shared_ptr<arrow::DataType>& type,
                                     bool up) {
  if (value.is_boolean() && type->id() == arrow::Type::BOOL) {
    return arrow::MakeScalar(value.get<bool>());
  }
  if (value.is_number()) return FromNumber(value, type, up);
  if (!value.is_string()) return nullptr;
  switch (type->id()) {
    case arrow::Type::STRING:
    case arrow::Type::DATE32:
    case arrow::Type::TIMESTAMP:
    case arrow::Type::DECIMAL128:
      break;
    default:
      return nullptr;
  }
  auto bound = FromText(value.get_ref<const std::string&>(), type);
  if (!bound.ok()) return nullptr;
  if (up && type->id() == arrow::Type::TIMESTAMP) {
    const int64_t micros = static_cast<const arrow::TimestampScalar&>(**bound).value;
    return std::make_shared<arrow::TimestampScalar>(micros + kMicrosecondsCutOff, type);
  }
  return *bound;
}

}  // namespace

std::optional<int64_t> RowsOf(const std::string& stats) {
  if (stats.empty()) return {};
  const json root = Parse(stats);
  return Count(At(root, "numRecords", {}));
}

StatBounds BoundsOf(const std::string& stats, std::span<const std::string> path,
                    const std::shared_ptr<arrow::DataType>& type) {
  StatBounds bounds;
  if (stats.empty()) return bounds;
  const json root = Parse(stats);
  if (const auto min = At(root, "minValues", path)) {
    bounds.min = Bound(*min, type, /*up=*/false);
  }
  if (const auto max = At(root, "maxValues", path)) {
    bounds.max = Bound(*max, type, /*up=*/true);
  }
  bounds.null_count = Count(At(root, "nullCount", path));
  return bounds;
}

Result<std::shared_ptr<arrow::Scalar>> PartitionScalar(
    const std::optional<std::string>& value,
    const std::shared_ptr<arrow::DataType>& type) {
  if (!value || value->empty()) return arrow::MakeNullScalar(type);
  auto scalar = FromText(*value, type);
  if (scalar.ok()) return scalar;
  return Error(ErrorKind::kInvalidArgument,
               "the partition value '" + *value + "' is no " + type->ToString());
}

}  // namespace headrace::table::delta
