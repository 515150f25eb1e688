#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/loader.h>

#include <nlohmann/json.hpp>

namespace headrace {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Of a consumer that waited half of its time.
LoaderStats Waiting() {
  LoaderStats stats;
  stats.batches = 1;
  stats.consumer = {100, 100};
  return stats;
}

TEST(LoaderStatsTest, NamesTheStageThatIsBusiest) {
  LoaderStats stats = Waiting();
  stats.storage = {60, 0};
  stats.decode = {30, 60};
  stats.batch = {10, 90};
  EXPECT_THAT(stats.Bottleneck(),
              StartsWith("storage is the bottleneck: 60 % of the loader's work; the "
                         "consumer waited 50 % of its time"));
  stats.decode.busy = 300;
  EXPECT_THAT(stats.Bottleneck(), StartsWith("decode is the bottleneck: 81 %"));
  stats.batch.busy = 1000;
  EXPECT_THAT(stats.Bottleneck(), StartsWith("batch is the bottleneck: 74 %"));
  EXPECT_THAT(stats.Bottleneck(), testing::Not(HasSubstr("memory_budget")));
}

TEST(LoaderStatsTest, NamesTheConsumerWhereItHardlyWaits) {
  LoaderStats stats = Waiting();
  stats.storage = {1000, 0};
  stats.consumer = {980, 20};
  EXPECT_THAT(stats.Bottleneck(), StartsWith("the consumer is the bottleneck: it waited "
                                             "2 % of its time for batches"));
}

TEST(LoaderStatsTest, AdvisesRoomWhereThreadsIdle) {
  LoaderStats stats = Waiting();
  stats.decode = {100, 0};
  stats.storage.waiting = 300;
  EXPECT_THAT(stats.Bottleneck(), HasSubstr("a larger memory_budget or a smaller "
                                            "shuffle_window_rows first"));
}

TEST(LoaderStatsTest, NamesNothingBeforeTheFirstBatch) {
  EXPECT_THAT(LoaderStats().Bottleneck(), HasSubstr("no batch"));
}

TEST(LoaderStatsTest, JsonHasStagesAndPaths) {
  LoaderStats stats = Waiting();
  stats.decode_paths["x"] = {"placed"};
  const auto json = nlohmann::json::parse(stats.ToJson());
  EXPECT_EQ(json["stages"]["consumer"]["waiting"], 100);
  EXPECT_EQ(json["decode_paths"]["x"][0], "placed");
  EXPECT_EQ(json["bottleneck"], stats.Bottleneck());
}

}  // namespace
}  // namespace headrace
