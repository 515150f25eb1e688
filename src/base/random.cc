#include "base/random.h"

#include <cassert>
#include <cstddef>

namespace headrace::base {

uint64_t MixKey(Purpose purpose, std::initializer_list<uint64_t> coordinates) {
  // Each value is mixed in by a step of the generator of its own, the purpose like the
  // others, so that (1, 2) and (2, 1), and keys of different lengths, differ. Starting
  // from the purpose's own number would not do: XOR would let it change places with the
  // first coordinate.
  uint64_t key = 0;
  const auto mix = [&key](uint64_t value) {
    key = KeyedRandom(key ^ KeyedRandom(value).Next()).Next();
  };
  mix(static_cast<uint64_t>(purpose));
  for (uint64_t coordinate : coordinates) mix(coordinate);
  return key;
}

void FillPermutation(uint64_t key, int64_t n, std::vector<uint32_t>* out) {
  assert(n >= 0 && n <= (int64_t{1} << 32));
  out->resize(static_cast<std::size_t>(n));
  KeyedRandom random(key);
  uint32_t* values = out->data();
  for (int64_t i = 0; i < n; ++i) {
    const auto j = static_cast<int64_t>(random.Below(static_cast<uint64_t>(i) + 1));
    values[i] = values[j];
    values[j] = static_cast<uint32_t>(i);
  }
}

}  // namespace headrace::base
