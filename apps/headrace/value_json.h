/// \file
/// Arrow values as JSON and as table cells.
#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace headrace::cli {

using Json = nlohmann::ordered_json;

/// Numbers, booleans, text and null as they are; lists as arrays, structs as objects,
/// maps as arrays of {"key", "value"}. What JSON lacks is text: NaN as "NaN", infinity as
/// "Infinity" or "-Infinity", bytes in base64, decimals, dates and times as Arrow prints
/// them.
Json ValueToJson(const arrow::Array& array, int64_t row);

/// The value as a table shows it: text without quotes, everything else as JSON.
std::string ValueToText(const arrow::Array& array, int64_t row);

/// JSON text of one line; bytes that are no UTF-8 are replaced.
std::string Dump(const Json& json);

}  // namespace headrace::cli
