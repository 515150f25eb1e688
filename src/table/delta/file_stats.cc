#include "table/delta/file_stats.h"

#include <arrow/util/decimal.h>
#include <arrow/util/value_parsing.h>
#include <simdjson.h>

#include <cmath>
#include <string_view>
#include <utility>

namespace headrace::table::delta {
namespace {

using simdjson::dom::element;

// Statistics hold timestamps to the millisecond, cut off.
constexpr int64_t kMicrosecondsCutOff = 999;

std::optional<element> At(const element& root, std::string_view member,
                          std::span<const std::string> path) {
  element at;
  if (root[member].get(at) != simdjson::SUCCESS) return {};
  for (const std::string& name : path) {
    element next;
    if (!at.is_object() || at.get_object().at_key(name).get(next) != simdjson::SUCCESS) {
      return {};
    }
    at = next;
  }
  return at;
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
std::shared_ptr<arrow::Scalar> FromNumber(const element& value,
                                          const std::shared_ptr<arrow::DataType>& type,
                                          bool up) {
  int64_t integer = 0;
  if (value.get(integer) == simdjson::SUCCESS) {
    if (type->id() == arrow::Type::DECIMAL128) {
      return Decimal(std::to_string(integer), *type).ValueOr(nullptr);
    }
    if (arrow::is_integer(type->id()) || arrow::is_floating(type->id())) {
      auto cast = arrow::MakeScalar(integer)->CastTo(type);
      return cast.ok() ? *cast : nullptr;
    }
    return nullptr;
  }
  double real = 0;
  if (value.get(real) != simdjson::SUCCESS || !std::isfinite(real)) return nullptr;
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

std::shared_ptr<arrow::Scalar> Bound(const element& value,
                                     const std::shared_ptr<arrow::DataType>& type,
                                     bool up) {
  if (value.is_bool() && type->id() == arrow::Type::BOOL) {
    return arrow::MakeScalar(bool(value.get_bool()));
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
  auto bound = FromText(std::string(std::string_view(value.get_string())), type);
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
  simdjson::dom::parser parser;
  element root;
  int64_t rows = 0;
  if (parser.parse(stats).get(root) != simdjson::SUCCESS || !root.is_object() ||
      root["numRecords"].get(rows) != simdjson::SUCCESS || rows < 0) {
    return {};
  }
  return rows;
}

StatBounds BoundsOf(const std::string& stats, std::span<const std::string> path,
                    const std::shared_ptr<arrow::DataType>& type) {
  StatBounds bounds;
  if (stats.empty()) return bounds;
  simdjson::dom::parser parser;
  element root;
  if (parser.parse(stats).get(root) != simdjson::SUCCESS || !root.is_object()) {
    return bounds;
  }
  if (const auto min = At(root, "minValues", path)) {
    bounds.min = Bound(*min, type, /*up=*/false);
  }
  if (const auto max = At(root, "maxValues", path)) {
    bounds.max = Bound(*max, type, /*up=*/true);
  }
  if (const auto nulls = At(root, "nullCount", path)) {
    int64_t count = 0;
    if (nulls->get(count) == simdjson::SUCCESS && count >= 0) bounds.null_count = count;
  }
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
