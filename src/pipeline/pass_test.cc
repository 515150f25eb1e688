// Steps that are assembled together are delivered as if they were not.
#include "pipeline/pass.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/loader.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "storage/faulty.h"
#include "tests/cpp/lake.h"

namespace headrace {
namespace {

using testing::Check;
using ::testing::HasSubstr;

constexpr int64_t kRows = 3000;

class PassTest : public ::testing::Test {
 protected:
  PassTest() {
    options_.batch_size = 64;
    options_.shuffle_window_rows = 800;
    options_.seed = 7;
  }

  /// Rows of id, a float x and a flag, in that order; `null_row` has no x.
  Dataset Write(int64_t null_row = -1) {
    const auto schema = arrow::schema(
        {arrow::field("id", arrow::int64()), arrow::field("x", arrow::float32()),
         arrow::field("flag", arrow::boolean()), arrow::field("y", arrow::float32())});
    std::string rows = "[";
    for (int64_t i = 0; i < kRows; ++i) {
      const std::string text = std::to_string(i);
      rows += (i > 0 ? ",[" : "[") + text + ", " + (i == null_row ? "null" : text) +
              ", " + (i % 3 == 0 ? "true" : "false") + ", -" + text + "]";
    }
    testing::ParquetOptions parquet;
    parquet.row_group_rows = 700;
    testing::WriteParquet(folder_ / "a.parquet",
                          testing::TableFromJson(schema, rows + "]"), parquet);
    return Check(Dataset::Open(folder_.path()));
  }

