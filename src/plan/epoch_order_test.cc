#include "plan/epoch_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include "plan/blocks.h"
#include "plan/deal.h"
#include "plan/order_oracle.h"

namespace headrace::plan {
namespace {

using oracle::Sample;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();

std::shared_ptr<const std::vector<int64_t>> Shared(std::vector<int64_t> survivors) {
  return std::make_shared<const std::vector<int64_t>>(std::move(survivors));
}

EpochOrder OrderOf(const std::vector<int64_t>& survivors, const OrderSpec& spec) {
  return EpochOrder::Make(Shared(survivors), spec).ValueOrDie();
}

std::vector<Sample> Expand(const std::vector<Run>& runs) {
  std::vector<Sample> samples;
  for (const Run& run : runs) {
    for (int64_t i = 0; i < run.rows; ++i) {
      samples.push_back({run.block, run.first_survivor + i});
    }
  }
  return samples;
}

// What a reader that follows the order delivers: window by window.
oracle::Streams Delivered(const EpochOrder& order) {
  oracle::Streams result;
  std::vector<uint32_t> place;
  for (int s = 0; s < order.spec().streams; ++s) {
    std::vector<Sample> stream;
    while (static_cast<int64_t>(stream.size()) < order.stream_rows()) {
      const auto first = static_cast<int64_t>(stream.size());
      const Window window = order.WindowAt(s, first);
      const auto read = Expand(order.StreamRuns(s, window.first, window.rows));
      order.Placement(s, window, &place);
      stream.resize(stream.size() + read.size());
      for (size_t j = 0; j < read.size(); ++j) {
        stream[static_cast<size_t>(first) + place[j]] = read[j];
      }
    }
    result.streams.push_back(stream);
  }
  result.remainder = Expand(order.RemainderRuns());
  return result;
}

std::string Sequence(const std::vector<int64_t>& survivors, const OrderSpec& spec) {
  const auto delivered = Delivered(OrderOf(survivors, spec));
  return oracle::Text(oracle::Sequence(delivered)) + " | " +
         oracle::Text(delivered.remainder);
}

// The order that users rely on when they resume a run, or compare one with last year's. A
// change of any of these numbers breaks every state and every published result: it needs
// a new format of the state, an ADR and a major release, and never a new golden alone.
TEST(EpochOrder, HasTheGoldenOrders) {
  const std::vector<int64_t> survivors = {5, 0, 7, 3, 11};
  OrderSpec spec;
  spec.seed = 7;
  spec.streams = 4;
  spec.shuffle_window_rows = 12;
  EXPECT_EQ(Sequence(survivors, spec),
            "4.0 4.6 2.2 0.1 4.2 4.7 2.1 0.0 4.3 4.8 2.3 0.2 4.1 4.9 2.5 0.3 4.5 4.10 "
            "2.6 0.4 4.4 2.0 2.4 3.0 | 3.1 3.2");
  spec.epoch = 1;
  EXPECT_EQ(Sequence(survivors, spec),
            "2.2 4.1 4.9 0.3 2.3 4.2 4.8 0.4 2.4 4.5 4.7 0.2 2.5 4.3 0.1 3.2 4.0 4.4 0.0 "
            "3.1 2.6 4.6 4.10 3.0 | 2.0 2.1");
  spec.seed = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(Sequence(survivors, spec),
            "2.4 4.3 4.9 3.1 2.6 4.4 0.0 0.4 2.5 4.5 4.10 3.0 4.0 4.6 0.2 2.0 4.2 4.7 "
            "0.3 3.2 4.1 4.8 0.1 2.1 | 2.2 2.3");
  spec.seed = 0;
  spec.epoch = 0;
  spec.streams = 1;
  spec.shuffle_window_rows = 1 << 20;
  EXPECT_EQ(Sequence(survivors, spec),
            "2.3 0.0 2.1 4.3 3.1 0.2 4.6 4.0 2.4 4.4 0.4 2.6 2.5 3.2 0.1 0.3 4.2 4.8 4.5 "
            "3.0 4.1 2.0 4.10 4.7 2.2 4.9 | ");
}

TEST(EpochOrder, HasTheGoldenOrdersWithoutShuffle) {
  const std::vector<int64_t> survivors = {5, 0, 7, 3};
  OrderSpec spec;
  spec.shuffle = false;
  spec.shuffle_window_rows = 4;
  spec.streams = 1;
  EXPECT_EQ(Sequence(survivors, spec),
            "0.0 0.1 0.2 0.3 0.4 2.0 2.1 2.2 2.3 2.4 2.5 2.6 3.0 3.1 3.2 | ");
  spec.streams = 4;
  EXPECT_EQ(Sequence(survivors, spec),
            "0.0 0.3 2.1 2.4 0.1 0.4 2.2 2.5 0.2 2.0 2.3 2.6 | 3.0 3.1 3.2");
}

struct Case {
  std::vector<int64_t> survivors;
  OrderSpec spec;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const std::vector<std::vector<int64_t>> tables = {{100},
                                                    {7, 5, 31, 1, 1, 60},
                                                    std::vector<int64_t>(9, 16),
                                                    {3, 0, 250, 2},
                                                    {0, 3, 0},
                                                    {0},
                                                    {}};
  for (const auto& survivors : tables) {
    for (int streams : {1, 4, 6, 8}) {
      for (int64_t window_rows : {1, 16, 64, 1000}) {
        for (int64_t epoch : {0, 1}) {
          for (bool shuffle : {true, false}) {
            cases.push_back({survivors, {shuffle, 7, epoch, streams, window_rows}});
          }
        }
      }
    }
  }
  return cases;
}

std::string Trace(const Case& c) {
  return testing::PrintToString(c.survivors) + " streams " +
         std::to_string(c.spec.streams) + " shuffle_window_rows " +
         std::to_string(c.spec.shuffle_window_rows) + " epoch " +
         std::to_string(c.spec.epoch) + (c.spec.shuffle ? " shuffled" : " stored");
}

TEST(EpochOrder, IsTheContractsOrder) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(Trace(c));
    const auto expected = oracle::StreamsOf(c.survivors, c.spec);
    const auto found = Delivered(OrderOf(c.survivors, c.spec));
    ASSERT_EQ(found.streams.size(), expected.streams.size());
    for (size_t s = 0; s < expected.streams.size(); ++s) {
      ASSERT_EQ(oracle::Text(found.streams[s]), oracle::Text(expected.streams[s])) << s;
    }
    ASSERT_EQ(oracle::Text(found.remainder), oracle::Text(expected.remainder));
  }
}

