/// \file
/// Features: what is known of the columns of a dataset that a model was trained on, so
/// that training and serving turn values into the same numbers. Values: copy, compare,
/// print, to and from JSON (docs/format/features.md).
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace headrace {

/// A least or greatest value: integers keep all 64 bits. Those that are no int64_t are
/// uint64_t.
using Extreme = std::variant<int64_t, uint64_t, double>;

/// Of a column of numbers; booleans are 0 and 1, dates and times the integers stored.
struct NumericFeature {
  /// Values that mean, standard deviation and extremes are of: no nulls, no NaN.
  int64_t count = 0;
  int64_t nulls = 0;
  int64_t nans = 0;
  /// Absent where there is no such finite number: of no value, or of infinities.
  std::optional<double> mean;
  /// Of the population: the root of the mean squared deviation.
  std::optional<double> std;
  /// Absent if there is no value.
  std::optional<Extreme> min;
  std::optional<Extreme> max;

  bool operator==(const NumericFeature&) const = default;
};

/// Of a column of strings or bytes.
struct VocabularyFeature {
  int64_t nulls = 0;
  /// The values are bytes, which need not be UTF-8.
  bool binary = false;
  /// Distinct, sorted bytewise.
  std::vector<std::string> values;
  /// How often each is there; parallel to `values`.
  std::vector<int64_t> counts;

  bool operator==(const VocabularyFeature&) const = default;
};

struct Feature {
  std::string name;
  std::variant<NumericFeature, VocabularyFeature> value;

  bool operator==(const Feature&) const = default;
};

struct Features {
  /// Rows that the features are of.
  int64_t rows = 0;
  /// In the order asked for.
  std::vector<Feature> columns;

  /// Null if there is none of the name.
  const Feature* Find(std::string_view name) const;
  std::string ToJson() const;
  /// InvalidArgument for what is no features' JSON, Unsupported for a later format.
  static Result<Features> FromJson(const std::string& json);
  std::string ToString() const;

  bool operator==(const Features&) const = default;
};

struct FitOptions {
  /// Absent: as many as the dataset was opened with.
  std::optional<int> num_threads = {};
  /// Distinct values that a vocabulary may have.
  int64_t vocabulary_max = 1'000'000;
  /// Told rows.
  Progress progress = nullptr;
};

/// The features of some of the dataset's columns, or of all of them if none is named: of
/// the rows that pass its filter, with casts, read once. They do not depend on the number
/// of threads. Holds a tile of rows a thread, and the vocabularies. Errors: NotFound for
/// a column that is not selected, Unsupported for one that is neither of numbers nor of
/// strings or bytes, ResourceExhausted for a vocabulary that is too large, each naming
/// the column; and those of reading.
Result<Features> FitFeatures(const Dataset& dataset,
                             const std::vector<std::string>& columns = {},
                             const FitOptions& options = {});

}  // namespace headrace