  testing::TempDir folder_;
  LoaderOptions options_;
};

const Tensor& Of(const TensorBatch& batch, const std::string& name) {
  return std::get<Tensor>(batch.columns.at(static_cast<size_t>(batch.Find(name))));
}

template <typename T>
std::vector<T> Values(const Tensor& tensor) {
  const auto* values = reinterpret_cast<const T*>(tensor.data());
  return {values, values + tensor.size()};
}

TEST_F(PassTest, SmallBatchesAreThePartsOfLargeOnes) {
  const Dataset dataset = Write();
  for (bool shuffle : {true, false}) {
    options_.shuffle = shuffle;
    options_.batch_size = 64;
    auto small = Check(Loader::Make(dataset, options_));
    options_.batch_size = 1 << 20;
    auto large = Check(Loader::Make(dataset, options_));
    const auto whole = Check(large->Next());
    int64_t at = 0;
    while (auto batch = Check(small->Next())) {
      EXPECT_EQ(batch->names, whole->names);
      for (size_t c = 0; c < batch->columns.size(); ++c) {
        const auto& part = std::get<Tensor>(batch->columns[c]);
        const auto& all = std::get<Tensor>(whole->columns[c]);
        const int64_t width = ByteWidth(part.dtype);
        EXPECT_EQ(part.shape, std::vector<int64_t>{batch->rows});
        EXPECT_EQ(reinterpret_cast<uintptr_t>(part.data()) % 64, 0U);
        EXPECT_EQ(std::string(part.data(), part.data() + batch->rows * width),
                  std::string(all.data() + at * width,
                              all.data() + (at + batch->rows) * width));
      }
      at += batch->rows;
    }
    EXPECT_EQ(at, kRows);
  }
}

TEST_F(PassTest, BatchesOfAnySizeAreAligned) {
  const Dataset dataset = Write();
  for (int64_t size : {1, 7, 8, 16, 32, 33, 100, 256}) {
    options_.batch_size = size;
    auto loader = Check(Loader::Make(dataset, options_));
    while (auto batch = Check(loader->Next())) {
      for (const auto& column : batch->columns) {
        EXPECT_EQ(reinterpret_cast<uintptr_t>(std::get<Tensor>(column).data()) % 64, 0U);
      }
    }
  }
}

// The ids of what is left of an epoch.
std::vector<int64_t> Ids(Loader* loader) {
  std::vector<int64_t> all;
  while (auto batch = Check(loader->Next())) {
    const auto ids = Values<int64_t>(Of(*batch, "id"));
    all.insert(all.end(), ids.begin(), ids.end());
  }
  return all;
}

/// Takes all batches of an epoch but the last, and lets workers fill first windows of the
/// next one, which they may do from the second epoch on: until they have opened more than
/// `opened` row groups, and open no more.
void LetWorkersRunAhead(Loader* loader, int64_t steps, int64_t opened = 0) {
  for (int64_t step = 0; step < steps - 1; ++step) ASSERT_TRUE(Check(loader->Next()));
  int64_t last = -1;
  for (int i = 0, still = 0; i < 5000 && (still < 5 || last <= opened); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const int64_t now = loader->stats().row_groups_opened;
    still = now == last ? still + 1 : 0;
    last = now;
  }
}

TEST_F(PassTest, AnEpochThatWasBegunAheadIsTheSameEpoch) {
  const Dataset dataset = Write();
  std::vector<std::vector<int64_t>> expected;
  for (int64_t epoch = 0; epoch < 6; ++epoch) {
    options_.epoch = epoch;
    expected.push_back(Ids(Check(Loader::Make(dataset, options_)).get()));
  }
  options_.epoch = 0;
  auto loader = Check(Loader::Make(dataset, options_));
  const int64_t steps = Check(loader->Steps());
  EXPECT_EQ(Ids(loader.get()), expected[0]);
  const int64_t of_an_epoch = loader->stats().row_groups_opened;
  LetWorkersRunAhead(loader.get(), steps, 2 * of_an_epoch);
  EXPECT_GT(loader->stats().row_groups_opened, 2 * of_an_epoch);
  ASSERT_TRUE(Check(loader->Next()));
  EXPECT_FALSE(Check(loader->Next()));
  const std::string state = Check(loader->StateJson());
  EXPECT_TRUE(loader->SetEpoch(2).ok());  // as loops do: what was begun is gone on with
  EXPECT_EQ(Ids(loader.get()), expected[2]);
  LetWorkersRunAhead(loader.get(), steps);
  EXPECT_TRUE(loader->SetEpoch(5).ok());  // another one: it is let go
  EXPECT_EQ(Ids(loader.get()), expected[5]);
  LetWorkersRunAhead(loader.get(), steps);
  EXPECT_TRUE(loader->LoadStateJson(state).ok());
  EXPECT_EQ(Ids(loader.get()), expected[2]);
  LetWorkersRunAhead(loader.get(), steps);
  loader->Close();
}

TEST_F(PassTest, TensorsOfADTypeShareMemoryAndKeepItWhenOthersGo) {
  auto loader = Check(Loader::Make(Write(), options_));
  auto batch = Check(loader->Next());
  const auto slab = [&](const char* name) {
    return Of(*batch, name).buffer->parent()->parent();
  };
  EXPECT_EQ(slab("x"), slab("y"));
  EXPECT_NE(slab("x"), slab("id"));
  const Tensor kept = Of(*batch, "y");
  const auto before = Values<float>(kept);
  batch.reset();
  while (Check(loader->Next())) {
  }
  loader.reset();
  EXPECT_EQ(Values<float>(kept), before);
}

TEST_F(PassTest, PartsFollowEachOtherInTheirWhole) {
  const Dataset dataset = Write();
  auto batches = Check(Loader::Make(dataset, options_));
  auto parts = Check(Loader::Make(dataset, options_));
  int wholes = 0;
  int64_t last_end = 0;
  std::shared_ptr<const TensorBatch> whole;
  while (auto part = Check(parts->NextPart())) {
    if (part->whole != whole) {
      if (whole != nullptr) {
        EXPECT_EQ(last_end, whole->rows);
      }
      EXPECT_EQ(part->first, 0);
      whole = part->whole;
      ++wholes;
    } else {
      EXPECT_EQ(part->first, last_end);
    }
    last_end = part->first + part->rows;
    const auto batch = Check(batches->Next());
    ASSERT_TRUE(batch);
    EXPECT_EQ(part->rows, batch->rows);
    const auto ids = Values<int64_t>(Of(*whole, "id"));
    EXPECT_EQ(std::vector(ids.begin() + part->first, ids.begin() + last_end),
              Values<int64_t>(Of(*batch, "id")));
  }
  EXPECT_FALSE(Check(batches->Next()));
  EXPECT_LT(wholes, Check(parts->Steps()));
}

TEST_F(PassTest, BatchesBeforeTheOneThatCannotBeMadeAreHandedOut) {
  constexpr int64_t kNullRow = 64 * 20 + 5;
  options_.shuffle = false;
  auto loader = Check(Loader::Make(Write(kNullRow), options_));
  for (int i = 0; i < 20; ++i) {
    const auto batch = Check(loader->Next());
    EXPECT_EQ(Values<int64_t>(Of(*batch, "id"))[0], 64 * i);
  }
  const Status status = loader->Next().status();
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
  EXPECT_THAT(MessageOf(status), HasSubstr("row " + std::to_string(kNullRow)));
}

// The only worker reads the second file, which takes until the first has been delivered:
// more batches than may wait.
TEST_F(PassTest, AConsumerAssemblesWhatNoWorkerDoes) {
  const auto faults = std::make_shared<storage::Faults>();
  storage::InstallFaulty(faults);
  Write();
  const std::string second = folder_ / "b.parquet";
  std::filesystem::copy_file(folder_ / "a.parquet", second);
  const Dataset dataset = Check(Dataset::Open("faulty://" + folder_.path()));
  options_.shuffle = false;
  options_.shuffle_window_rows = kRows;
  options_.batch_size = 50;
  options_.pad_last = true;  // steps are assembled one by one
  options_.num_threads = 1;
  options_.memory_budget = Check(Loader::Make(dataset, options_))->stats().memory_floor;
  options_.memory_budget += int64_t{256} << 10;

  std::promise<void> reached;
  std::promise<void> delivered;
  bool in_time = false;
  auto loader = Check(Loader::Make(dataset, options_));
  faults->ArmOther({storage::Operation::kRead, second, 1}, [&] {
    reached.set_value();
    in_time = delivered.get_future().wait_for(std::chrono::seconds(60)) ==
              std::future_status::ready;
  });
  ASSERT_TRUE(Check(loader->Next()));
  ASSERT_EQ(reached.get_future().wait_for(std::chrono::seconds(60)),
            std::future_status::ready);
  for (int64_t rows = 50; rows < kRows; rows += 50) {
    const auto batch = Check(loader->Next());
    ASSERT_TRUE(batch);
    EXPECT_EQ(Values<int64_t>(Of(*batch, "id"))[0], rows);
  }
  delivered.set_value();
  EXPECT_EQ(Ids(loader.get()).size(), kRows);
  EXPECT_TRUE(in_time);
}

/// Has workers wait in their reads until the consumer has begun one, which calls `held`.
class ConsumerReads {
 public:
  explicit ConsumerReads(storage::Faults* faults, std::function<void()> held = [] {}) {
    faults->PassAsLocal([this, held = std::move(held)] {
      if (consumer_.load() == std::thread::id()) return;
      if (std::this_thread::get_id() != consumer_.load()) {
        begun_.wait_for(std::chrono::seconds(60));
      } else if (!begun(std::chrono::seconds(0))) {
        begin_.set_value();
        held();
      }
    });
  }
  ConsumerReads(const ConsumerReads&) = delete;
  ConsumerReads& operator=(const ConsumerReads&) = delete;

