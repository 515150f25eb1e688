#include <arrow/table.h>
#include <gtest/gtest.h>
#include <headrace/scan_ranges.h>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using testing::Check;

// Three files of 100 rows in row groups of 10.
Dataset Lake(const testing::TempDir& dir) {
  for (int file = 0; file < 3; ++file) {
    testing::WriteParquet(dir / ("t/" + std::to_string(file) + ".parquet"),
                          testing::Numbers(file * 100, 100), {.row_group_rows = 10});
  }
  return Check(Dataset::Open(dir / "t"));
}

std::string Where(const ScanRange& range) {
  return "row_id >= " + std::to_string(range.first) + " and row_id < " +
         std::to_string(range.end);
}

TEST(ScanRanges, HoldEveryRowOnceInOrder) {
  const testing::TempDir dir;
  const Dataset lake = Lake(dir);
  const auto whole = Check(Check(lake.ToTable())->CombineChunks());
  for (const int64_t count : {0, 1, 2, 3, 4, 7, 29, 30, 31, 1000}) {
    const auto ranges = Check(ScanRanges(lake, count));
    EXPECT_EQ(std::ssize(ranges), count == 0 ? 30 : std::min<int64_t>(count, 30));
    std::vector<std::shared_ptr<arrow::Table>> parts;
    int64_t most = 0;
    for (const ScanRange& range : ranges) {
      parts.push_back(Check(Check(lake.Where(Where(range))).ToTable()));
      most = std::max(most, parts.back()->num_rows());
    }
    if (count > 0) {
      EXPECT_LE(most, 300 / count + 10);
    }
    const auto together = Check(Check(arrow::ConcatenateTables(parts))->CombineChunks());
    EXPECT_TRUE(together->Equals(*whole)) << count;
  }
}

TEST(ScanRanges, LeaveOutWhatStatisticsExclude) {
  const testing::TempDir dir;
  const Dataset some = Check(Lake(dir).Where("x >= 105 and x < 125"));
  const auto ranges = Check(ScanRanges(some, 2));
  ASSERT_EQ(std::ssize(ranges), 2);
  EXPECT_EQ(ranges[0].first, RowId(1, 0));
  EXPECT_EQ(ranges[1].end, RowId(1, 30));
  EXPECT_EQ(Check(ScanRanges(Check(some.Where("x < 0")), 4)).size(), 0);
  EXPECT_EQ(KindOf(ScanRanges(some, -1).status()), ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace headrace
