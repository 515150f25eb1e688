#include "base/distinct_sketch.h"

#include <gtest/gtest.h>

#include <string>

#include "base/hash.h"

namespace headrace::base {
namespace {

DistinctSketch Of(int64_t distinct, int times) {
  DistinctSketch sketch;
  for (int time = 0; time < times; ++time) {
    for (int64_t i = 0; i < distinct; ++i) sketch.Add(Hash64(std::to_string(i)));
  }
  return sketch;
}

TEST(DistinctSketchTest, IsExactForFew) {
  for (int64_t distinct : {0, 1, 2, 1000, 1024}) {
    const DistinctSketch sketch = Of(distinct, 3);
    EXPECT_TRUE(sketch.is_exact());
    EXPECT_EQ(sketch.Estimate(), distinct);
  }
}

TEST(DistinctSketchTest, EstimatesManyWithinFiveStandardErrors) {
  for (int64_t distinct : {1025, 5000, 12'000, 100'000, 1'000'000}) {
    const DistinctSketch sketch = Of(distinct, distinct > 10'000 ? 1 : 2);
    EXPECT_FALSE(sketch.is_exact());
    EXPECT_NEAR(static_cast<double>(sketch.Estimate()), static_cast<double>(distinct),
                0.08 * static_cast<double>(distinct));
  }
}

TEST(DistinctSketchTest, TakesHashesOfZeros) {
  DistinctSketch sketch;
  for (uint64_t i = 0; i <= DistinctSketch::kExactMax; ++i) sketch.Add(i);
  sketch.Add(0);
  EXPECT_GE(sketch.Estimate(), 1);  // hashes that are not mixed cannot be told apart
}

}  // namespace
}  // namespace headrace::base
