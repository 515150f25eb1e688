#include "base/distinct_sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace headrace::base {

void DistinctSketch::Count(uint64_t hash) {
  uint8_t& longest = registers_[hash >> (64 - kIndexBits)];
  // The bit below keeps a hash of zeros from counting more than there are.
  const uint64_t rest = hash << kIndexBits | uint64_t{1} << (kIndexBits - 1);
  longest = std::max(longest, static_cast<uint8_t>(std::countl_zero(rest) + 1));
}

void DistinctSketch::Add(uint64_t hash) {
  if (spilled_) return Count(hash);
  exact_.insert(hash);
  if (exact_.size() <= kExactMax) return;
  for (const uint64_t one : exact_) Count(one);
  exact_.clear();
  spilled_ = true;
}

int64_t DistinctSketch::Estimate() const {
  if (!spilled_) return static_cast<int64_t>(exact_.size());
  const auto registers = static_cast<double>(registers_.size());
  double sum = 0;
  for (const uint8_t longest : registers_) sum += std::ldexp(1.0, -longest);
  const double alpha = 0.7213 / (1 + 1.079 / registers);
  const double estimate = alpha * registers * registers / sum;
  const auto empty =
      static_cast<double>(std::count(registers_.begin(), registers_.end(), 0));
  if (estimate <= 2.5 * registers && empty > 0) {
    return std::llround(registers * std::log(registers / empty));  // linear counting
  }
  return std::llround(estimate);
}

}  // namespace headrace::base
