/// \file
/// Values as a table's log and its directories write them.
#pragma once

#include <arrow/scalar.h>

#include <optional>
#include <string>

namespace headrace::writer {

/// As Delta writes partition values: "12", "true", "2026-11-01", "1.5",
/// "2026-11-01 12:00:00.000000" (timestamps with a time zone in UTC). Nothing for null,
/// and for types that cannot be partitioned by: bytes, lists, structs.
std::optional<std::string> ValueText(const arrow::Scalar& value);

/// A timestamp as Delta's statistics write it, in milliseconds rounded down, or up:
/// "2026-11-01T12:00:00.000Z", without the Z if the type has no time zone.
std::optional<std::string> TimestampBound(const arrow::Scalar& value, bool round_up);

}  // namespace headrace::writer
