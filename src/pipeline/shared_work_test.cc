#include "pipeline/shared_work.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace headrace::pipeline {
namespace {

TEST(SharedWork, IsDoneOnceWithHelpersAndWithout) {
  for (const int helpers : {0, 1, 3}) {
    std::vector<std::jthread> threads;
    SharedWork* all = nullptr;
    SharedWork shared([&] {
      EXPECT_TRUE(all->HasWork());
      for (int t = 0; t < helpers; ++t) threads.emplace_back([&] { all->Help(); });
    });
    all = &shared;
    std::vector<std::atomic<int>> done(1000);
    EXPECT_TRUE(shared
                    .ForEach(1000,
                             [&](int64_t i) {
                               ++done[static_cast<size_t>(i)];
                               return Status::OK();
                             })
                    .ok());
    for (const auto& times : done) EXPECT_EQ(1, times);
    EXPECT_FALSE(shared.HasWork());
    shared.Help();    // nothing happens
    threads.clear();  // those that come late find nothing, while it is still there
  }
}

TEST(SharedWork, WaitsForItsHelpers) {
  // The helper takes the first piece and holds it until the caller has done the second.
  std::jthread helper;
  std::atomic<bool> second{false};
  SharedWork* all = nullptr;
  std::atomic<int> begun{0};
  SharedWork shared([&] {
    helper = std::jthread([&] { all->Help(); });
    while (begun == 0) std::this_thread::yield();
  });
  all = &shared;
  std::atomic<bool> first_ended{false};
  const Status status = shared.ForEach(2, [&](int64_t i) {
    ++begun;
    if (i == 1) {
      second = true;
      return Status::OK();
    }
    while (!second) std::this_thread::yield();
    first_ended = true;
    return Status::OK();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(first_ended);
  helper.join();
}

TEST(SharedWork, ReturnsTheFirstFailure) {
  std::vector<std::jthread> threads;
  SharedWork* all = nullptr;
  SharedWork shared([&] {
    for (int t = 0; t < 3; ++t) threads.emplace_back([&] { all->Help(); });
  });
  all = &shared;
  const Status status = shared.ForEach(1000, [&](int64_t i) {
    if (i < 100) return Status::OK();
    return Error(ErrorKind::kCorrupt, std::to_string(i));
  });
  EXPECT_EQ("100", MessageOf(status));
  threads.clear();
}

}  // namespace
}  // namespace headrace::pipeline
