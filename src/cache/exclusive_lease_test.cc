#include <gtest/gtest.h>
#include <headrace/lease.h>
#include <unistd.h>

#include <barrier>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "cache/records.h"
#include "tests/cpp/lake.h"

namespace headrace::cache {
namespace {

using testing::Check;

class ExclusiveLeaseTest : public ::testing::Test {
 protected:
  std::string LeasesFolder() const { return place_ + "/leases"; }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& each : std::filesystem::directory_iterator(LeasesFolder())) {
      names.push_back(each.path().filename().string());
    }
    return names;
  }

  /// A lease of another host's, last renewed so long ago.
  void PutForeign(const std::string& name, std::chrono::seconds age, bool held = true) {
    std::filesystem::create_directories(LeasesFolder());
    const Process there{"elsewhere", 17, "1", "another boot", "another namespace"};
    const std::string path = LeasesFolder() + "/" + name + ".json";
    std::ofstream(path) << ExclusiveRecord{there, 1000, base::NowMs(), held}.ToJson();
    std::filesystem::last_write_time(path,
                                     std::filesystem::file_time_type::clock::now() - age);
  }

  headrace::testing::TempDir folder_;
  std::string place_ = folder_ / "place";
};

constexpr std::chrono::seconds kYoung(kLeaseMs / 1000 / 2);
constexpr std::chrono::seconds kOld(kLeaseMs / 1000 * 2);

TEST_F(ExclusiveLeaseTest, OneHasItUntilHeReleasesIt) {
  const auto first = Check(ExclusiveLease::Take(place_));
  EXPECT_EQ(first->Display(), place_);
  const auto second = ExclusiveLease::Take(place_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(KindOf(second.status()), ErrorKind::kConflict);
  const std::string self =
      "process " + std::to_string(getpid()) + " of host " + Process::This().host;
  EXPECT_NE(second.status().message().find(place_ + " is in use by " + self + " since "),
            std::string::npos)
      << second.status();
  EXPECT_EQ(Names().size(), 1);
  ASSERT_TRUE(first->Renew().ok());
  ASSERT_TRUE(first->Release().ok());
  ASSERT_TRUE(first->Release().ok());
  ASSERT_TRUE(first->Renew().ok());
  EXPECT_TRUE(Names().empty());
  EXPECT_TRUE(ExclusiveLease::Take(place_ + "/").ok());
}

TEST_F(ExclusiveLeaseTest, WhatADeadProcessHadIsTakenAtOnce) {
  std::filesystem::create_directories(LeasesFolder());
  Process dead = Process::This();
  dead.started += "0";
  std::ofstream(LeasesFolder() + "/dead.json")
      << ExclusiveRecord{dead, base::NowMs(), base::NowMs(), true}.ToJson();
  const auto lease = Check(ExclusiveLease::Take(place_));
  EXPECT_EQ(Names().size(), 1);
  EXPECT_FALSE(std::filesystem::exists(LeasesFolder() + "/dead.json"));
}

TEST_F(ExclusiveLeaseTest, AnotherHostHasItAsLongAsItIsYoung) {
  PutForeign("0", kYoung);
  const auto refused = ExclusiveLease::Take(place_);
  EXPECT_NE(refused.status().message().find(
                "process 17 of host elsewhere since 1970-01-01T00:00:01.000Z"),
            std::string::npos)
      << refused.status();
  PutForeign("0", kOld);
  const auto lease = Check(ExclusiveLease::Take(place_));
  EXPECT_EQ(Names().size(), 1);
}

TEST_F(ExclusiveLeaseTest, WhatIsNotUnderstoodCountsAsLongAsItIsYoung) {
  PutForeign("0", kYoung);
  std::ofstream(LeasesFolder() + "/0.json") << "of the future";
  EXPECT_EQ(KindOf(ExclusiveLease::Take(place_).status()), ErrorKind::kConflict);
  std::filesystem::last_write_time(LeasesFolder() + "/0.json",
                                   std::filesystem::file_time_type::clock::now() - kOld);
  EXPECT_TRUE(ExclusiveLease::Take(place_).ok());
}

// Names of leases are hexadecimal digits.
TEST_F(ExclusiveLeaseTest, OneWhoAsksGivesWayToALesserName) {
  PutForeign("!", kYoung, /*held=*/false);
  EXPECT_EQ(KindOf(ExclusiveLease::Take(place_).status()), ErrorKind::kConflict);
}

TEST_F(ExclusiveLeaseTest, OneWhoAsksWaitsUntilAGreaterNameHasGivenWay) {
  PutForeign("~", kYoung, /*held=*/false);
  std::jthread other([&] {
    // Until it has asked.
    while (Names().size() < 2) std::this_thread::yield();
    std::filesystem::remove(LeasesFolder() + "/~.json");
  });
  EXPECT_TRUE(ExclusiveLease::Take(place_).ok());
}

TEST_F(ExclusiveLeaseTest, OfManyThatAskAtOnceOneGetsIt) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    std::barrier start(kThreads);
    std::mutex mutex;
    std::vector<std::shared_ptr<ExclusiveLease>> taken;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
          start.arrive_and_wait();
          auto lease = ExclusiveLease::Take(place_);
          const std::lock_guard lock(mutex);
          if (lease.ok())
            taken.push_back(*lease);
          else
            EXPECT_EQ(KindOf(lease.status()), ErrorKind::kConflict) << lease.status();
        });
      }
    }
    ASSERT_EQ(taken.size(), 1);
    ASSERT_TRUE(taken[0]->Renew().ok());
    ASSERT_TRUE(taken[0]->Release().ok());
    ASSERT_TRUE(Names().empty());
  }
}

TEST_F(ExclusiveLeaseTest, OneWhoWasTakenForDeadIsTold) {
  const auto deleted = Check(ExclusiveLease::Take(place_));
  for (const std::string& name : Names()) {
    std::filesystem::remove(LeasesFolder() + "/" + name);
  }
  const Status gone = deleted->Renew();
  EXPECT_EQ(KindOf(gone), ErrorKind::kConflict) << gone;
  EXPECT_TRUE(Names().empty());

  // Whoever took it has not deleted the lease yet.
  const auto late = Check(ExclusiveLease::Take(place_));
  PutForeign("0", kYoung);
  const Status lost = late->Renew();
  EXPECT_EQ(KindOf(lost), ErrorKind::kConflict);
  EXPECT_NE(lost.message().find("in use by process 17 of host elsewhere"),
            std::string::npos)
      << lost;
  EXPECT_EQ(Names(), std::vector<std::string>{"0.json"});
  EXPECT_TRUE(late->Renew().ok());
  EXPECT_TRUE(late->Release().ok());
}

TEST_F(ExclusiveLeaseTest, OneWhoAsksTakesNothingFromTheOwner) {
  const auto lease = Check(ExclusiveLease::Take(place_));
  PutForeign("0", kYoung, /*held=*/false);
  EXPECT_TRUE(lease->Renew().ok());
}

}  // namespace
}  // namespace headrace::cache