TEST(EpochOrder, HoldsEveryRowOnceWithAShortRemainder) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(Trace(c));
    const EpochOrder order = OrderOf(c.survivors, c.spec);
    const auto delivered = Delivered(order);
    auto all = oracle::Sequence(delivered);
    ASSERT_EQ(static_cast<int64_t>(all.size()), order.positions());
    all.insert(all.end(), delivered.remainder.begin(), delivered.remainder.end());
    ASSERT_EQ(static_cast<int64_t>(all.size()), order.rows());
    ASSERT_LT(order.remainder_rows(), c.spec.streams);
    std::vector<Sample> stored;
    for (size_t b = 0; b < c.survivors.size(); ++b) {
      for (int64_t i = 0; i < c.survivors[b]; ++i) {
        stored.push_back({static_cast<int64_t>(b), i});
      }
    }
    if (!c.spec.shuffle && c.spec.streams == 1) {
      ASSERT_EQ(all, stored);
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all, stored);
  }
}

TEST(EpochOrder, CutsStreamsIntoTheContractsWindows) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(Trace(c));
    const EpochOrder order = OrderOf(c.survivors, c.spec);
    for (int s = 0; s < c.spec.streams; ++s) {
      const auto cuts = oracle::Cuts(c.spec, s, order.stream_rows());
      for (size_t k = 0; k + 1 < cuts.size(); ++k) {
        const Window window{static_cast<int64_t>(k), cuts[k], cuts[k + 1] - cuts[k]};
        for (int64_t i = cuts[k]; i < cuts[k + 1]; ++i) {
          ASSERT_EQ(order.WindowAt(s, i), window) << "stream " << s << " row " << i;
        }
      }
    }
  }
}

TEST(EpochOrder, RefillsStreamsInTurn) {
  // With w = 8 rows a window and 4 streams, one stream runs out every 2 turns.
  const EpochOrder order = OrderOf({1000}, {true, 7, 0, 4, 32});
  auto first_rows = [&](int stream) { return order.WindowAt(stream, 0).rows; };
  EXPECT_THAT((std::array{first_rows(0), first_rows(1), first_rows(2), first_rows(3)}),
              ElementsAre(2, 4, 6, 8));
  EXPECT_EQ(order.WindowAt(0, 2), (Window{1, 2, 8}));
  EXPECT_EQ(order.WindowAt(0, 249), (Window{31, 242, 8}));
}

