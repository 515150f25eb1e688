#include <headrace/loader.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using testing::Check;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing::TempDir;

constexpr int64_t kRows = 5000;

std::vector<int64_t> Upto(int64_t rows) {
  std::vector<int64_t> all(rows);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

std::vector<int64_t> Sorted(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  return values;
}

std::vector<int64_t> Ids(const TensorBatch& batch) {
  const auto& tensor = std::get<Tensor>(batch.columns.at(batch.Find("id")));
  const auto* values = reinterpret_cast<const int64_t*>(tensor.data());
  return {values, values + tensor.size()};
}

/// What is left of the pass, batch by batch.
std::vector<std::vector<int64_t>> Batches(Loader& loader) {
  std::vector<std::vector<int64_t>> batches;
  while (auto batch = Check(loader.Next())) batches.push_back(Ids(*batch));
  return batches;
}

std::vector<int64_t> Samples(Loader& loader) {
  std::vector<int64_t> all;
  for (const auto& batch : Batches(loader))
    all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

size_t ThreadsNow() {
  return std::ranges::distance(std::filesystem::directory_iterator("/proc/self/task"));
}

/// A joined thread's entry in /proc may outlive the join by a moment.
bool ComesDownTo(size_t threads) {
  for (int i = 0; i < 200 && ThreadsNow() > threads; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return ThreadsNow() <= threads;
}

class LoaderTest : public ::testing::Test {
 protected:
  LoaderTest() {
    options_.batch_size = 64;
    options_.shuffle_window_rows = 800;
    options_.seed = 7;
  }

  /// Two files of ids 0 ... rows - 1, in row groups of 300.
  Dataset Numbers(int64_t rows = kRows) {
    testing::ParquetOptions options;
    options.row_group_rows = 300;
    testing::WriteParquet(folder_ / "a.parquet", testing::Numbers(0, rows / 2, "id"),
                          options);
    testing::WriteParquet(folder_ / "b.parquet",
                          testing::Numbers(rows / 2, rows - rows / 2, "id"), options);
    return Open();
  }

  Dataset Open() { return Check(Dataset::Open(folder_.path())); }

  std::unique_ptr<Loader> Make(const Dataset& dataset) {
    return Check(Loader::Make(dataset, options_));
  }

  TempDir folder_;
  LoaderOptions options_;
};

TEST_F(LoaderTest, DeliversEveryRowOnceInEachEpoch) {
  auto loader = Make(Numbers());
  const auto first = Samples(*loader);
  const auto second = Samples(*loader);
  EXPECT_EQ(Sorted(first), Upto(kRows));
  EXPECT_EQ(Sorted(second), Upto(kRows));
  EXPECT_NE(first, second);
  EXPECT_EQ(loader->epoch(), 2);
}

TEST_F(LoaderTest, KeepsTheStoredOrderWithoutShuffle) {
  options_.shuffle = false;
  auto loader = Make(Numbers());
  const auto batches = Batches(*loader);
  ASSERT_THAT(batches, SizeIs((kRows + 63) / 64));
  EXPECT_THAT(batches.back(), SizeIs(kRows % 64));
  EXPECT_EQ(Check(loader->Steps()), (kRows + 63) / 64);
  EXPECT_EQ(Samples(*loader), Upto(kRows));
}

TEST_F(LoaderTest, DeliversOnlyRowsThatPassTheFilter) {
  auto loader = Make(Check(Numbers().Where("id >= 100 and id < 2700")));
  auto expected = Upto(2700);
  expected.erase(expected.begin(), expected.begin() + 100);
  EXPECT_EQ(Sorted(Samples(*loader)), expected);
  EXPECT_GT(loader->stats().row_groups_pruned, 0);
}

TEST_F(LoaderTest, OrderDependsOnSeedAndEpochAndNotOnThreadsOrBudget) {
  const Dataset dataset = Numbers();
  options_.num_threads = 1;
  auto loader = Make(dataset);
  const auto expected = Batches(*loader);
  const int64_t floor = loader->stats().memory_floor;

  options_.num_threads = 8;
  EXPECT_EQ(Batches(*Make(dataset)), expected);
  options_.memory_budget = Make(dataset)->stats().memory_floor;
  EXPECT_EQ(Batches(*Make(dataset)), expected);
  options_.num_threads = 1;
  options_.memory_budget = floor;
  EXPECT_EQ(Batches(*Make(dataset)), expected);

  options_.seed = 8;
  options_.memory_budget = int64_t{2} << 30;
  EXPECT_NE(Batches(*Make(dataset)), expected);
}

TEST_F(LoaderTest, EpochsCanBeReachedDirectly) {
  const Dataset dataset = Numbers();
  auto loader = Make(dataset);
  Samples(*loader);
  const auto second = Samples(*loader);

  options_.epoch = 1;
  EXPECT_EQ(Samples(*Make(dataset)), second);
  Check(loader->SetEpoch(1));
  EXPECT_EQ(Samples(*loader), second);
  EXPECT_EQ(KindOf(loader->SetEpoch(-1)), ErrorKind::kInvalidArgument);
}

TEST_F(LoaderTest, RestartBeginsTheEpochAnew) {
  auto loader = Make(Numbers());
  const auto first = Ids(*Check(loader->Next()));
  Check(loader->Next());
  Check(loader->Restart());
  EXPECT_EQ(Ids(*Check(loader->Next())), first);
  EXPECT_EQ(loader->epoch(), 0);
}

TEST_F(LoaderTest, RanksTogetherDeliverEveryRowOnce) {
  const Dataset dataset = Numbers();
  const auto alone = Samples(*Make(dataset));
  options_.world_size = 4;
  std::vector<int64_t> all;
  std::set<int64_t> steps;
  for (options_.rank = 0; options_.rank < 4; ++options_.rank) {
    auto loader = Make(dataset);
    steps.insert(Check(loader->Steps()));
    const auto part = Samples(*loader);
    all.insert(all.end(), part.begin(), part.end());
  }
  EXPECT_EQ(Sorted(all), Sorted(alone));
  EXPECT_THAT(steps, SizeIs(1));
}

TEST_F(LoaderTest, DropLastLeavesTheShortStepOut) {
  options_.drop_last = true;
  const Dataset dataset = Numbers();
  auto loader = Make(dataset);
  const auto batches = Batches(*loader);
  EXPECT_THAT(batches, SizeIs(kRows / 64));
  EXPECT_THAT(batches, Each(SizeIs(64)));
  EXPECT_EQ(loader->BatchRows(), 64);
  EXPECT_EQ(Make(Check(dataset.OnError(ErrorPolicy::kSkip)))->BatchRows(), std::nullopt);
  options_.drop_last = false;
  EXPECT_EQ(Make(dataset)->BatchRows(), std::nullopt);
}

TEST_F(LoaderTest, PadLastGivesEveryRowOnceAsValidOnRanksOfEqualLength) {
  const Dataset dataset = Numbers(kRows - 1);
  options_.pad_last = true;
  options_.world_size = 8;
  std::vector<int64_t> valid_ids;
  std::set<std::vector<int64_t>> rows;
  for (options_.rank = 0; options_.rank < 8; ++options_.rank) {
    auto loader = Make(dataset);
    std::vector<int64_t> rows_here;
    while (auto batch = Check(loader->Next())) {
      rows_here.push_back(batch->rows);
      const auto& valid = std::get<Tensor>(batch->columns.at(batch->Find("valid")));
      ASSERT_EQ(valid.dtype, DType::kBool);
      ASSERT_THAT(valid.shape, ElementsAre(batch->rows));
      const auto ids = Ids(*batch);
      for (size_t i = 0; i < ids.size(); ++i) {
        if (valid.data()[i] != 0) valid_ids.push_back(ids[i]);
      }
    }
    rows.insert(rows_here);
  }
  EXPECT_EQ(Sorted(valid_ids), Upto(kRows - 1));
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(std::accumulate(rows.begin()->begin(), rows.begin()->end(), 0), kRows / 8);
}

TEST_F(LoaderTest, ResumesAnywhereWithinAnEpoch) {
  const Dataset dataset = Numbers();
  const auto expected = Batches(*Make(dataset));
  for (size_t taken : {0, 1, 13, 40, 78}) {
    auto before = Make(dataset);
    for (size_t i = 0; i < taken; ++i) Check(before->Next());
    const std::string state = Check(before->StateJson());
    before.reset();

    auto after = Make(dataset);
    Check(after->LoadStateJson(state));
    EXPECT_EQ(Check(after->StateJson()), state);
    EXPECT_EQ(Check(after->Steps()), static_cast<int64_t>(expected.size() - taken));
    EXPECT_EQ(
        Batches(*after),
        std::vector(expected.begin() + static_cast<ptrdiff_t>(taken), expected.end()));
    EXPECT_EQ(after->epoch(), 1);
  }
}

TEST_F(LoaderTest, AStateAfterTheLastBatchIsTheNextEpochsStart) {
  const Dataset dataset = Numbers();
  auto before = Make(dataset);
  const auto steps = Check(before->Steps());
  for (int64_t i = 0; i < steps; ++i) Check(before->Next());
  auto after = Make(dataset);
  Check(after->LoadStateJson(Check(before->StateJson())));
  EXPECT_EQ(after->epoch(), 1);
  EXPECT_EQ(Check(before->Next()), std::nullopt);
  EXPECT_EQ(Samples(*after), Samples(*before));
}

TEST_F(LoaderTest, ResumesOnAnotherNumberOfRanks) {
  const Dataset dataset = Numbers();
  auto alone = Make(dataset);
  auto seen = Ids(*Check(alone->Next()));
  for (int i = 0; i < 19; ++i) {
    const auto ids = Ids(*Check(alone->Next()));
    seen.insert(seen.end(), ids.begin(), ids.end());
  }
  const std::string state = Check(alone->StateJson());
  options_.world_size = 2;
  for (options_.rank = 0; options_.rank < 2; ++options_.rank) {
    auto loader = Make(dataset);
    Check(loader->LoadStateJson(state));
    const auto part = Samples(*loader);
    seen.insert(seen.end(), part.begin(), part.end());
  }
  EXPECT_EQ(Sorted(seen), Upto(kRows));
}

TEST_F(LoaderTest, TakesTheOrderOfAStateWhereTheOptionsLeaveItOpen) {
  const Dataset dataset = Numbers();
  options_.streams = 4;
  auto before = Make(dataset);
  Check(before->Next());
  options_.streams.reset();
  options_.seed.reset();
  options_.shuffle_window_rows.reset();
  auto after = Make(dataset);
  Check(after->LoadStateJson(Check(before->StateJson())));
  EXPECT_EQ(Batches(*after), Batches(*before));
}

TEST_F(LoaderTest, SetEpochKeepsAPositionLoadedWithinThatEpoch) {
  const Dataset dataset = Numbers();
  auto before = Make(dataset);
  Check(before->Next());
  auto after = Make(dataset);
  Check(after->LoadStateJson(Check(before->StateJson())));
  Check(after->SetEpoch(0));
  EXPECT_EQ(Batches(*after), Batches(*before));
}

TEST_F(LoaderTest, RefusesStatesOfAnotherTableFilterOrOrder) {
  const Dataset dataset = Numbers();
  const std::string state = Check(Make(dataset)->StateJson());
  auto expect_conflict = [&](Loader& loader, const std::string& what) {
    const Status status = loader.LoadStateJson(state);
    ASSERT_FALSE(status.ok()) << what;
    EXPECT_EQ(KindOf(status), ErrorKind::kConflict);
    EXPECT_THAT(MessageOf(status), HasSubstr(what));
    const auto rows = static_cast<int64_t>(Samples(loader).size());
    EXPECT_GT(rows, 0);
    EXPECT_EQ(rows, loader.stats().rows);
  };
  expect_conflict(*Make(Check(dataset.Where("id > 4"))), "filter");
  options_.seed = 1;
  options_.shuffle_window_rows = 1600;
  expect_conflict(*Make(dataset), "seed");
  expect_conflict(*Make(dataset), "shuffle_window_rows");
  expect_conflict(*Make(Numbers(100)), "fingerprint");
}

TEST_F(LoaderTest, RefusesTextThatIsNoState) {
  auto loader = Make(Numbers());
  for (const char* text : {"", "{", "{}", "null", "[1]", "{\"format\": 99}"}) {
    EXPECT_FALSE(loader->LoadStateJson(text).ok()) << text;
  }
  EXPECT_EQ(Sorted(Samples(*loader)), Upto(kRows));
}

TEST_F(LoaderTest, StaysWithinItsBudget) {
  const Dataset dataset = Numbers();
  const int64_t floor = Make(dataset)->stats().memory_floor;
  for (int64_t budget : {floor, floor + floor / 2, int64_t{2} << 30}) {
    options_.memory_budget = budget;
    auto loader = Make(dataset);
    Samples(*loader);
    const LoaderStats stats = loader->stats();
    EXPECT_GT(stats.memory_peak, 0);
    EXPECT_LE(stats.memory_peak, budget);
    EXPECT_EQ(stats.memory_budget, budget);
    EXPECT_EQ(stats.memory_floor, floor);
  }
}

TEST_F(LoaderTest, RefusesABudgetBelowTheFloorWithBothNumbers) {
  const Dataset dataset = Numbers();
  const int64_t floor = Make(dataset)->stats().memory_floor;
  options_.memory_budget = floor - 1;
  const Status status = Loader::Make(dataset, options_).status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kResourceExhausted);
  EXPECT_THAT(MessageOf(status),
              AllOf(HasSubstr("memory_budget"), HasSubstr(std::to_string(floor - 1)),
                    HasSubstr(std::to_string(floor))));
}

TEST_F(LoaderTest, RefusesOptionsThatCannotBeByName) {
  const Dataset dataset = Numbers();
  auto refused = [&](auto change) {
    LoaderOptions options = options_;
    change(options);
    const Status status = Loader::Make(dataset, options).status();
    if (status.ok()) return std::string("accepted");
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument) << status.ToString();
    return MessageOf(status);
  };
  EXPECT_THAT(refused([](auto& o) { o.batch_size = 0; }), HasSubstr("batch_size"));
  EXPECT_THAT(refused([](auto& o) { o.num_threads = 0; }), HasSubstr("num_threads"));
  EXPECT_THAT(refused([](auto& o) { o.epoch = -1; }), HasSubstr("epoch"));
  EXPECT_THAT(refused([](auto& o) { o.streams = 0; }), HasSubstr("streams"));
  EXPECT_THAT(refused([](auto& o) { o.rank = 1; }), HasSubstr("rank"));
  EXPECT_THAT(refused([](auto& o) { o.world_size = 0; }), HasSubstr("world_size"));
  EXPECT_THAT(refused([](auto& o) { o.world_size = 3; }), HasSubstr("streams"));
  EXPECT_THAT(refused([](auto& o) { o.shuffle_window_rows = 0; }),
              HasSubstr("shuffle_window_rows"));
  EXPECT_THAT(refused([](auto& o) { o.drop_last = o.pad_last = true; }),
              HasSubstr("drop_last"));
}

TEST_F(LoaderTest, AnErrorRepeatsAndNoLaterBatchComes) {
  const auto schema = arrow::schema({arrow::field("id", arrow::int64())});
  std::string rows = "[";
  for (int i = 0; i < 500; ++i) rows += "{\"id\": " + std::to_string(i) + "},";
  rows += "{\"id\": null}, {\"id\": 501}]";
  testing::WriteParquet(folder_ / "a.parquet", testing::TableFromJson(schema, rows));
  options_.shuffle = false;
  options_.batch_size = 10;
  options_.num_threads = 4;
  auto loader = Make(Open());
  for (int i = 0; i < 50; ++i) {
    ASSERT_THAT(Ids(*Check(loader->Next())), SizeIs(10));
  }
  const std::string state = Check(loader->StateJson());
  const Status first = loader->Next().status();
  ASSERT_FALSE(first.ok());
  EXPECT_EQ(KindOf(first), ErrorKind::kInvalidArgument);
  EXPECT_THAT(MessageOf(first),
              AllOf(HasSubstr("\"id\""), HasSubstr("row 500"), HasSubstr("a.parquet")));
  EXPECT_EQ(loader->Next().status(), first);
  EXPECT_EQ(loader->Next().status(), first);
  EXPECT_EQ(Check(loader->WaitReady(1000)), true);
  EXPECT_EQ(Check(loader->StateJson()), state);

  Check(loader->Restart());
  EXPECT_THAT(Ids(*Check(loader->Next())), SizeIs(10));
}

TEST_F(LoaderTest, SkippedRowsAreCountedAndTold) {
  const auto schema = arrow::schema({arrow::field("id", arrow::int64())});
  testing::WriteParquet(folder_ / "a.parquet",
                        testing::TableFromJson(schema, R"([{"id": 0}, {"id": null},
                          {"id": 2}, {"id": null}, {"id": 4}])"));
  options_.shuffle = false;
  options_.batch_size = 2;
  auto loader = Make(Check(Open().OnError(ErrorPolicy::kSkip)));
  EXPECT_THAT(Batches(*loader),
              ElementsAre(ElementsAre(0), ElementsAre(2), ElementsAre(4)));
  const LoaderStats stats = loader->stats();
  EXPECT_EQ(stats.rows, 3);
  EXPECT_EQ(stats.rows_skipped, 2);
  ASSERT_THAT(stats.skipped, SizeIs(2));
  EXPECT_THAT(stats.skipped[0], HasSubstr("row 1"));
  EXPECT_THAT(stats.skipped[1], HasSubstr("row 3"));
}

TEST_F(LoaderTest, AnEmptyTableIsEpochsWithoutSteps) {
  auto loader = Make(Numbers(0));
  EXPECT_EQ(Check(loader->Steps()), 0);
  EXPECT_EQ(Check(loader->Next()), std::nullopt);
  EXPECT_EQ(loader->epoch(), 1);
  EXPECT_EQ(Check(loader->Next()), std::nullopt);
  EXPECT_EQ(loader->epoch(), 2);
}

TEST_F(LoaderTest, AFilterThatNothingPassesIsAnEmptyTable) {
  auto loader = Make(Check(Numbers().Where("id < 0")));
  EXPECT_THAT(Samples(*loader), IsEmpty());
}

TEST_F(LoaderTest, WaitReadyTakesNothing) {
  options_.shuffle = false;
  auto loader = Make(Numbers());
  while (!Check(loader->WaitReady(1000))) {
  }
  EXPECT_TRUE(Check(loader->WaitReady(0)));
  EXPECT_EQ(Samples(*loader), Upto(kRows));
}

TEST_F(LoaderTest, CountsWhatItHandsOut) {
  auto loader = Make(Numbers());
  EXPECT_EQ(loader->stats().rows, 0);
  Samples(*loader);
  const LoaderStats stats = loader->stats();
  EXPECT_EQ(stats.rows, kRows);
  EXPECT_EQ(stats.batches, (kRows + 63) / 64);
  EXPECT_GE(stats.values_decoded, kRows);
  EXPECT_GT(stats.bytes_read, 0);
  EXPECT_GT(stats.read_calls, 0);
  EXPECT_GE(stats.row_groups_opened, 18);
  EXPECT_THAT(stats.ToJson(), HasSubstr("\"rows\":5000"));
}

TEST_F(LoaderTest, BatchesOutliveTheLoader) {
  auto loader = Make(Numbers());
  const auto batch = Check(loader->Next());
  const auto before = Ids(*batch);
  loader.reset();
  EXPECT_EQ(Ids(*batch), before);
}

TEST_F(LoaderTest, OutlivesTheDatasetItWasMadeOf) {
  std::unique_ptr<Loader> loader;
  {
    const Dataset dataset = Numbers();
    loader = Make(dataset);
  }
  EXPECT_EQ(Sorted(Samples(*loader)), Upto(kRows));
}

TEST_F(LoaderTest, AClosedLoaderIsAConflict) {
  auto loader = Make(Numbers());
  Check(loader->Next());
  loader->Close();
  loader->Close();
  EXPECT_EQ(KindOf(loader->Next().status()), ErrorKind::kConflict);
  EXPECT_EQ(KindOf(loader->WaitReady(0).status()), ErrorKind::kConflict);
  EXPECT_EQ(loader->stats().batches, 1);
  EXPECT_TRUE(loader->StateJson().ok());
}

TEST_F(LoaderTest, CloseFromAnotherThreadCancelsAWaitingNext) {
  // The first batch needs the whole window, which takes far longer than the pause below.
  testing::ParquetOptions parquet;
  parquet.dictionary = false;
  testing::WriteParquet(folder_ / "a.parquet", testing::Numbers(0, 4 << 20, "id"),
                        parquet);
  const Dataset dataset = Open();
  options_.shuffle_window_rows = 4 << 20;
  options_.num_threads = 1;
  bool cancelled = false;
  for (int attempt = 0; attempt < 20 && !cancelled; ++attempt) {
    auto loader = Make(dataset);
    std::promise<void> begun;
    auto next = std::async(std::launch::async, [&] {
      begun.set_value();
      return loader->Next().status();
    });
    begun.get_future().wait();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    loader->Close();
    ASSERT_EQ(next.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    const Status status = next.get();
    // A thread that was late finds the loader closed; one that was quick has its batch.
    if (!status.ok() && KindOf(status) != ErrorKind::kConflict) {
      EXPECT_EQ(KindOf(status), ErrorKind::kCancelled) << status.ToString();
      cancelled = true;
    }
  }
  EXPECT_TRUE(cancelled);
}

// Over epochs: streams share pages from the second on, and the next one is begun early.
TEST_F(LoaderTest, ClosesAtAnyMomentFromAnotherThread) {
  const Dataset dataset = Numbers();
  options_.num_threads = 1;
  for (int attempt = 0; attempt < 60; ++attempt) {
    auto loader = Make(dataset);
    std::atomic<int> taken{0};
    auto end = std::async(std::launch::async, [&] {
      while (true) {
        const auto batch = loader->Next();
        if (!batch.ok()) return batch.status();
        ++taken;
      }
    });
    while (taken < 5 * attempt &&
           end.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      std::this_thread::yield();
    }
    loader->Close();
    ASSERT_EQ(end.wait_for(std::chrono::seconds(60)), std::future_status::ready);
    EXPECT_THAT(KindOf(end.get()),
                AnyOf(Eq(ErrorKind::kCancelled), Eq(ErrorKind::kConflict)));
  }
}

TEST_F(LoaderTest, ClosesAtAnyMomentWithoutLeavingThreads) {
  const Dataset dataset = Numbers();
  options_.num_threads = 8;
  Samples(*Make(dataset));
  const size_t threads = ThreadsNow();
  for (int taken = 0; taken < 40; ++taken) {
    auto loader = Make(dataset);
    for (int i = 0; i < taken; ++i) Check(loader->Next());
    loader.reset();
    ASSERT_TRUE(ComesDownTo(threads)) << taken;
  }
}

TEST_F(LoaderTest, HasNoThreadsBeforeTheFirstNextAndAfterAnEpoch) {
  const Dataset dataset = Numbers();
  options_.num_threads = 3;
  const size_t threads = ThreadsNow();
  auto loader = Make(dataset);
  EXPECT_TRUE(ComesDownTo(threads));
  Check(loader->Next());
  Samples(*loader);
  EXPECT_TRUE(ComesDownTo(threads));
}

TEST_F(LoaderTest, TellsItsOptions) {
  EXPECT_THAT(Make(Numbers())->ToString(),
              AllOf(HasSubstr("batch_size=64"), HasSubstr("seed=7"),
                    HasSubstr("shuffle_window_rows=800"), Not(HasSubstr("\n"))));
}

}  // namespace
}  // namespace headrace
