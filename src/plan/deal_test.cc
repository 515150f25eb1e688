#include "plan/deal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "plan/order_oracle.h"

namespace headrace::plan {
namespace {

using oracle::Dealt;
using oracle::Sample;

EpochOrder MakeOrder(const std::vector<int64_t>& survivors, const OrderSpec& spec) {
  return EpochOrder::Make(std::make_shared<const std::vector<int64_t>>(survivors), spec)
      .ValueOrDie();
}

Deal MakeDeal(const EpochOrder& order, const DealSpec& spec, int64_t start = 0) {
  return Deal::Make(order, spec, start).ValueOrDie();
}

std::string Refusal(const EpochOrder& order, const DealSpec& spec, int64_t start = 0) {
  const Status status = Deal::Make(order, spec, start).status();
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(KindOf(status), ErrorKind::kInvalidArgument);
  return status.message();
}

// The steps as a pipeline would make them, and what they say of themselves checked.
oracle::Steps StepsOf(const Deal& deal, const oracle::Streams& of) {
  oracle::Steps steps;
  for (int64_t j = 0; j < deal.steps(); ++j) {
    const Step step = deal.StepAt(j);
    EXPECT_EQ(step.last, j + 1 == deal.steps());
    std::vector<Dealt> samples;
    for (int64_t i = 0; i < step.rows; ++i) {
      const SampleRef ref = deal.SampleAt(j, i);
      const auto& from = ref.stream == SampleRef::kRemainder
                             ? of.remainder
                             : of.streams[static_cast<size_t>(ref.stream)];
      samples.push_back({from.at(static_cast<size_t>(ref.index)), ref.valid});
    }
    steps.push_back(samples);
  }
  return steps;
}

std::string Text(const oracle::Steps& steps) {
  std::string text;
  for (const auto& step : steps) {
    for (const Dealt& dealt : step) {
      text += oracle::Text({dealt.sample}) + (dealt.valid ? " " : "* ");
    }
    text += "/ ";
  }
  return text;
}

std::vector<int> Divisors(int n) {
  std::vector<int> divisors;
  for (int d = 1; d <= n; ++d) {
    if (n % d == 0) divisors.push_back(d);
  }
  return divisors;
}

// One pass of all ranks of a world, compared with the contract.
struct Pass {
  std::vector<oracle::Steps> ranks;
  std::vector<Step> steps;  // the same on every rank

