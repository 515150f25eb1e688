/// \file
/// Literals: parsing dates and times, order, and where a literal of one type lies among
/// the values of another.
#pragma once

#include <arrow/scalar.h>
#include <arrow/type.h>
#include <headrace/result.h>

#include <compare>
#include <memory>
#include <string_view>

namespace headrace::expression {

/// 'YYYY-MM-DD' as a date32 scalar, or nullptr.
std::shared_ptr<arrow::Scalar> ParseDate(std::string_view text);

/// 'YYYY-MM-DD[ T]hh:mm[:ss[.fffffffff]][Z|+hh:mm]' (or a date alone) as a timestamp in
/// microseconds, nanoseconds where it has more than six decimals; in UTC if it has a
/// zone. Or nullptr.
std::shared_ptr<arrow::Scalar> ParseTimestamp(std::string_view text);

/// The type as which filters see values of `type`: dictionaries as their values, views as
/// large strings, extensions as their storage, half floats as floats. Arrow's kernels do
/// not know all of these; the casts lose nothing and keep the order.
std::shared_ptr<arrow::DataType> PlainType(const std::shared_ptr<arrow::DataType>& type);

/// A scalar as a value of its type's PlainType.
Result<std::shared_ptr<arrow::Scalar>> PlainScalar(
    const std::shared_ptr<arrow::Scalar>& scalar);

/// The order of two scalars of one type, as Arrow's comparison kernels have it; unordered
/// for NaN, nulls, different types and types without an order.
std::partial_ordering CompareScalars(const arrow::Scalar& left,
                                     const arrow::Scalar& right);

/// Where a value lies among the values of a type.
struct Bracket {
  /// The greatest value of the type that is not above it; nullptr: all are above.
  std::shared_ptr<arrow::Scalar> lower;
  /// The least value of the type that is not below it; nullptr: all are below.
  std::shared_ptr<arrow::Scalar> upper;

  /// The type has the value itself: `lower`.
  bool exact() const { return lower != nullptr && lower == upper; }
  /// NaN, among values that are not floating point.
  bool unordered() const { return lower == nullptr && upper == nullptr; }
};

/// Places a literal that is not null among the values of a plain type. Strings are read
/// as dates, times and decimals where `type` is one; zone-less literals are UTC where
/// `type` has a zone; a double stands for its shortest decimal where `type` is decimal.
/// InvalidArgument (naming the literal and both types) where the two cannot be compared.
Result<Bracket> BracketLiteral(const std::shared_ptr<arrow::Scalar>& literal,
                               const std::shared_ptr<arrow::DataType>& type);

}  // namespace headrace::expression