  /// From now on, with this thread as the consumer.
  void Watch() { consumer_ = std::this_thread::get_id(); }
  bool begun(std::chrono::seconds within) const {
    return begun_.wait_for(within) == std::future_status::ready;
  }

 private:
  std::atomic<std::thread::id> consumer_;
  std::promise<void> begin_;
  const std::shared_future<void> begun_ = begin_.get_future().share();
};

TEST_F(PassTest, AConsumerFillsWhatNoWorkerDoes) {
  if (std::thread::hardware_concurrency() < 2) {
    GTEST_SKIP() << "the machine has one core, which the worker needs";
  }
  Write();
  options_.num_threads = 1;
  for (const int64_t first : {int64_t{0}, kRows / 4}) {
    const auto faults = std::make_shared<storage::Faults>();
    ConsumerReads reads(faults.get());
    storage::InstallFaulty(faults);
    Dataset dataset = Check(Dataset::Open("faulty://" + folder_.path()));
    if (first > 0) dataset = Check(dataset.Where("id >= " + std::to_string(first)));
    auto loader = Check(Loader::Make(dataset, options_));
    reads.Watch();
    EXPECT_EQ(Ids(loader.get()).size(), kRows - first);
    EXPECT_TRUE(reads.begun(std::chrono::seconds(0)));
  }
}

// What it reads by is gone once Close has returned.
TEST_F(PassTest, CloseWaitsForAConsumerThatReads) {
  if (std::thread::hardware_concurrency() < 2) {
    GTEST_SKIP() << "the machine has one core, which the worker needs";
  }
  Write();
  const auto faults = std::make_shared<storage::Faults>();
  std::promise<void> released;
  ConsumerReads reads(faults.get(), [&] { released.get_future().wait(); });
  storage::InstallFaulty(faults);
  const Dataset dataset = Check(Dataset::Open("faulty://" + folder_.path()));
  options_.num_threads = 1;
  auto loader = Check(Loader::Make(dataset, options_));
  auto next = std::async(std::launch::async, [&] {
    reads.Watch();
    return loader->Next().status();
  });
  ASSERT_TRUE(reads.begun(std::chrono::seconds(60)));
  auto closed = std::async(std::launch::async, [&] { loader->Close(); });
  EXPECT_EQ(closed.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  released.set_value();
  EXPECT_EQ(KindOf(next.get()), ErrorKind::kCancelled);
  closed.get();
}

}  // namespace
}  // namespace headrace
