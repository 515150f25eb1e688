// A private seam for tests/oracle: the numbers that the order is made of.
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "bind.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

uint64_t Key(int purpose, const std::vector<uint64_t>& c) {
  const auto p = static_cast<base::Purpose>(purpose);
  if (c.size() == 2) return base::MixKey(p, {c[0], c[1]});
  if (c.size() == 4) return base::MixKey(p, {c[0], c[1], c[2], c[3]});
  throw nb::value_error("coordinates: expected 2 or 4 numbers");
}

}  // namespace

void BindOrder(nb::module_& m) {
  m.def(
      "_placement",
      [](int64_t n, int purpose, const std::vector<uint64_t>& coordinates) {
        std::vector<uint32_t> placement;
        base::FillPermutation(Key(purpose, coordinates), n, &placement);
        return placement;
      },
      nb::arg("n"), nb::arg("purpose"), nb::arg("coordinates"),
      "The keyed permutation of range(n).");
  m.def(
      "_below",
      [](uint64_t n, int purpose, const std::vector<uint64_t>& coordinates) {
        if (n == 0) throw nb::value_error("n: expected at least 1, found 0");
        return base::KeyedRandom(Key(purpose, coordinates)).Below(n);
      },
      nb::arg("n"), nb::arg("purpose"), nb::arg("coordinates"),
      "The key's first number below n.");
}

}  // namespace headrace::ext
