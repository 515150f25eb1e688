#include "base/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace headrace::base {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(InlineExecutor, CallsEachNumberInTurnOnTheCallersThread) {
  InlineExecutor executor;
  std::vector<int64_t> called;
  const auto caller = std::this_thread::get_id();
  const arrow::Status status = executor.ForEach(4, [&](int64_t i) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    called.push_back(i);
    return arrow::Status::OK();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_THAT(called, ElementsAre(0, 1, 2, 3));
}

TEST(InlineExecutor, StopsAtTheFirstFailureAndReturnsIt) {
  InlineExecutor executor;
  std::vector<int64_t> called;
  const arrow::Status status = executor.ForEach(5, [&](int64_t i) {
    called.push_back(i);
    return i < 2 ? arrow::Status::OK() : arrow::Status::IOError("file ", i);
  });
  EXPECT_EQ(status.message(), "file 2");
  EXPECT_THAT(called, ElementsAre(0, 1, 2));
}

TEST(InlineExecutor, DoesNothingForNoWork) {
  InlineExecutor executor;
  std::vector<int64_t> called;
  const arrow::Status status = executor.ForEach(0, [&](int64_t i) {
    called.push_back(i);
    return arrow::Status::UnknownError("called");
  });
  EXPECT_TRUE(status.ok());
  EXPECT_THAT(called, IsEmpty());
}

}  // namespace
}  // namespace headrace::base
