#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <gtest/gtest.h>
#include <headrace/staged_write.h>
#include <headrace/versions.h>

#include <filesystem>
#include <thread>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using testing::Check;

std::shared_ptr<arrow::RecordBatchReader> Rows(int64_t first, int64_t rows) {
  return std::make_shared<arrow::TableBatchReader>(testing::Numbers(first, rows));
}

WritePlan Plan(const std::string& uri, const WriteOptions& options = {}) {
  return Check(PlanWrite(uri, *testing::Numbers(0, 0)->schema(), options));
}

int64_t CountFiles(const std::string& folder) {
  int64_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    files += entry.path().extension() == ".parquet" ? 1 : 0;
  }
  return files;
}

std::string ReadAll(const std::string& uri) {
  return Check(Check(Dataset::Open(uri)).ToTable())->ToString();
}

TEST(StagedWrite, PartsOfManyProcessesAreOneVersion) {
  const testing::TempDir dir;
  const WritePlan plan = Plan(dir / "t", {.num_threads = 1});
  std::vector<std::string> staged(3);
  std::vector<std::thread> tasks;
  for (int64_t task = 2; task >= 0; --task) {
    tasks.emplace_back([&, task] {
      staged[static_cast<size_t>(task)] =
          Check(StageFiles(Rows(task * 100, 100), plan, task));
    });
  }
  for (auto& task : tasks) task.join();
  // Files that nobody commits, as after the death of who would, are no table.
  EXPECT_EQ(KindOf(Dataset::Open(dir / "t").status()), ErrorKind::kNotFound);
  // The texts may come in any order, and twice.
  const auto summary =
      Check(CommitStaged(plan, {staged[1], staged[2], staged[0], staged[1]}));
  EXPECT_EQ(summary.rows, 300);
  EXPECT_EQ(summary.files, 3);
  EXPECT_EQ(summary.version, 0);
  EXPECT_EQ(Check(Check(Dataset::Open(dir / "t")).ToTable())->num_rows(), 300);
  // Rows lie by task.
  Check(Write(Rows(0, 300), dir / "alone"));
  EXPECT_EQ(Check(Check(Dataset::Open(dir / "t")).ToTable())
                ->CombineChunks()
                .ValueOrDie()
                ->ToString(),
            Check(Check(Dataset::Open(dir / "alone")).ToTable())
                ->CombineChunks()
                .ValueOrDie()
                ->ToString());
}

TEST(StagedWrite, AnotherAttemptsFilesAreNotSeen) {
  const testing::TempDir dir;
  const WritePlan plan = Plan(dir / "t");
  Check(StageFiles(Rows(0, 100), plan, 0));
  const std::string second = Check(StageFiles(Rows(0, 100), plan, 0));
  Check(CommitStaged(plan, {second}));
  EXPECT_EQ(CountFiles(dir / "t"), 2);
  EXPECT_EQ(Check(Check(Dataset::Open(dir / "t")).CountRows()), 100);
}

TEST(StagedWrite, DiscardLeavesWhatOthersWrote) {
  const testing::TempDir dir;
  Check(Write(Rows(0, 10), dir / "t"));
  const std::string before = ReadAll(dir / "t");
  const WritePlan plan = Plan(dir / "t", {.mode = "append"});
  Check(StageFiles(Rows(0, 100), plan, 0));
  Check(StageFiles(Rows(0, 100), plan, 7));
  EXPECT_EQ(CountFiles(dir / "t"), 3);
  Check(DiscardStaged(plan));
  Check(DiscardStaged(plan));
  EXPECT_EQ(CountFiles(dir / "t"), 1);
  EXPECT_EQ(ReadAll(dir / "t"), before);
  Check(DiscardStaged(Plan(dir / "never")));
}

TEST(StagedWrite, PartsWithoutRowsTellTheColumns) {
  const testing::TempDir dir;
  const WritePlan plan = Plan(dir / "t");
  const std::string none = Check(StageFiles(Rows(0, 0), plan, 0));
  EXPECT_EQ(Check(CommitStaged(plan, {none, none})).rows, 0);
  const auto dataset = Check(Dataset::Open(dir / "t"));
  EXPECT_TRUE(dataset.schema()->Equals(*testing::Numbers(0, 0)->schema(), false));
}

