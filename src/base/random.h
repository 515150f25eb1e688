/// \file
/// Keyed, counter-based random numbers: the only randomness in Headrace.
///
/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators",
/// OOPSLA 2014) with its state set from a key. The values are part of the Order contract:
/// golden tests pin them, and nobody may change them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace headrace::base {

/// What a key is for, so that no two uses of one seed share their numbers.
enum class Purpose : uint64_t { kBlocks = 1, kRotation = 2, kWindow = 3, kImage = 5 };

/// Mixes a purpose and its coordinates (seed, epoch, stream, window ...) into one key.
uint64_t MixKey(Purpose purpose, std::initializer_list<uint64_t> coordinates);

/// A sequence that is a pure function of its key. Not thread-safe; cheap to make.
class KeyedRandom {
 public:
  explicit KeyedRandom(uint64_t key) : state_(key) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, bound), without bias (Lemire, "Fast Random Integer Generation in an
  /// Interval", 2019). REQUIRES: bound > 0.
  uint64_t Below(uint64_t bound) {
    unsigned __int128 product = static_cast<unsigned __int128>(Next()) * bound;
    auto low = static_cast<uint64_t>(product);
    if (low < bound) {
      const uint64_t threshold = -bound % bound;
      while (low < threshold) {
        product = static_cast<unsigned __int128>(Next()) * bound;
        low = static_cast<uint64_t>(product);
      }
    }
    return static_cast<uint64_t>(product >> 64);
  }

 private:
  uint64_t state_;
};

/// Fills `out` with a uniformly drawn permutation of [0, n): inside-out Fisher-Yates.
/// REQUIRES: n fits in 32 bits.
void FillPermutation(uint64_t key, int64_t n, std::vector<uint32_t>* out);

}  // namespace headrace::base
