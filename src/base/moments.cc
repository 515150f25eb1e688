#include "base/moments.h"

#include <cmath>

namespace headrace::base {

void Moments::Add(std::span<const double> values) {
  if (values.empty()) return;
  Moments part;
  part.count_ = std::ssize(values);
  const auto count = static_cast<double>(part.count_);
  // Differences from a value among them are as small as they can be known to be.
  const double near = values[0];
  double sum = 0;
  for (const double value : values) sum += value - near;
  part.mean_ = near + sum / count;
  // A second pass, with what rounding of the mean leaves taken out.
  double left = 0;
  for (const double value : values) {
    const double deviation = value - part.mean_;
    left += deviation;
    part.squares_ += deviation * deviation;
  }
  part.squares_ -= left * left / count;
  Merge(part);
}

void Moments::Merge(const Moments& other) {
  if (other.count_ == 0) return;
  if (count_ == 0) {
    *this = other;
    return;
  }
  // Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm (1979).
  const auto mine = static_cast<double>(count_);
  const auto theirs = static_cast<double>(other.count_);
  const double between = other.mean_ - mean_;
  count_ += other.count_;
  const auto all = static_cast<double>(count_);
  mean_ += between * (theirs / all);
  squares_ += other.squares_ + between * between * (mine * (theirs / all));
}

double Moments::std() const {
  if (count_ == 0) return 0;
  const double squares = squares_ < 0 ? 0 : squares_;  // NaN stays
  return std::sqrt(squares / static_cast<double>(count_));
}

}  // namespace headrace::base
