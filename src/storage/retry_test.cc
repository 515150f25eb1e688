// What is asked again, how often and when; driven by the faulty wrapper and a clock that
// nobody waits for.
#include "storage/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "storage/faulty.h"
#include "storage/storage.h"
#include "tests/cpp/lake.h"

namespace headrace::storage {
namespace {

using ::testing::AllOf;
using testing::Check;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::SizeIs;

/// Time that passes by waits alone.
struct StoppedClock {
  double now_s = 100;
  std::vector<double> waits;

  RetryPolicy Policy(int attempts = 3, double time_max_s = 30) {
    return {.attempts = attempts,
            .first_wait_s = 0.1,
            .time_max_s = time_max_s,
            .clock = {.now = [this] { return now_s; },
                      .wait =
                          [this](double seconds) {
                            waits.push_back(seconds);
                            now_s += seconds;
                          }}};
  }
};

TEST(Backoff, WaitsTwiceAsLongEachTimeAndNotForTheSameTime) {
  StoppedClock clock;
  const RetryPolicy policy = clock.Policy(/*attempts=*/6);
  Backoff backoff(policy);
  int retries = 0;
  while (backoff.Again()) ++retries;
  EXPECT_EQ(retries, 5);
  ASSERT_THAT(clock.waits, SizeIs(5));
  double longest = 0.1;
  for (const double wait : clock.waits) {
    EXPECT_THAT(wait, AllOf(Ge(longest / 2), Lt(longest)));
    longest *= 2;
  }
  StoppedClock other;
  const RetryPolicy again = other.Policy(/*attempts=*/6);
  Backoff second(again);
  while (second.Again()) continue;
  EXPECT_NE(clock.waits, other.waits);
}

TEST(Backoff, BeginsNoAttemptWhenItsTimeIsOver) {
  StoppedClock clock;
  const RetryPolicy policy = clock.Policy(/*attempts=*/3, /*time_max_s=*/1);
  Backoff silent(policy);
  clock.now_s += 1;  // the first attempt took that long
  EXPECT_FALSE(silent.Again());
  Backoff quick(policy);
  clock.now_s += 0.5;
  EXPECT_TRUE(quick.Again());
}

TEST(IsPassing, IsWhatMayGoWellSoon) {
  for (const char* text :
       {"HTTP status 503: SlowDown", "AWS Error SLOW_DOWN during GetObject operation",
        "HTTP status 429", "curlCode: 56, Failure when receiving data from the peer",
        "AWS Error NETWORK_CONNECTION during GetObject operation", "timed out", "odd"}) {
    EXPECT_TRUE(IsPassing(Status::IOError(text), "bucket/x")) << text;
  }
}

TEST(IsPassing, IsNotWhatWasRefusedOrIsNotThere) {
  for (const char* text : {"AWS Error ACCESS_DENIED", "HTTP status 403", "NoSuchKey",
                           "Path does not exist 'bucket/x'"}) {
    EXPECT_FALSE(IsPassing(Status::IOError(text), "bucket/x")) << text;
  }
  for (const ErrorKind kind :
       {ErrorKind::kDenied, ErrorKind::kNotFound, ErrorKind::kCorrupt,
        ErrorKind::kCancelled, ErrorKind::kUnsupported}) {
    EXPECT_FALSE(IsPassing(Error(kind, "no"), "bucket/x")) << KindName(kind);
  }
  EXPECT_FALSE(IsPassing(Status::Invalid("closed file"), "bucket/x"));
}

class RetryTest : public ::testing::Test {
 protected:
  RetryTest() {
    testing::WriteFile(path_, "0123456789");
    InstallFaulty(faults_, clock_.Policy());
    std::string path;
    storage_ = Check(Storage::FromUri("faulty://" + path_, {}, &path));
  }

  Result<std::string> Read() {
    ARROW_ASSIGN_OR_RAISE(auto file, storage_->Open({path_, "x", 10, 0}));
    ARROW_ASSIGN_OR_RAISE(auto bytes, file->ReadAt(2, 6));
    std::string direct(6, '?');
    ARROW_ASSIGN_OR_RAISE(const int64_t got, file->ReadAt(2, 6, direct.data()));
    direct.resize(static_cast<size_t>(got));
    EXPECT_EQ(bytes->ToString(), direct);
    return direct;
  }

