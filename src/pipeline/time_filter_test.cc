#include "pipeline/time_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/dataset.h>

#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace::pipeline {
namespace {

using testing::Check;
using ::testing::HasSubstr;

/// A table with one row a folder; `x` numbers them in stored order.
class TimeFilter : public ::testing::Test {
 protected:
  Dataset Lake(const std::vector<std::string>& folders) {
    const auto schema = arrow::schema({arrow::field("x", arrow::int64())});
    for (const std::string& folder : folders) {
      testing::WriteParquet(folder_ / ("lake/" + folder + "/f.parquet"),
                            testing::TableFromJson(schema, "[[1]]"));
    }
    return Check(Dataset::Open(folder_.path() + "/lake"));
  }

  static std::string FilterOf(const Result<Dataset>& dataset) {
    return dataset.ok() ? Check(dataset->Explain()).filter : MessageOf(dataset.status());
  }

  testing::TempDir folder_;
};

TEST_F(TimeFilter, PartsOfATimeAreComparedCoarsestFirst) {
  const Dataset lake = Lake({"year=2025/month=12/day=31", "year=2026/month=1/day=1",
                             "year=2026/month=2/day=28", "year=2026/month=3/day=1"});
  EXPECT_EQ(Check(Check(lake.Between("2025-12-31", "2026-02-28")).CountRows()), 2);
  EXPECT_EQ(Check(Check(lake.Between("2026-01-01", "2026-03-01")).CountRows()), 2);
  // Whole years need the year alone.
  const auto years = Check(lake.Between("2025-01-01", "2026-01-01"));
  EXPECT_THAT(FilterOf(years), ::testing::Not(HasSubstr("month")));
  EXPECT_EQ(Check(years.CountRows()), 1);
  EXPECT_EQ(Check(years.Explain()).after.files, 1);
}

TEST_F(TimeFilter, PaddedPartsAreText) {
  const Dataset lake = Lake({"year=2026/month=09", "year=2026/month=10"});
  EXPECT_EQ(Check(Check(lake.Between("2026-09-01", "2026-10-01")).CountRows()), 1);
  EXPECT_EQ(Check(Check(lake.Between("2026-09-01", "2027-01-01")).CountRows()), 2);
}

TEST_F(TimeFilter, EpochsAreOfTheUnitThatTheirSizeSays) {
  for (const std::string zeros : {"", "000", "000000", "000000000"}) {
    const Dataset lake =
        Lake({zeros + "z/ts=1342428418" + zeros, zeros + "z/ts=1342432018" + zeros});
    const auto open = Check(Dataset::Open(folder_.path() + "/lake/" + zeros + "z"));
    const auto text = Check(open.Between("2012-07-16T08:46:58Z", "2012-07-16T09:00:00Z"));
    EXPECT_EQ(Check(text.CountRows()), 1) << zeros;
    const auto number = Check(open.Between(int64_t{1342428419}, int64_t{1342432019}));
    EXPECT_EQ(Check(number.CountRows()), 1) << zeros;
    const auto where = Check(open.Where("ts < timestamp '2012-07-16 08:46:58.5Z'"));
    EXPECT_EQ(Check(where.CountRows()), 1) << zeros;
  }
}

TEST_F(TimeFilter, RefusesBoundsThatTheColumnCannotTellApart) {
  const Dataset lake = Lake({"day=2026-11-01", "day=2026-11-02"});
  EXPECT_THAT(FilterOf(lake.Between("2026-11-01T06:00", "2026-11-03")),
              HasSubstr("finer than \"day\" holds"));
  EXPECT_THAT(FilterOf(lake.Between("2026-11-03", "2026-11-01")), HasSubstr("is after"));
  EXPECT_THAT(FilterOf(lake.Between("soon", "2026-11-01")), HasSubstr("start is 'soon'"));
}

TEST_F(TimeFilter, RefusesWhereSeveralOrNoneCouldBeMeant) {
  EXPECT_THAT(
      FilterOf(
          Lake({"from=2026-11-01/to=2026-11-02"}).Between("2026-11-01", "2026-11-02")),
      HasSubstr("any of \"from\", \"to\""));
  const Dataset plain = Check(
      Dataset::Open(folder_.path() + "/lake/from=2026-11-01/to=2026-11-02/f.parquet"));
  EXPECT_THAT(FilterOf(plain.Between("2026-11-01", "2026-11-02")),
              HasSubstr("no column of time"));
  EXPECT_THAT(FilterOf(plain.Between("2026-11-01", "2026-11-02", "x")),
              HasSubstr("compare them by where"));
}

}  // namespace
}  // namespace headrace::pipeline