// Two writes that both begin where no table is: one makes it.
TEST(StagedWrite, OneOfTwoMakesATable) {
  const testing::TempDir dir;
  const WritePlan first = Plan(dir / "t"), second = Plan(dir / "t");
  const std::string a = Check(StageFiles(Rows(0, 10), first, 0));
  const std::string b = Check(StageFiles(Rows(0, 20), second, 0));
  Check(CommitStaged(second, {b}));
  const auto late = CommitStaged(first, {a});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(KindOf(late.status()), ErrorKind::kConflict);
  EXPECT_EQ(Check(Check(Dataset::Open(dir / "t")).CountRows()), 20);
  EXPECT_EQ(CountFiles(dir / "t"), 1);
  // Nor is there any longer what told others of a table to come.
  for (const auto& each : std::filesystem::directory_iterator(dir / "t/_delta_log")) {
    EXPECT_NE(each.path().extension(), ".tmp") << each.path();
  }
}

TEST(StagedWrite, AppendsGoOnWhateverOthersAppend) {
  const testing::TempDir dir;
  Check(Write(Rows(0, 10), dir / "t"));
  const WritePlan plan = Plan(dir / "t", {.mode = "append"});
  Check(Write(Rows(0, 5), dir / "t", {.mode = "append"}));
  const std::string staged = Check(StageFiles(Rows(0, 100), plan, 0));
  EXPECT_EQ(Check(CommitStaged(plan, {staged})).version, 2);
  EXPECT_EQ(Check(Check(Dataset::Open(dir / "t")).CountRows()), 115);
}

// It goes by the version that was there when it was planned.
TEST(StagedWrite, OverwritesOnlyWhatItWasPlannedOn) {
  const testing::TempDir dir;
  Check(Write(Rows(0, 10), dir / "t"));
  const WritePlan plan = Plan(dir / "t", {.mode = "overwrite"});
  Check(Write(Rows(0, 5), dir / "t", {.mode = "append"}));
  const std::string staged = Check(StageFiles(Rows(0, 100), plan, 0));
  const auto late = CommitStaged(plan, {staged});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(KindOf(late.status()), ErrorKind::kConflict);
  EXPECT_EQ(Check(Check(Dataset::Open(dir / "t")).CountRows()), 15);
  EXPECT_EQ(CountFiles(dir / "t"), 2);
}

TEST(StagedWrite, RefusesPartsThatDoNotFit) {
  const testing::TempDir dir;
  const WritePlan plan = Plan(dir / "t");
  const std::string numbers = Check(StageFiles(Rows(0, 10), plan, 0));
  const auto other =
      testing::TableFromJson(arrow::schema({arrow::field("z", arrow::int64())}), "[[1]]");
  const std::string letters =
      Check(StageFiles(std::make_shared<arrow::TableBatchReader>(other), plan, 1));
  const auto differ = CommitStaged(plan, {numbers, letters});
  EXPECT_EQ(KindOf(differ.status()), ErrorKind::kSchemaMismatch);
  EXPECT_NE(differ.status().message().find("part 1"), std::string::npos);
  EXPECT_EQ(KindOf(CommitStaged(plan, {}).status()), ErrorKind::kInvalidArgument);
  for (const char* text : {"", "{}", "[]", R"({"actions": 3})", R"({"actions": "{}"})"}) {
    EXPECT_EQ(KindOf(CommitStaged(plan, {numbers, text}).status()),
              ErrorKind::kInvalidArgument)
        << text;
  }
  EXPECT_EQ(KindOf(Dataset::Open(dir / "t").status()), ErrorKind::kNotFound);
}

TEST(StagedWrite, PlansFailBeforeARowIsWritten) {
  const testing::TempDir dir;
  Check(Write(Rows(0, 10), dir / "t"));
  const auto kind = [&](const WriteOptions& options) {
    return KindOf(
        PlanWrite(dir / "t", *testing::Numbers(0, 0)->schema(), options).status());
  };
  EXPECT_EQ(kind({}), ErrorKind::kConflict);
  EXPECT_EQ(kind({.mode = "never"}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.mode = "append", .format = "parquet"}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.mode = "append", .partition_by = {"a"}}), ErrorKind::kInvalidArgument);
  const auto letters = arrow::schema({arrow::field("z", arrow::utf8())});
  EXPECT_EQ(KindOf(PlanWrite(dir / "t", *letters, {.mode = "append"}).status()),
            ErrorKind::kSchemaMismatch);
}

}  // namespace
}  // namespace headrace