TEST(EpochOrder, ReadsAnyRangeOfAStreamAsItReadsTheWhole) {
  const EpochOrder order = OrderOf({7, 5, 31, 1, 1, 60}, {true, 3, 2, 4, 16});
  for (int s = 0; s < 4; ++s) {
    const auto whole = Expand(order.StreamRuns(s, 0, order.stream_rows()));
    for (int64_t first = 0; first < order.stream_rows(); ++first) {
      for (int64_t rows = 0; first + rows <= order.stream_rows(); ++rows) {
        const std::vector<Sample> expected(whole.begin() + first,
                                           whole.begin() + first + rows);
        ASSERT_EQ(Expand(order.StreamRuns(s, first, rows)), expected);
      }
    }
  }
}

TEST(EpochOrder, SkipsBlocksWithoutSurvivorsAsIfTheyWereNotThere) {
  // Only the number of such a block differs, so that pruning one more changes nothing.
  const OrderSpec spec{true, 5, 3, 4, 16};
  const auto with = Delivered(OrderOf({0, 9, 0, 0, 21, 14, 0}, spec));
  const auto without = Delivered(OrderOf({9, 21, 14}, spec));
  std::vector<Sample> renumbered = oracle::Sequence(without);
  for (Sample& sample : renumbered) {
    sample.block = std::array<int64_t, 3>{1, 4, 5}[static_cast<size_t>(sample.block)];
  }
  EXPECT_EQ(oracle::Text(oracle::Sequence(with)), oracle::Text(renumbered));
}

TEST(EpochOrder, DiffersBetweenSeedsEpochsAndStreams) {
  const std::vector<int64_t> survivors(20, 50);
  std::set<std::string> seen;
  for (const OrderSpec& spec :
       {OrderSpec{true, 0, 0, 4, 64}, OrderSpec{true, 1, 0, 4, 64},
        OrderSpec{true, 0, 1, 4, 64}, OrderSpec{true, 0, 0, 8, 64},
        OrderSpec{true, 0, 0, 4, 128}, OrderSpec{false, 0, 0, 4, 64}}) {
    EXPECT_TRUE(seen.insert(Sequence(survivors, spec)).second);
  }
}

TEST(EpochOrder, IsOneOrderWithoutShuffleWhateverTheSeed) {
  EXPECT_EQ(Sequence({9, 4, 30}, {false, 0, 0, 2, 8}),
            Sequence({9, 4, 30}, {false, 9, 5, 2, 800}));
}

TEST(EpochOrder, MixesRowsOfDistantBlocks) {
  // 100 blocks of 100 rows: a step of 64 draws from about as many blocks as there are
  // streams, and no window is left as it was stored.
  const EpochOrder order =
      OrderOf(std::vector<int64_t>(100, 100), {true, 11, 0, 8, 2048});
  const auto sequence = oracle::Sequence(Delivered(order));
  std::set<int64_t> blocks;
  for (size_t i = 5000; i < 5064; ++i) blocks.insert(sequence[i].block);
  EXPECT_GE(blocks.size(), 8U);
  int64_t neighbours = 0;
  for (size_t i = 8; i < sequence.size(); ++i) {
    neighbours += sequence[i].block == sequence[i - 8].block &&
                  sequence[i].survivor == sequence[i - 8].survivor + 1;
  }
  EXPECT_LT(neighbours, 10000 / 50);
}

TEST(EpochOrder, RefusesOptionsOutOfRangeByName) {
  auto message = [](const OrderSpec& spec) {
    const Status status = EpochOrder::Make(Shared({10}), spec).status();
    EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
    return status.message();
  };
  EXPECT_EQ(message({true, 0, -1, 8, 16}), "epoch is -1, expected 0 or more");
  EXPECT_EQ(message({true, 0, 0, 0, 16}), "streams is 0, expected 1 or more");
  EXPECT_EQ(message({true, 0, 0, 8, 0}), "shuffle_window_rows is 0, expected 1 or more");
}

