/// \file
/// How many distinct values there are, in a few kilobytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_set>

namespace headrace::base {

/// Counts distinct hashes: exactly up to kExactMax of them, then by HyperLogLog with
/// 2^12 registers, whose standard error is 1.6 % (Flajolet et al., "HyperLogLog: the
/// analysis of a near-optimal cardinality estimation algorithm", 2007; 64-bit hashes make
/// its correction of large ranges needless, as in Heule et al. 2013).
///
/// Not thread-safe.
class DistinctSketch {
 public:
  static constexpr size_t kExactMax = 1024;

  /// `hash` is of 64 well-mixed bits.
  void Add(uint64_t hash);
  int64_t Estimate() const;
  bool is_exact() const { return !spilled_; }

 private:
  static constexpr int kIndexBits = 12;

  void Count(uint64_t hash);

  bool spilled_ = false;
  std::unordered_set<uint64_t> exact_;
  std::array<uint8_t, 1 << kIndexBits> registers_{};  // longest runs of zeros, plus 1
};

}  // namespace headrace::base
