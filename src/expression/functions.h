/// \file
/// The functions that filters may call: Arrow's that work row by row, and our own.
#pragma once

#include <arrow/scalar.h>
#include <headrace/result.h>

#include <cstdint>

namespace headrace::expression {

/// `split_key(value, seed)`: a hash of the value, keyed by the seed, as a double in
/// [0, 1). Equal values have equal keys in every table and build: integers of any width,
/// booleans, dates and times by their number in 64 bits, text and bytes by their bytes. A
/// null has a key as well. Takes no floating point, decimals, or nested values.
inline constexpr char kSplitKey[] = "split_key";

/// Makes our functions known to Arrow, once a process: its expressions find functions in
/// its own registry alone. Thread-safe.
Status RegisterFunctions();

/// Whether split_key takes values of a type.
bool HasSplitKey(const arrow::DataType& type);
/// split_key of one value.
Result<double> SplitKeyOf(const arrow::Scalar& value, uint64_t seed);

}  // namespace headrace::expression