TEST(EpochOrder, RefusesWindowsThatAPlacementCannotNumber) {
  const OrderSpec spec{true, 0, 0, 2, kInt64Max};
  const auto refused = EpochOrder::Make(Shared({int64_t{1} << 40}), spec);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(KindOf(refused.status()), ErrorKind::kInvalidArgument);
  EXPECT_THAT(refused.status().message(),
              HasSubstr("shuffle_window_rows is 92233720368547"));
  // On a table that is smaller than such a window, it is one window, and no number
  // overflows.
  const EpochOrder small = OrderOf({100}, spec);
  EXPECT_EQ(small.WindowAt(0, 49), (Window{0, 0, 50}));
  EXPECT_EQ(small.WindowAt(1, 0), (Window{0, 0, 50}));
}

TEST(EpochOrder, RefusesRowCountsBeyondTheirType) {
  constexpr int64_t kMost = int64_t{1} << 62;
  for (const auto& survivors :
       {std::vector<int64_t>{kInt64Max}, {kMost, 1}, {kInt64Max, kInt64Max}}) {
    const auto refused = EpochOrder::Make(Shared(survivors), {});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(KindOf(refused.status()), ErrorKind::kCorrupt);
    EXPECT_THAT(refused.status().message(), HasSubstr("more than 2^62 rows"));
  }
  const EpochOrder most = OrderOf({kMost}, {});
  const Deal deal =
      Deal::Make(most, {0, 1, kInt64Max, false, false}, kMost - 3).ValueOrDie();
  ASSERT_EQ(deal.steps(), 1);
  EXPECT_EQ(deal.StepAt(0), (Step{3, kMost, true}));
}

// The runs that a rank reads first: the windows that hold its streams' next rows.
std::vector<Run> FirstReadTasks(const EpochOrder& order, const Deal& deal) {
  std::vector<Run> tasks;
  const int64_t own_streams = 2;
  for (int64_t i = 0; i < own_streams; ++i) {
    const SampleRef first = deal.SampleAt(0, i);
    const Window window = order.WindowAt(first.stream, first.index);
    EXPECT_LE(window.first, first.index);
    EXPECT_LT(first.index, window.first + window.rows);
    const auto runs = order.StreamRuns(first.stream, window.first, window.rows);
    int64_t rows = 0;
    for (const Run& run : runs) rows += run.rows;
    EXPECT_EQ(rows, window.rows);
    tasks.insert(tasks.end(), runs.begin(), runs.end());
  }
  return tasks;
}

int64_t BytesInUse() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

// Ten billion rows, of which nothing exists but their counts: work or memory that grew
// with rows would neither end nor fit. The parameters are row groups and rows in each.
class TenBillionRows : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(TenBillionRows, YieldReadTasksFromAnyPositionInLittleMemory) {
  constexpr int64_t kRows = 10'000'000'000;
  const auto [row_groups, rows_each] = GetParam();
  ASSERT_EQ(row_groups * rows_each, kRows);
  const int64_t before = BytesInUse();
  table::RowGroup group;
  group.rows = rows_each;
  group.has_offset_index = true;
  std::vector<Block> blocks;
  AppendBlocks(0, std::vector<table::RowGroup>(static_cast<size_t>(row_groups), group),
               &blocks);
  std::vector<int64_t> survivors(blocks.size());
  std::transform(blocks.begin(), blocks.end(), survivors.begin(),
                 [](const Block& block) { return block.rows; });
  const EpochOrder order = OrderOf(survivors, {true, 7, 3, 8, int64_t{1} << 20});
  ASSERT_EQ(order.rows(), kRows);
  for (int64_t start : {int64_t{0}, int64_t{9'000'000'000}, kRows - 5000}) {
    const Deal deal = Deal::Make(order, {3, 4, 1024, false, false}, start).ValueOrDie();
    ASSERT_GT(deal.steps(), 0);
    EXPECT_EQ(deal.StepAt(deal.steps() - 1).samples_after, kRows);
    const auto tasks = FirstReadTasks(order, deal);
    // A window is 2^17 rows of blocks of at least 50,000.
    EXPECT_LE(tasks.size(), 2U * 4U);
    for (const auto& task : tasks) {
      EXPECT_LE(task.first_survivor + task.rows,
                survivors[static_cast<size_t>(task.block)]);
    }
  }
  EXPECT_LT(BytesInUse() - before, int64_t{50} << 20);
}

INSTANTIATE_TEST_SUITE_P(EpochOrder, TenBillionRows,
                         testing::Values(std::pair{10, 1'000'000'000},
                                         std::pair{10'000, 1'000'000},
                                         std::pair{200'000, 50'000}));

}  // namespace
}  // namespace headrace::plan
