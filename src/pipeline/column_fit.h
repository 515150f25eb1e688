/// \file
/// What is learned of one column for its feature, part by part.
#pragma once

#include <arrow/array.h>
#include <headrace/features.h>
#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "base/moments.h"

namespace headrace::pipeline {

/// Of a column of numbers. Parts are merged in their order, so that bits do not depend on
/// who made them.
class NumberFit {
 public:
  /// REQUIRES: `DTypeOf` knows the type.
  Status Add(const arrow::Array& values);
  void Merge(const NumberFit& later);
  NumericFeature Finish() const;

 private:
  template <typename Value, typename At>
  void AddEach(const arrow::Array& values, At&& at);
  void Widen(const Extreme& min, const Extreme& max);

  int64_t nulls_ = 0;
  int64_t nans_ = 0;
  int64_t infinities_ = 0;
  base::Moments moments_;  // of finite values
  std::optional<Extreme> min_;
  std::optional<Extreme> max_;
};

/// Of a column of strings or bytes. Parts are merged in any order.
class TextFit {
 public:
  /// ResourceExhausted for more than `values_max` distinct values.
  Status Add(const arrow::Array& values, int64_t values_max);
  Status Merge(TextFit other, int64_t values_max);
  VocabularyFeature Finish(bool binary) &&;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  Status Count(std::string_view value, int64_t times, int64_t values_max);

  int64_t nulls_ = 0;
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> counts_;
};

using ColumnFit = std::variant<NumberFit, TextFit>;

}  // namespace headrace::pipeline
