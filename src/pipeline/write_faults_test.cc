// A writer that dies at any of its calls of storage: the last version reads whole, no
// half version is ever visible, a rerun succeeds, and what was left is found.

#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <gtest/gtest.h>
#include <headrace/versions.h>
#include <headrace/write.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include "storage/faulty.h"
#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using storage::Fault;
using testing::Check;

constexpr int64_t kRows = 60;
constexpr int64_t kPartitions = 12;

std::shared_ptr<arrow::RecordBatchReader> Rows() {
  std::string rows = "[";
  for (int64_t i = 0; i < kRows; ++i) {
    rows += (i == 0 ? "[" : ", [") + std::to_string(i) + ", " +
            std::to_string(i % kPartitions) + "]";
  }
  const auto table =
      testing::TableFromJson(arrow::schema({arrow::field("x", arrow::int64()),
                                            arrow::field("p", arrow::int32())}),
                             rows + "]");
  // The reader keeps no table alive.
  return Check(arrow::RecordBatchReader::Make({Check(table->CombineChunksToBatch())},
                                              table->schema()));
}

class WriteFaults : public ::testing::Test {
 protected:
  WriteFaults() { InstallFaulty(faults_); }

  // On one thread, so that calls come in one order.
  Result<WriteSummary> Append() {
    return Write(Rows(), "faulty://" + table_,
                 {.mode = "append", .partition_by = {"p"}, .num_threads = 1});
  }

  // How many versions there are, each of which adds the same rows.
  int64_t CheckWhole() {
    const auto dataset = Check(Dataset::Open(table_));
    const int64_t versions = *dataset.version() + 1;
    EXPECT_EQ(Check(dataset.CountRows()), versions * kRows);
    EXPECT_EQ(Check(dataset.ToTable())->num_rows(), versions * kRows);
    return versions;
  }

  testing::TempDir folder_;
  std::string table_ = folder_ / "t";
  std::shared_ptr<storage::Faults> faults_ = std::make_shared<storage::Faults>();
};

TEST_F(WriteFaults, DyingAtAnyCallLeavesWholeVersions) {
  Check(Append());
  std::filesystem::copy(table_ + "/_delta_log", folder_ / "log");
  int64_t points = 0;
  for (const Fault fault : {Fault::kFail, Fault::kCut, Fault::kLost}) {
    for (int64_t nth = 1;; ++nth) {
      // From one version each time, with what dead writers left beside it.
      std::filesystem::remove_all(table_ + "/_delta_log");
      std::filesystem::copy(folder_ / "log", table_ + "/_delta_log");
      const int64_t before = CheckWhole();
      faults_->ArmDeath(nth, fault);
      const auto written = Append();
      const bool struck = faults_->struck();
      faults_->Disarm();
      const int64_t after = CheckWhole();
      if (!struck) {
        EXPECT_TRUE(written.ok()) << written.status();
        EXPECT_EQ(after, before + 1);
        break;
      }
      ++points;
      // A commit may stand though its answer was lost; one that was told of stands.
      EXPECT_LE(after, before + 1) << fault << " at call " << nth;
      if (written.ok()) {
        EXPECT_EQ(after, before + 1) << fault << " at call " << nth;
      }
    }
  }
  std::cout << "died at " << points << " points\n";
  EXPECT_GE(points, 200);
  const int64_t before = CheckWhole();
  EXPECT_FALSE(Check(Vacuum(table_, 0, /*dry_run=*/false)).files.empty());
  EXPECT_TRUE(Check(Vacuum(table_, 0)).files.empty());
  Check(Append());
  EXPECT_EQ(CheckWhole(), before + 1);
}

}  // namespace
}  // namespace headrace
