#include <benchmark/benchmark.h>

#include <vector>

#include "base/random.h"

namespace headrace::base {
namespace {

// One permutation a shuffle window: about 2 ns a row is what the hot path can afford.
void FillsPermutationOfAWindow(benchmark::State& state) {
  std::vector<uint32_t> permutation;
  uint64_t key = 7;
  for (auto _ : state) {
    FillPermutation(key++, state.range(0), &permutation);
    benchmark::DoNotOptimize(permutation.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(FillsPermutationOfAWindow)->Arg(1024)->Arg(131072)->Arg(1 << 20);

}  // namespace
}  // namespace headrace::base
