#include "batch/interleave.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

namespace headrace::batch {
namespace {

class InterleaveTest : public ::testing::TestWithParam<int64_t> {};

// Every lane count, row count and stride against the definition, byte for byte.
TEST_P(InterleaveTest, DealsOutElementsInTurn) {
  const int64_t width = GetParam();
  for (int64_t lanes : {1, 2, 3, 4, 5, 8, 12, 16}) {
    for (int64_t rows : {0, 1, 2, 3, 4, 5, 7, 8, 33}) {
      std::vector<std::vector<uint8_t>> from(static_cast<size_t>(lanes));
      std::vector<const uint8_t*> in;
      for (int64_t l = 0; l < lanes; ++l) {
        auto& lane = from[static_cast<size_t>(l)];
        lane.resize(static_cast<size_t>(rows * width));
        std::iota(lane.begin(), lane.end(), static_cast<uint8_t>(31 * l + 1));
        in.push_back(lane.data());
      }
      for (int64_t stride : {1, 3}) {
        const auto bytes = static_cast<size_t>(rows * lanes * stride * width);
        std::vector<uint8_t> expected(bytes, 0xEE);
        std::vector<uint8_t> out(bytes, 0xEE);
        for (int64_t k = 0; k < rows; ++k) {
          for (int64_t l = 0; l < lanes; ++l) {
            std::memcpy(expected.data() + (k * lanes + l) * stride * width,
                        in[static_cast<size_t>(l)] + k * width,
                        static_cast<size_t>(width));
          }
        }
        Interleave(width, in, rows, out.data(), stride);
        EXPECT_EQ(out, expected) << lanes << " lanes, " << rows << " rows, " << stride;
      }
    }
  }
}

TEST_P(InterleaveTest, MakesColumnsOfAMatrix) {
  const int64_t width = GetParam();
  for (int64_t columns : {1, 2, 3, 4, 8, 15, 16}) {
    for (int64_t rows : {0, 1, 3, 4, 6, 17}) {
      std::vector<std::vector<uint8_t>> from(static_cast<size_t>(columns));
      std::vector<const uint8_t*> in;
      for (auto& column : from) {
        column.resize(static_cast<size_t>(rows * width));
        std::iota(column.begin(), column.end(), static_cast<uint8_t>(17 * in.size()));
        in.push_back(column.data());
      }
      const int64_t stride = columns * 3;
      const auto bytes = static_cast<size_t>(rows * stride * width);
      std::vector<uint8_t> expected(bytes, 0xEE);
      std::vector<uint8_t> out(bytes, 0xEE);
      for (int64_t k = 0; k < rows; ++k) {
        for (int64_t c = 0; c < columns; ++c) {
          std::memcpy(expected.data() + (k * stride + c) * width,
                      in[static_cast<size_t>(c)] + k * width, static_cast<size_t>(width));
        }
      }
      Transpose(width, in, rows, out.data(), stride);
      EXPECT_EQ(out, expected) << columns << " columns, " << rows << " rows";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, InterleaveTest, ::testing::Values(1, 2, 4, 8));

}  // namespace
}  // namespace headrace::batch
