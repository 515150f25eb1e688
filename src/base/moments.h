/// \file
/// Mean and standard deviation, part by part.
#pragma once

#include <cstdint>
#include <span>

namespace headrace::base {

/// Of numbers added so far. The same calls in the same order give the same bits. Exact
/// where they can be (a column of one value has deviation 0), robust where means are
/// large against deviations. A value: parts are made apart and merged.
class Moments {
 public:
  /// REQUIRES: finite values.
  void Add(std::span<const double> values);
  void Merge(const Moments& other);

  int64_t count() const { return count_; }
  double mean() const { return mean_; }
  /// Of the population: the root of the mean squared deviation. 0 if there is nothing.
  double std() const;

 private:
  int64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;  // sum of squared deviations from the mean
};

}  // namespace headrace::base