  std::vector<Sample> Valid() const {
    std::vector<Sample> samples;
    for (const auto& rank : ranks) {
      for (const auto& step : rank) {
        for (const Dealt& dealt : step) {
          if (dealt.valid) samples.push_back(dealt.sample);
        }
      }
    }
    std::sort(samples.begin(), samples.end());
    return samples;
  }
};

void RunPass(const EpochOrder& order, const oracle::Streams& of, DealSpec spec,
             int64_t start, Pass* pass) {
  SCOPED_TRACE("streams " + std::to_string(order.spec().streams) + " world_size " +
               std::to_string(spec.world_size) + " batch_size " +
               std::to_string(spec.batch_size) + " start " + std::to_string(start) +
               (spec.drop_last ? " drop_last" : "") + (spec.pad_last ? " pad_last" : ""));
  for (spec.rank = 0; spec.rank < spec.world_size; ++spec.rank) {
    const Deal deal = MakeDeal(order, spec, start);
    pass->ranks.push_back(StepsOf(deal, of));
    ASSERT_EQ(Text(pass->ranks.back()), Text(oracle::DealOf(of, spec, start)))
        << "rank " << spec.rank;
    std::vector<Step> steps(static_cast<size_t>(deal.steps()));
    for (size_t j = 0; j < steps.size(); ++j) {
      steps[j] = deal.StepAt(static_cast<int64_t>(j));
    }
    if (spec.rank == 0) pass->steps = steps;
    ASSERT_EQ(steps, pass->steps) << "rank " << spec.rank;
    ASSERT_LE(deal.full_steps(), deal.steps());
    for (int64_t j = 0; j < deal.full_steps(); ++j) {
      ASSERT_EQ(deal.StepAt(j).rows, spec.batch_size);
      for (int64_t i = 0; i < spec.batch_size; ++i) {
        const SampleRef ref = deal.SampleAt(j, i);
        ASSERT_TRUE(ref.valid);
        ASSERT_EQ(ref.stream % spec.world_size, spec.rank);
      }
    }
  }
  // What is consumed after a step is what was handed out, over all ranks.
  int64_t consumed = start;
  for (size_t j = 0; j < pass->steps.size(); ++j) {
    for (const auto& rank : pass->ranks) {
      consumed += std::count_if(rank[j].begin(), rank[j].end(),
                                [](const Dealt& dealt) { return dealt.valid; });
    }
    ASSERT_EQ(pass->steps[j].samples_after, consumed) << "step " << j;
  }
}

// The grid of the executable contract, and its checks.
class DealGrid : public testing::TestWithParam<int> {};

TEST_P(DealGrid, IsTheContractsDeal) {
  const int streams = GetParam();
  for (const std::vector<int64_t>& survivors : {std::vector<int64_t>{100},
                                                {7, 5, 31, 1, 1, 60},
                                                std::vector<int64_t>(9, 16),
                                                {3, 0, 250, 2},
                                                {8}}) {
    for (bool shuffle : {true, false}) {
      for (int64_t window_rows : {1, 16, 1000}) {
        const OrderSpec spec{shuffle, 7, 1, streams, window_rows};
        const EpochOrder order = MakeOrder(survivors, spec);
        const auto of = oracle::StreamsOf(survivors, spec);
        for (int world_size : Divisors(streams)) {
          for (int64_t global : {streams, 3 * streams, 24}) {
            if (global % world_size != 0) continue;
            for (int64_t start :
                 {int64_t{0}, global, 2 * global + 1, order.positions() - 1,
                  order.positions(), order.rows() - 1, order.rows()}) {
              if (start > order.rows()) continue;
              for (int tail = 0; tail < 3; ++tail) {
                Pass pass;
                RunPass(order, of,
                        {0, world_size, global / world_size, tail == 1, tail == 2}, start,
                        &pass);
                if (HasFatalFailure()) return;
              }
            }
          }
        }
      }
    }
  }
}

TEST_P(DealGrid, GivesTheSameGlobalBatchesToEveryWorldSize) {
  const int streams = GetParam();
  const OrderSpec spec{true, 7, 0, streams, 64};
  const std::vector<int64_t> survivors = {7, 5, 31, 1, 1, 60};
  const EpochOrder order = MakeOrder(survivors, spec);
  const auto of = oracle::StreamsOf(survivors, spec);
  for (int64_t global : {streams, 3 * streams, 24}) {
    std::vector<std::vector<std::vector<Sample>>> worlds;
    for (int world_size : Divisors(streams)) {
      if (global % world_size != 0) continue;
      Pass pass;
      RunPass(order, of, {0, world_size, global / world_size, true, false}, 0, &pass);
      std::vector<std::vector<Sample>> batches(pass.steps.size());
      for (const auto& rank : pass.ranks) {
        for (size_t j = 0; j < rank.size(); ++j) {
          for (const Dealt& dealt : rank[j]) batches[j].push_back(dealt.sample);
        }
      }
      for (auto& batch : batches) {
        std::sort(batch.begin(), batch.end());
        EXPECT_EQ(static_cast<int64_t>(batch.size()), global);
      }
      worlds.push_back(batches);
      EXPECT_EQ(worlds.back(), worlds.front()) << "world_size " << world_size;
    }
    EXPECT_EQ(static_cast<int64_t>(worlds.front().size()), order.positions() / global);
  }
}

TEST_P(DealGrid, ResumesAtAnyStepOnAnyWorldSizeWithExactlyTheRest) {
  const int streams = GetParam();
  const OrderSpec spec{true, 3, 0, streams, 16};
  const std::vector<int64_t> survivors = {7, 5, 31, 1, 1, 8};
  const EpochOrder order = MakeOrder(survivors, spec);
  const auto of = oracle::StreamsOf(survivors, spec);
  std::vector<Sample> every = oracle::RowSequence(survivors, spec);
  std::sort(every.begin(), every.end());
  for (int before : Divisors(streams)) {
    for (int after : Divisors(streams)) {
      Pass first;
      // Padded passes and those of one rank end with every row handed out.
      RunPass(order, of, {0, before, 3, false, true}, 0, &first);
      for (size_t j = 0; j < first.steps.size(); ++j) {
        Pass part = first;
        for (auto& rank : part.ranks) rank.resize(j + 1);
        Pass rest;
        RunPass(order, of, {0, after, 2, false, true}, first.steps[j].samples_after,
                &rest);
        if (HasFatalFailure()) return;
        std::vector<Sample> seen = part.Valid();
        const std::vector<Sample> more = rest.Valid();
        seen.insert(seen.end(), more.begin(), more.end());
        std::sort(seen.begin(), seen.end());
        ASSERT_EQ(oracle::Text(seen), oracle::Text(every))
            << before << " ranks, then " << after << " after step " << j;
      }
    }
  }
}

TEST_P(DealGrid, LosesLessThanATurnWithoutPadding) {
  const int streams = GetParam();
  const OrderSpec spec{true, 3, 0, streams, 16};
  const std::vector<int64_t> survivors = {7, 5, 31, 1, 1, 60};
  const EpochOrder order = MakeOrder(survivors, spec);
  const auto of = oracle::StreamsOf(survivors, spec);
  for (int world_size : Divisors(streams)) {
    for (int64_t start = 0; start <= order.rows(); ++start) {
      Pass pass;
      RunPass(order, of, {0, world_size, 4, false, false}, start, &pass);
      if (HasFatalFailure()) return;
      const auto seen = pass.Valid();
      EXPECT_EQ(std::set<Sample>(seen.begin(), seen.end()).size(), seen.size());
      const int64_t lost = order.rows() - start - static_cast<int64_t>(seen.size());
      if (world_size == 1) {
        EXPECT_EQ(lost, 0);
      } else {
        EXPECT_LT(lost, streams + world_size);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Streams, DealGrid, testing::Values(1, 4, 6, 8));

TEST(Deal, EndsOneRankWithTheRemainderAcrossSeveralSteps) {
  // 31 rows in 8 streams: 24 positions and 7 more, in steps of 3.
  const EpochOrder order = MakeOrder({31}, {false, 0, 0, 8, 64});
  const Deal deal = MakeDeal(order, {0, 1, 3, false, false});
  EXPECT_EQ(deal.full_steps(), 8);
  ASSERT_EQ(deal.steps(), 11);
  EXPECT_EQ(deal.StepAt(9), (Step{3, 30, false}));
  EXPECT_EQ(deal.StepAt(10), (Step{1, 31, true}));
  EXPECT_EQ(deal.SampleAt(10, 0), (SampleRef{SampleRef::kRemainder, 6, true}));
}

TEST(Deal, GoesOnInsideTheRemainder) {
  // 31 rows in 8 streams: from position 27 of 24, as a pass on one rank or a padded one
  // may leave it, in steps narrower than the way back to the last position.
  const EpochOrder order = MakeOrder({31}, {false, 0, 0, 8, 64});
  const Deal alone = MakeDeal(order, {0, 1, 1, false, false}, 27);
  EXPECT_EQ(alone.full_steps(), 0);
  ASSERT_EQ(alone.steps(), 4);
  EXPECT_EQ(alone.StepAt(0), (Step{1, 28, false}));
  EXPECT_EQ(alone.SampleAt(0, 0), (SampleRef{SampleRef::kRemainder, 3, true}));
  const Deal padded = MakeDeal(order, {1, 2, 1, false, true}, 27);
  ASSERT_EQ(padded.steps(), 2);
  EXPECT_EQ(padded.SampleAt(0, 0), (SampleRef{SampleRef::kRemainder, 4, true}));
  EXPECT_EQ(MakeDeal(order, {0, 1, 1, true, false}, 27).steps(), 0);
  EXPECT_EQ(MakeDeal(order, {1, 2, 1, false, false}, 27).steps(), 0);
}

TEST(Deal, FillsThePaddedStepWithRepeatsOfItsFirstSample) {
  // 9 rows in 4 streams: 8 positions and one more, on 4 ranks in steps of 2.
  const EpochOrder order = MakeOrder({9}, {false, 0, 0, 4, 64});
  for (int rank = 0; rank < 4; ++rank) {
    const Deal deal = MakeDeal(order, {rank, 4, 2, false, true});
    ASSERT_EQ(deal.steps(), 2);
    EXPECT_EQ(deal.StepAt(1), (Step{1, 9, true}));
    EXPECT_EQ(deal.SampleAt(1, 0), (SampleRef{SampleRef::kRemainder, 0, rank == 0}));
  }
}

TEST(Deal, StartsOffTheBeatWithEveryRanksOwnPositions) {
  // From position 3 of 4 ranks: rank 3 comes first, then 0, 1 and 2.
  const EpochOrder order = MakeOrder({80}, {false, 0, 0, 4, 64});
  EXPECT_EQ(MakeDeal(order, {3, 4, 2, false, false}, 3).SampleAt(0, 0),
            (SampleRef{3, 0, true}));
  EXPECT_EQ(MakeDeal(order, {0, 4, 2, false, false}, 3).SampleAt(0, 0),
            (SampleRef{0, 1, true}));
}

TEST(Deal, HasNoStepsWhereNothingIsLeft) {
  const EpochOrder empty = MakeOrder({}, {true, 0, 0, 8, 64});
  EXPECT_EQ(MakeDeal(empty, {0, 1, 4, false, false}).steps(), 0);
  EXPECT_EQ(MakeDeal(empty, {0, 1, 4, false, true}).steps(), 0);
  EXPECT_EQ(MakeDeal(empty, {0, 1, 4, true, false}).steps(), 0);
  const EpochOrder order = MakeOrder({31}, {true, 0, 0, 8, 64});
  EXPECT_EQ(MakeDeal(order, {0, 1, 4, false, false}, 31).steps(), 0);
  EXPECT_EQ(MakeDeal(order, {0, 2, 4, false, false}, 24).steps(), 0);
  EXPECT_EQ(MakeDeal(order, {0, 2, 4, false, false}, 29).steps(), 0);
  EXPECT_EQ(MakeDeal(order, {0, 1, 4, true, false}, 22).steps(), 0);
}

TEST(Deal, GivesFewerRowsThanStreamsToOneRankOnly) {
  const EpochOrder order = MakeOrder({5}, {true, 0, 0, 8, 64});
  EXPECT_EQ(MakeDeal(order, {0, 1, 4, false, false}).steps(), 2);
  EXPECT_EQ(Refusal(order, {0, 2, 4, false, false}),
            "the choice has 5 rows, fewer than its 8 streams: 2 ranks cannot share them; "
            "choose more rows, or one rank");
  EXPECT_EQ(
      MakeDeal(MakeOrder({8}, {true, 0, 0, 8, 64}), {7, 8, 4, false, false}).steps(), 1);
}

TEST(Deal, TakesBatchesLargerThanTheEpochAndThanAnyTable) {
  const EpochOrder order = MakeOrder({31}, {true, 0, 0, 8, 64});
  for (int64_t batch_size : {int64_t{32}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(MakeDeal(order, {0, 1, batch_size, false, false}).StepAt(0),
              (Step{31, 31, true}));
    EXPECT_EQ(MakeDeal(order, {1, 2, batch_size, false, false}).StepAt(0),
              (Step{12, 24, true}));
    EXPECT_EQ(MakeDeal(order, {1, 2, batch_size, true, false}).steps(), 0);
    const Deal padded = MakeDeal(order, {7, 8, batch_size, false, true}, 3);
    ASSERT_EQ(padded.steps(), 1);
    EXPECT_EQ(padded.StepAt(0), (Step{4, 31, true}));
    EXPECT_FALSE(padded.SampleAt(0, 3).valid);
  }
}

TEST(Deal, NamesTheStreamsThatAWorldSizeNeeds) {
  const EpochOrder order = MakeOrder({100}, {true, 0, 0, 8, 64});
  EXPECT_EQ(
      Refusal(order, {0, 3, 4, false, false}),
      "world size 3 does not divide streams 8: give streams=9 or another multiple of 3");
  EXPECT_EQ(
      Refusal(order, {0, 16, 4, false, false}),
      "world size 16 does not divide streams 8: give streams=16 or another multiple of "
      "16");
  EXPECT_EQ(
      Refusal(MakeOrder({100}, {true, 0, 0, 1, 64}), {0, 2, 4, false, false}),
      "world size 2 does not divide streams 1: give streams=8 or another multiple of 2");
}

TEST(Deal, RefusesOptionsOutOfRangeByName) {
  const EpochOrder order = MakeOrder({100}, {true, 0, 0, 8, 64});
  EXPECT_EQ(Refusal(order, {2, 2, 4, false, false}),
            "rank is 2 of world_size 2, expected 0 <= rank < world_size");
  EXPECT_EQ(Refusal(order, {-1, 2, 4, false, false}),
            "rank is -1 of world_size 2, expected 0 <= rank < world_size");
  EXPECT_EQ(Refusal(order, {0, 0, 4, false, false}),
            "rank is 0 of world_size 0, expected 0 <= rank < world_size");
  EXPECT_EQ(Refusal(order, {0, 1, 0, false, false}),
            "batch_size is 0, expected 1 or more");
  EXPECT_EQ(Refusal(order, {0, 1, 4, true, true}),
            "drop_last and pad_last are both set, expected at most one");
  EXPECT_EQ(Refusal(order, {0, 1, 4, false, false}, 101),
            "the position is 101 samples into the epoch, expected 0 to its 100 rows");
  EXPECT_EQ(Refusal(order, {0, 1, 4, false, false}, -1),
            "the position is -1 samples into the epoch, expected 0 to its 100 rows");
}

}  // namespace
}  // namespace headrace::plan
