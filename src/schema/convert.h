/// \file
/// Element conversion from one dtype to another, strided, checked.
#pragma once

#include <headrace/batch.h>
#include <headrace/column_policy.h>
#include <headrace/result.h>

#include <cstdint>
#include <optional>
#include <string>

namespace headrace::schema {

/// Values to convert: `count` elements, `in_stride` and `out_stride` elements apart.
/// Booleans are bytes of 0 and 1.
struct ConvertSpan {
  const uint8_t* in = nullptr;
  int64_t in_stride = 1;
  uint8_t* out = nullptr;
  int64_t out_stride = 1;
  int64_t count = 0;
};

/// Converts a span. Integers that do not fit, and fractions, NaN or infinities that
/// become integers, are refused: the index of the first such element is returned. Between
/// floating types, and from integers to them, values are rounded to nearest.
std::optional<int64_t> Convert(DType from, DType to, const ConvertSpan& span);

/// Standardizes a span. REQUIRES: `to` is floating.
void Standardize(const StandardizePolicy& how, DType from, DType to,
                 const ConvertSpan& span);

/// The element as text, for messages.
std::string ElementToString(DType dtype, const uint8_t* element);

/// Writes a user's number as one element; InvalidArgument if it does not fit.
Status StoreNumber(const Number& number, DType dtype, uint8_t* out);

std::string NumberToString(const Number& number);

}  // namespace headrace::schema