  testing::TempDir folder_;
  std::string path_ = folder_ / "x";
  StoppedClock clock_;
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
  std::shared_ptr<Storage> storage_;
};

TEST_F(RetryTest, OneFaultOfAnyReadingCallIsNotSeen) {
  for (const Operation operation :
       {Operation::kInfo, Operation::kOpen, Operation::kSize, Operation::kRead}) {
    for (const Fault fault : {Fault::kFail, Fault::kErrno, Fault::kThrottle}) {
      faults_->Arm({operation, path_, 1}, fault);
      EXPECT_EQ(Check(storage_->List(path_)).at(0).size, 10);
      EXPECT_EQ(Check(Read()), "234567");
      EXPECT_EQ(Check(storage_->ReadAll(path_))->ToString(), "0123456789");
      EXPECT_EQ(Check(storage_->ChangeOf(Check(storage_->List(path_))[0])),
                FileChange::kNone);
      EXPECT_TRUE(faults_->struck());
    }
  }
  faults_->Arm({Operation::kList, folder_.path(), 1}, Fault::kThrottle);
  EXPECT_EQ(Check(storage_->List(folder_.path())).size(), 1U);
  EXPECT_TRUE(faults_->struck());
}

TEST_F(RetryTest, ABodyThatComesShortIsAskedForAgain) {
  faults_->Arm({Operation::kRead, path_, 1}, Fault::kCut);
  EXPECT_EQ(Check(Read()), "234567");
  faults_->Arm({Operation::kRead, path_, 2}, Fault::kCut);
  EXPECT_EQ(Check(Read()), "234567");
  faults_->Arm({Operation::kRead, path_, 1}, Fault::kCut);
  EXPECT_EQ(Check(storage_->ReadAll(path_))->ToString(), "0123456789");
  EXPECT_THAT(clock_.waits, SizeIs(3));
}

TEST_F(RetryTest, TheEndOfAFileIsNoShortBody) {
  auto file = Check(storage_->Open({path_, "x", 10, 0}));
  faults_->Disarm();
  EXPECT_EQ(Check(file->ReadAt(8, 100))->ToString(), "89");
  EXPECT_EQ((faults_->counts()[{Operation::kRead, path_}]), 1);
}

TEST_F(RetryTest, ReadsInTurnGoOnWhereTheLastEnded) {
  auto file = Check(storage_->Open({path_, "x", 10, 0}));
  faults_->Arm({Operation::kRead, path_, 1}, Fault::kCut);
  EXPECT_EQ(Check(file->Read(4))->ToString(), "0123");
  EXPECT_EQ(Check(file->Read(4))->ToString(), "4567");
  EXPECT_EQ(Check(file->Tell()), 8);
}

TEST_F(RetryTest, AfterThreeAttemptsTheErrorNamesTheFile) {
  faults_->Arm({Operation::kOpen, path_, 1}, Fault::kThrottle, /*lasting=*/true);
  const Status status = Read().status();
  EXPECT_EQ(KindOf(status), ErrorKind::kUnavailable);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("faulty://" + path_), HasSubstr("503")));
  EXPECT_EQ((faults_->counts()[{Operation::kOpen, path_}]), 3);
}

TEST_F(RetryTest, WhatIsNotThereIsAskedForOnce) {
  const std::string absent = folder_ / "absent";
  EXPECT_EQ(KindOf(storage_->ReadAll(absent).status()), ErrorKind::kNotFound);
  EXPECT_EQ((faults_->counts()[{Operation::kOpen, absent}]), 1);
  EXPECT_THAT(clock_.waits, SizeIs(0));
}

// A delete that is made again finds nothing, which is what was wanted.
TEST_F(RetryTest, ADeleteWhoseAnswerIsLostIsDone) {
  faults_->Arm({Operation::kDelete, path_, 1}, Fault::kLost);
  EXPECT_TRUE(storage_->Delete(path_).ok());
  EXPECT_EQ(KindOf(storage_->ReadAll(path_).status()), ErrorKind::kNotFound);
  EXPECT_TRUE(faults_->struck());
}

}  // namespace
}  // namespace headrace::storage
