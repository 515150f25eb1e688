#include "plan/blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace headrace::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

table::RowGroup Group(int64_t rows, bool has_offset_index) {
  table::RowGroup group;
  group.rows = rows;
  group.has_offset_index = has_offset_index;
  return group;
}

std::vector<Block> BlocksOf(const std::vector<table::RowGroup>& row_groups) {
  std::vector<Block> blocks;
  AppendBlocks(3, row_groups, &blocks);
  return blocks;
}

TEST(Blocks, AreRowGroupsInStoredOrder) {
  EXPECT_THAT(BlocksOf({Group(10, false), Group(kBlockRowsMax, true), Group(7, true)}),
              ElementsAre(Block{3, 0, 0, 10, 0}, Block{3, 1, 0, kBlockRowsMax, 10},
                          Block{3, 2, 0, 7, kBlockRowsMax + 10}));
}

TEST(Blocks, SplitLargeRowGroupsThatHaveAnOffsetIndex) {
  constexpr int64_t kMax = kBlockRowsMax;
  EXPECT_THAT(BlocksOf({Group(5, true), Group(2 * kMax + 1, true), Group(9, true)}),
              ElementsAre(Block{3, 0, 0, 5, 0}, Block{3, 1, 0, kMax, 5},
                          Block{3, 1, kMax, kMax, kMax + 5},
                          Block{3, 1, 2 * kMax, 1, 2 * kMax + 5},
                          Block{3, 2, 0, 9, 2 * kMax + 6}));
}

TEST(Blocks, KeepLargeRowGroupsThatHaveNoOffsetIndexWhole) {
  EXPECT_THAT(BlocksOf({Group(3 * kBlockRowsMax, false)}),
              ElementsAre(Block{3, 0, 0, 3 * kBlockRowsMax, 0}));
}

TEST(Blocks, LeaveOutRowGroupsWithoutRowsAndKeepTheirNumber) {
  EXPECT_THAT(
      BlocksOf({Group(0, false), Group(4, false), Group(0, true), Group(1, true)}),
      ElementsAre(Block{3, 1, 0, 4, 0}, Block{3, 3, 0, 1, 4}));
  EXPECT_THAT(BlocksOf({}), IsEmpty());
}

TEST(Blocks, OfSeveralFragmentsFollowEachOther) {
  std::vector<Block> blocks;
  AppendBlocks(0, std::vector{Group(2, true)}, &blocks);
  AppendBlocks(1, std::vector{Group(3, true)}, &blocks);
  EXPECT_THAT(blocks, ElementsAre(Block{0, 0, 0, 2, 0}, Block{1, 0, 0, 3, 0}));
}

TEST(DefaultShuffleWindowRows, IsAQuarterGibibyteOfRows) {
  EXPECT_EQ(DefaultShuffleWindowRows(1'024'000, 1000, 8), 1 << 18);
  // The mean is taken in integers: 1999 bytes over 2 rows are 999 a row.
  EXPECT_EQ(DefaultShuffleWindowRows(1999, 2, 8), (1 << 28) / 999);
}

TEST(DefaultShuffleWindowRows, IsBoundedByStreamsAndByItsMost) {
  EXPECT_EQ(DefaultShuffleWindowRows(4000, 1000, 8), 1 << 20);
  EXPECT_EQ(DefaultShuffleWindowRows(int64_t{1} << 40, 1, 8), 8);
  EXPECT_EQ(DefaultShuffleWindowRows(int64_t{1} << 40, 1, 2 << 20), 1 << 20);
}

TEST(DefaultShuffleWindowRows, TakesTablesWithoutRowsOrBytes) {
  EXPECT_EQ(DefaultShuffleWindowRows(0, 0, 8), 1 << 20);
  EXPECT_EQ(DefaultShuffleWindowRows(0, 1000, 8), 1 << 20);
  EXPECT_EQ(DefaultShuffleWindowRows(std::numeric_limits<int64_t>::max(), 1, 1), 1);
}

}  // namespace
}  // namespace headrace::plan
