// A part of a table is what the whole one gives, and nothing else was listed for it.
#include "pipeline/part_rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/dataset.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/faulty.h"
#include "tests/cpp/lake.h"

namespace headrace::pipeline {
namespace {

using storage::Operation;
using ::testing::AllOf;
using testing::Check;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

class PartRule : public ::testing::Test {
 protected:
  PartRule() { storage::InstallFaulty(faults_); }

  /// One file in each folder; `x` numbers the rows in the order of the folders.
  void MakeLake(const std::vector<std::string>& folders) {
    const auto schema = arrow::schema({arrow::field("x", arrow::int64())});
    for (const std::string& folder : folders) {
      const std::string path = folder_ / ("lake/" + folder + "/f.parquet");
      testing::WriteParquet(
          path, testing::TableFromJson(schema, "[[" + std::to_string(rows_) + "], [" +
                                                   std::to_string(rows_ + 1) + "]]"));
      rows_ += 2;
    }
  }

  std::string lake() const { return folder_.path() + "/lake"; }

  Result<Dataset> Open(const OpenOptions& options) {
    faults_->Disarm();
    auto opened = Dataset::Open("faulty://" + lake(), options);
    listed_.clear();
    opened_.clear();
    for (const auto& [call, count] : faults_->counts()) {
      const auto& [operation, path] = call;
      if (!path.starts_with(lake())) continue;
      const std::string below = path.substr(std::min(path.size(), lake().size() + 1));
      if (below.starts_with("_delta_log")) continue;
      if (operation == Operation::kOpen) opened_.insert(below);
      // A path that is listed twice is there twice.
      if (operation == Operation::kList) {
        for (int64_t i = 0; i < count; ++i) listed_.insert(below);
      }
    }
    return opened;
  }

  static std::vector<int64_t> Rows(const Dataset& dataset) {
    const auto column = Check(dataset.ToTable())->GetColumnByName("x");
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < column->length(); ++i) {
      const auto scalar = Check(column->GetScalar(i));
      rows.push_back(static_cast<const arrow::Int64Scalar&>(*scalar).value);
    }
    return rows;
  }

  /// Opens the part and holds it against the whole.
  Dataset Part(const std::string& where) {
    const Dataset part = Check(Open({.where = where}));
    const Dataset whole = Check(Dataset::Open(lake()));
    const Dataset chosen = Check(whole.Where(where));
    EXPECT_EQ(Rows(part), Rows(chosen)) << where;
    EXPECT_TRUE(part.schema()->Equals(*whole.schema())) << where;
    EXPECT_EQ(Check(part.CountRows()), Check(chosen.CountRows())) << where;
    const Dataset again = Check(Dataset::FromJson(part.ToJson()));
    EXPECT_EQ(again.fingerprint(), part.fingerprint());
    EXPECT_EQ(Rows(again), Rows(part));
    return part;
  }

  Dataset PartBetween(const TimeRange& range) {
    const Dataset part = Check(Open({.between = range}));
    const Dataset whole = Check(Dataset::Open(lake()));
    EXPECT_EQ(Rows(part),
              Rows(Check(whole.Between(range.start, range.end, range.column))));
    const Dataset again = Check(Dataset::FromJson(part.ToJson()));
    EXPECT_EQ(again.fingerprint(), part.fingerprint());
    EXPECT_EQ(Rows(again), Rows(part));
    return part;
  }

  static int64_t Files(const Dataset& dataset) {
    return Check(dataset.Explain()).before.files;
  }

