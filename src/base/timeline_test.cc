#include "base/timeline.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

namespace headrace::base {
namespace {

using nlohmann::json;

TEST(TimelineTest, AddsUpByActivityOverThreads) {
  Timeline timeline;
  const auto begin = Timeline::Clock::now() - std::chrono::milliseconds(5);
  timeline.Add(Activity::kFill, begin);
  std::thread([&] { timeline.Add(Activity::kFill, begin); }).join();
  EXPECT_GE(timeline.total(Activity::kFill), 10'000'000);
  EXPECT_EQ(timeline.total(Activity::kRead), 0);
  EXPECT_EQ(json::parse(timeline.TraceJson())["traceEvents"].size(), 0u);
}

TEST(TimelineTest, TracesSpansThreadByThread) {
  Timeline timeline;
  timeline.StartTrace();
  {
    const Timed fill(&timeline, Activity::kFill, 100);
    const Timed read(&timeline, Activity::kRead, 4096);
  }
  std::thread([&] { const Timed idle(&timeline, Activity::kIdle); }).join();
  const json trace = json::parse(timeline.TraceJson());
  EXPECT_EQ(trace["otherData"]["spans_dropped"], 0);
  const json& events = trace["traceEvents"];
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0]["name"], "read");
  EXPECT_EQ(events[0]["args"]["bytes"], 4096);
  EXPECT_EQ(events[1]["name"], "fill");
  EXPECT_EQ(events[1]["args"]["rows"], 100);
  EXPECT_EQ(events[1]["ts"], 0.0);  // the first that began
  EXPECT_EQ(events[0]["tid"], events[1]["tid"]);
  EXPECT_NE(events[2]["tid"], events[1]["tid"]);
  for (const json& event : events) {
    EXPECT_EQ(event["ph"], "X");
    EXPECT_GE(event["dur"], 0.0);
  }
}

TEST(TimelineTest, KeepsTheFirstSpansAndSaysHowManyItDropped) {
  Timeline timeline;
  timeline.StartTrace();
  const auto now = Timeline::Clock::now();
  for (size_t i = 0; i < Timeline::kTraceSpansMax + 3; ++i) {
    timeline.Add(Activity::kRead, now);
  }
  const json trace = json::parse(timeline.TraceJson());
  EXPECT_EQ(trace["otherData"]["spans_dropped"], 3);
  EXPECT_EQ(trace["traceEvents"].size(), Timeline::kTraceSpansMax);
}

}  // namespace
}  // namespace headrace::base