  testing::TempDir folder_;
  std::shared_ptr<storage::Faults> faults_ = std::make_shared<storage::Faults>();
  std::multiset<std::string> listed_;  // below the lake
  std::set<std::string> opened_;
  int64_t rows_ = 0;
};

TEST_F(PartRule, ListsOnlyTheEpochsThatMayPass) {
  MakeLake({"ts=1342428418", "ts=1342432018", "ts=1342435618", "ts=1342439218"});
  for (const std::string where :
       {"ts >= 1342432018 and ts < 1342439218",
        "ts >= timestamp '2012-07-16 09:46:58Z' and "
        "ts < timestamp '2012-07-16 11:46:58Z'",
        "(ts >= 1342432018 and x >= 0) and not (ts = 1342439218 or x < 0)"}) {
    EXPECT_EQ(Files(Part(where)), 2) << where;
    EXPECT_THAT(listed_, UnorderedElementsAre("", "ts=1342432018", "ts=1342435618"));
    EXPECT_THAT(opened_,
                ElementsAre("ts=1342432018/f.parquet", "ts=1342435618/f.parquet"))
        << where;
  }
  EXPECT_EQ(Files(PartBetween({int64_t{1342432018}, int64_t{1342435618}})), 1);
  EXPECT_THAT(listed_, UnorderedElementsAre("", "ts=1342432018"));
}

TEST_F(PartRule, ListsOnlyTheDatesThatMayPass) {
  MakeLake({"date=2026-10-31", "date=2026-11-01", "date=2026-11-02",
            "date=__HIVE_DEFAULT_PARTITION__"});
  EXPECT_EQ(Files(Part("date = '2026-11-01'")), 1);
  EXPECT_THAT(listed_, UnorderedElementsAre("", "date=2026-11-01"));
  EXPECT_EQ(Files(Part("date in ('2026-10-31', '2026-11-02')")), 2);
  EXPECT_EQ(Files(Part("not date = '2026-11-01'")), 2);
  EXPECT_EQ(Files(Part("date is null")), 1);
  EXPECT_THAT(listed_, UnorderedElementsAre("", "date=__HIVE_DEFAULT_PARTITION__"));
  EXPECT_EQ(Files(Part("date is null or date > '2026-11-01'")), 2);
  EXPECT_EQ(Files(Part("date > '2026-11-01' or x = 0")), 4);
  EXPECT_EQ(Files(PartBetween({"2026-11-01", "2026-12-01"})), 2);
}

TEST_F(PartRule, ListsYearsMonthsAndDaysLevelByLevel) {
  MakeLake({"year=2025/month=12/day=31", "year=2026/month=1/day=1",
            "year=2026/month=1/day=2", "year=2026/month=2/day=1",
            "year=2027/month=1/day=1"});
  EXPECT_EQ(Files(Part("year = 2026 and month = 1 and day = 2")), 1);
  EXPECT_THAT(listed_, UnorderedElementsAre("", "year=2026", "year=2026/month=1",
                                            "year=2026/month=1/day=2"));
  // What no deeper partition column is asked for is listed at once.
  EXPECT_EQ(Files(Part("year = 2026")), 3);
  EXPECT_EQ(listed_.count("year=2026"), 2);  // to come upon a file, and all below
  EXPECT_THAT(listed_, Not(Contains("year=2026/month=2")));
  // A year that does not matter is listed, its other months are not.
  EXPECT_EQ(Files(Part("month = 1")), 3);
  EXPECT_THAT(listed_, AllOf(Contains("year=2025"),
                             Not(Contains(StartsWith("year=2025/month=12"))),
                             Not(Contains(StartsWith("year=2026/month=2")))));
  EXPECT_EQ(Files(PartBetween({"2025-12-31", "2026-01-02"})), 2);
  EXPECT_THAT(listed_, AllOf(Not(Contains(StartsWith("year=2027"))),
                             Not(Contains(StartsWith("year=2026/month=2")))));
  EXPECT_EQ(Files(PartBetween({"2026-01-01", "2027-01-01"})), 3);
  EXPECT_THAT(listed_, Not(Contains(StartsWith("year=2027"))));
}

TEST_F(PartRule, FindsOtherColumnsBesideTheTime) {
  MakeLake({"region=de/date=2026-11-01", "region=de/date=2026-11-02",
            "region=fr/date=2026-11-01"});
  EXPECT_EQ(Files(PartBetween({"2026-11-01", "2026-11-02"})), 2);
  EXPECT_EQ(Files(PartBetween({"2026-11-01", "2026-11-02", "date"})), 2);
  EXPECT_THAT(listed_, Not(Contains("region=de/date=2026-11-02")));
  const Dataset both =
      Check(Open({.where = "region = 'de'", .between = {{"2026-11-02", "2026-11-03"}}}));
  EXPECT_THAT(Rows(both), ElementsAre(2, 3));
  EXPECT_THAT(listed_, Not(Contains(StartsWith("region=fr"))));
}

TEST_F(PartRule, AFilterOnNoPartitionColumnListsTheWholeAtOnce) {
  MakeLake({"date=2026-11-01", "date=2026-11-02", "date=2026-11-03"});
  const Dataset part = Part("x >= 3");
  EXPECT_EQ(part.fingerprint(), Check(Dataset::Open(lake())).fingerprint());
  EXPECT_THAT(listed_, UnorderedElementsAre("", "", "date=2026-11-01"));
}

TEST_F(PartRule, FoldersBetweenPartitionsAreLookedThrough) {
  MakeLake({"a/ts=1/data", "a/ts=2/data", "b/ts=1/data", "b/ts=2/data"});
  EXPECT_EQ(Files(Part("ts = 2")), 2);
  EXPECT_THAT(listed_, Not(Contains(AllOf(HasSubstr("ts=1")))));
  EXPECT_EQ(Files(Part("ts = 2 and x > 5")), 2);
}

TEST_F(PartRule, KeysAtDifferentDepthsAreOneColumn) {
  MakeLake({"a/ts=1", "ts=2/b", "ts=1/c"});
  EXPECT_EQ(Files(Part("ts = 1")), 2);
  EXPECT_THAT(listed_, Not(Contains(StartsWith("ts=2"))));
}

TEST_F(PartRule, WhereNothingIsLeftTheSchemaIs) {
  MakeLake({"date=2026-11-01", "date=2026-11-02"});
  EXPECT_EQ(Check(Part("date = '2020-01-01'").CountRows()), 0);
  EXPECT_EQ(Check(PartBetween({"2020-01-01", "2021-01-01"}).CountRows()), 0);
  EXPECT_EQ(Check(Part("1 = 2").CountRows()), 0);
}

TEST_F(PartRule, TypesAreThoseOfAllDirectoriesThatWereSeen) {
  MakeLake({"k=1", "k=2", "k=x"});
  const Dataset part = Part("k = '1'");  // the type of "k" is string, as of the whole
  EXPECT_EQ(Files(part), 1);
  // Types are part of the version where the files that are left do not tell them.
  std::filesystem::remove_all(lake() + "/k=x");
  const auto again = Dataset::FromJson(part.ToJson());
  EXPECT_FALSE(again.ok());
  MakeLake({"k=x"});
  EXPECT_EQ(Check(Dataset::FromJson(part.ToJson())).fingerprint(), part.fingerprint());
}

TEST_F(PartRule, WhatHappensElsewhereDoesNotMatter) {
  MakeLake({"date=2026-11-01", "date=2026-11-02", "date=2026-11-03"});
  const Dataset part = Part("date = '2026-11-02'");
  MakeLake({"date=2026-11-04", "date=2026-11-03/more"});
  testing::WriteFile(lake() + "/date=2026-11-01/f.parquet", "no Parquet");
  EXPECT_EQ(Check(Dataset::FromJson(part.ToJson())).fingerprint(), part.fingerprint());
  EXPECT_EQ(Check(part.CountRows()), 2);
  MakeLake({"date=2026-11-02/more"});
  const auto changed = Dataset::FromJson(part.ToJson());
  EXPECT_EQ(KindOf(changed.status()), ErrorKind::kConflict);
}

TEST_F(PartRule, UnitsOfEpochsAreThoseOfAllDirectoriesThatWereSeen) {
  MakeLake({"ts=1342428418", "ts=1342432018000"});  // the larger says milliseconds
  EXPECT_EQ(Files(Part("ts < timestamp '2012-07-16 00:00:00Z'")), 1);
}

TEST_F(PartRule, RefusesWhatTheWholeRefuses) {
  MakeLake({"date=2026-11-01", "date=2026-11-02"});
  const auto kind = [&](const OpenOptions& options) {
    return KindOf(Open(options).status());
  };
  EXPECT_EQ(kind({.where = "date ="}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.where = "date = 7"}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.where = "nothing = 7"}), ErrorKind::kNotFound);
  EXPECT_EQ(kind({.between = {{"soon", "2026-11-02"}}}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.between = {{"2026-11-01T06:00", "2026-11-02"}}}),
            ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.partition_types = {{"date", "int32"}}, .where = "date = 7"}),
            ErrorKind::kInvalidArgument);
  MakeLake({"other=1"});
  EXPECT_EQ(kind({.where = "date = '2026-11-01'"}), ErrorKind::kSchemaMismatch);
  std::filesystem::remove_all(lake());
  EXPECT_EQ(kind({.where = "date = '2026-11-01'"}), ErrorKind::kNotFound);
  std::filesystem::create_directories(lake() + "/date=2026-11-01");
  EXPECT_THAT(MessageOf(Open({.where = "date = '2026-11-01'"}).status()),
              HasSubstr("without data files"));
}

TEST_F(PartRule, AFileAndAListAreFilteredAlone) {
  MakeLake({"date=2026-11-01", "date=2026-11-02"});
  const std::string file = lake() + "/date=2026-11-01/f.parquet";
  EXPECT_THAT(Rows(Check(Dataset::Open(file, {.where = "x > 0"}))), ElementsAre(1));
  const Dataset list =
      Check(Dataset::Open({lake() + "/date=2026-11-01", lake() + "/date=2026-11-02"},
                          {.where = "date = '2026-11-02'"}));
  EXPECT_EQ(Files(list), 2);
  EXPECT_THAT(Rows(list), ElementsAre(2, 3));
}

}  // namespace
}  // namespace headrace::pipeline
