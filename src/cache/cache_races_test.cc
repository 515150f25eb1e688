// What several processes do to one cache directory at once: each step of one with the
// whole of another between, and a third between the steps of that. Nobody loses a table
// that he was given, and nothing is left at the end. And what a process leaves that dies
// at any of its steps.

#include <gtest/gtest.h>
#include <headrace/cache.h>

#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/faulty.h"
#include "tests/cpp/cached_tables.h"

namespace headrace::cache {
namespace {

using headrace::testing::Check;
using storage::Fault;

using Step = std::function<void()>;

class CacheRaces : public CacheTest {
 protected:
  CacheRaces() {
    InstallFaulty(faults_, {.attempts = 1}, /*synced=*/false);
    cache_ = Check(TableCache::Open("faulty://" + parent_));
  }

  /// Calls `first` with `second` between two of its calls to storage, and `third`, if
  /// there is one, between two calls of `second`; for each such place, on what `begin`
  /// makes. `end` looks at what has become of it. How many places there were.
  int64_t Interleave(const Step& begin, const Step& first, const Step& second,
                     const Step& third, const Step& end) {
    int64_t places = 0;
    bool first_over = false;
    for (int64_t n = 1; !first_over && !HasFailure(); ++n) {
      bool second_over = third == nullptr;
      for (int64_t m = 1; (m == 1 || !second_over) && !HasFailure(); ++m) {
        SCOPED_TRACE("before call " + std::to_string(n) + ", and then " +
                     std::to_string(m));
        std::filesystem::remove_all(parent_);
        faults_->Disarm();
        begin();
        bool met = false, third_met = false;
        faults_->ArmOther(n, [&] {
          met = true;
          if (third != nullptr) {
            faults_->ArmOther(m, [&] {
              third_met = true;
              third();
            });
          }
          second();
          faults_->Disarm();
          if (third != nullptr && !third_met) third();
        });
        first();
        faults_->Disarm();
        if (!met) {
          second();
          if (third != nullptr) third();
        }
        first_over = !met;
        second_over = !third_met;
        end();
        ++places;
      }
    }
    return places;
  }

  /// What one process was given, if it was given something.
  using Given = std::optional<CachedTable>;

  Step Finding(Given* given) {
    return [this, given] { *given = Check(cache_->Find("plan")); };
  }
  Step Collecting() {
    return [this] { Check(cache_->Collect().status()); };
  }
  Step Releasing(Given* given) {
    return [this, given] {
      Check(cache_->Release(**given));
      given->reset();
    };
  }
  Step Publishing(Given* given) {
    return [this, given] { *given = Check(cache_->Publish(**given, "plan")); };
  }

  /// All that were given a table have it, until the last of them gives it back.
  Step EndOf(std::vector<Given*> all) {
    return [this, all = std::move(all)] {
      for (Given* each : all) {
        if (*each) ExpectReads(**each);
      }
      for (Given* each : all) {
        if (!*each) continue;
        ExpectReads(**each);
        Check(cache_->Heartbeat(**each));
        Check(cache_->Release(**each));
        each->reset();
      }
      Check(cache_->Collect().status());
      ExpectNothingLeft();
    };
  }

  std::shared_ptr<storage::Faults> faults_ = std::make_shared<storage::Faults>();
  std::shared_ptr<TableCache> cache_;
};

TEST_F(CacheRaces, ATableOfTheDeadIsFoundOrCollectedAndNeverBoth) {
  Given one;
  const Step begin = [&] { Kill(LeaseOf(Made(*cache_, "plan"))); };
  int64_t found = 0;
  const Step end = [&] {
    found += one.has_value();
    EndOf({&one})();
  };
  const int64_t places =
      Interleave(begin, Finding(&one), Collecting(), nullptr, end) +
      Interleave(begin, Collecting(), Finding(&one), nullptr, end) +
      Interleave(begin, Collecting(), Collecting(), Finding(&one), end) +
      Interleave(begin, Collecting(), Finding(&one), Collecting(), end);
  std::cout << places << " interleavings, found in " << found << "\n";
  EXPECT_GT(found, 0);
  EXPECT_LT(found, places);
}

TEST_F(CacheRaces, WhoFindsATableThatTheLastUserReleasesHasItOrNone) {
  Given one, two, three;
  const Step begin = [&] { one = Made(*cache_, "plan"); };
  const Step end = EndOf({&one, &two, &three});
  const int64_t places =
      Interleave(begin, Releasing(&one), Finding(&two), nullptr, end) +
      Interleave(begin, Finding(&two), Releasing(&one), nullptr, end) +
      Interleave(begin, Finding(&two), Releasing(&one), Finding(&three), end) +
      Interleave(begin, Releasing(&one), Collecting(), Finding(&two), end);
  EXPECT_GT(places, 100);
}

TEST_F(CacheRaces, TheLastTwoUsersLeaveNothing) {
  Given one, two;
  const Step begin = [&] {
    one = Made(*cache_, "plan");
    two = Check(cache_->Find("plan"));
  };
  // Without the help of a collection.
  const Step end = [&] { ExpectNothingLeft(); };
  Interleave(begin, Releasing(&one), Releasing(&two), nullptr, end);
}

TEST_F(CacheRaces, TwoThatPublishOneKeyEndWithOneTable) {
  Given one, two, three;
  const Step begin = [&] {
    for (Given* each : {&one, &two}) {
      *each = Check(cache_->Begin());
      Commit(**each);
    }
  };
  const Step end = [&] {
    EXPECT_EQ(one->directory, two->directory);
    EXPECT_EQ(three.value_or(*one).directory, one->directory);
    EXPECT_EQ(Check(cache_->List()).size(), 1U);
    EndOf({&one, &two, &three})();
  };
  const int64_t places =
      Interleave(begin, Publishing(&one), Publishing(&two), nullptr, end) +
      Interleave(begin, Publishing(&one), Publishing(&two), Finding(&three), end);
  EXPECT_GT(places, 100);
}

TEST_F(CacheRaces, PublishingOverAKeyOfTheDeadEndsWithATableForAll) {
  Given one, two;
  const Step begin = [&] {
    one = Check(cache_->Begin());
    Commit(*one);
    two = Check(cache_->Begin());
    Commit(*two);
    Kill(LeaseOf(Made(*cache_, "plan")));
  };
  const Step end = EndOf({&one, &two});
  Interleave(begin, Publishing(&one), Collecting(), nullptr, end);
  Interleave(begin, Collecting(), Publishing(&one), nullptr, end);
  Interleave(begin, Publishing(&one), Publishing(&two), nullptr, end);
}

TEST_F(CacheRaces, WhatIsBegunIsNeverCollected) {
  Given one;
  const Step begin = [] {};
  const Step beginning = [&] { one = Check(cache_->Begin()); };
  const Step end = [&] {
    Commit(*one);
    one = Check(cache_->Publish(*one, "plan"));
    EndOf({&one})();
  };
  Interleave(begin, beginning, Collecting(), nullptr, end);
  Interleave(begin, Collecting(), beginning, nullptr, end);
}

TEST_F(CacheRaces, AKeptTableStaysWhateverOthersRelease) {
  Given one, two;
  const Step begin = [&] {
    one = Made(*cache_, "plan");
    two = Check(cache_->Find("plan"));
  };
  const Step keeping = [&] {
    Check(cache_->Keep(*one));
    Check(cache_->Release(*one));
  };
  const Step end = [&] {
    Check(cache_->Collect().status());
    ExpectReads(*one);
    Check(cache_->Remove(one->directory));
    ExpectNothingLeft();
  };
  Interleave(begin, keeping, Releasing(&two), nullptr, end);
  Interleave(begin, Releasing(&two), keeping, nullptr, end);
}

TEST_F(CacheRaces, ForceLeavesNothingWhateverTheUserDoes) {
  Given one;
  const Step begin = [&] { one = Made(*cache_, "plan"); };
  const Step forcing = [&] { Check(cache_->Remove(one->directory, /*force=*/true)); };
  // It may be told of it, or not yet.
  const Step renewing = [&] {
    const Status renewed = cache_->Heartbeat(*one);
    EXPECT_TRUE(renewed.ok() || KindOf(renewed) == ErrorKind::kConflict) << renewed;
  };
  const Step end = [&] {
    const Status renewed = cache_->Heartbeat(*one);
    EXPECT_TRUE(renewed.ok() || KindOf(renewed) == ErrorKind::kConflict) << renewed;
    Check(cache_->Release(*one));
    ExpectNothingLeft();
  };
  Interleave(begin, forcing, renewing, nullptr, end);
  Interleave(begin, renewing, forcing, nullptr, end);
}

// As one who has read the key already when the removal begins: only the mark tells him.
TEST_F(CacheRaces, WhoTakesUpALostLeaseDuringARemovalHasTheTableOrIsTold) {
  Given one;
  const Step begin = [&] {
    one = Made(*cache_, "plan");
    std::filesystem::remove(LeaseOf(*one));
  };
  int64_t has = 0, told = 0;
  const Step renewing = [&] {
    const Status renewed = cache_->Heartbeat(*one);
    if (renewed.ok()) {
      ++has;
      return;
    }
    ++told;
    EXPECT_EQ(KindOf(renewed), ErrorKind::kConflict) << renewed;
    one.reset();
  };
  const Step end = EndOf({&one});
  Interleave(begin, Collecting(), renewing, nullptr, end);
  Interleave(begin, renewing, Collecting(), nullptr, end);
  EXPECT_GT(has, 0);
  EXPECT_GT(told, 0);
}

TEST_F(CacheRaces, WhatDiesAtAnyOfItsStepsIsCollected) {
  Given one, other;
  const auto made = [&] {
    one = Check(cache_->Begin());
    Commit(*one);
  };
  struct Case {
    const char* name;
    Step begin;
    std::function<Status()> act;
  };
  const std::vector<Case> cases = {
      {"begin", [] {}, [&] { return cache_->Begin().status(); }},
      {"publish", made, [&] { return cache_->Publish(*one, "plan").status(); }},
      {"publish second",
       [&] {
         other = Made(*cache_, "plan");
         made();
       },
       [&] { return cache_->Publish(*one, "plan").status(); }},
      {"find", [&] { other = Made(*cache_, "plan"); },
       [&] { return cache_->Find("plan").status(); }},
      {"keep", made,
       [&] {
         ARROW_RETURN_NOT_OK(cache_->Keep(*one));
         return cache_->Remove(one->directory, /*force=*/true);
       }},
      {"release", [&] { one = Made(*cache_, "plan"); },
       [&] { return cache_->Release(*one); }},
      {"remove", [&] { one = Made(*cache_, "plan"); },
       [&] { return cache_->Remove(one->directory, /*force=*/true); }},
      {"collect", [&] { Kill(LeaseOf(Made(*cache_, "plan"))); },
       [&] { return cache_->Collect().status(); }},
  };
  for (const Case& each : cases) {
    int64_t points = 0;
    for (const Fault fault : {Fault::kFail, Fault::kLost}) {
      for (int64_t nth = 1; !HasFailure(); ++nth) {
        SCOPED_TRACE(std::string(each.name) + " at call " + std::to_string(nth));
        std::filesystem::remove_all(parent_);
        faults_->Disarm();
        one.reset();
        other.reset();
        each.begin();
        faults_->ArmDeath(nth, fault);
        const Status acted = each.act();
        const bool struck = faults_->struck();
        faults_->Disarm();
        if (other) {
          // The living has what it had, and others find it.
          ExpectReads(*other);
          const auto found = Check(cache_->Find("plan"));
          ASSERT_TRUE(found);
          EXPECT_EQ(found->directory, other->directory);
        }
        KillAll();
        Check(cache_->Collect().status());
        // A mark that it is kept may stand.
        for (const CacheEntry& entry : Check(cache_->List())) {
          EXPECT_STREQ(each.name, "keep");
          EXPECT_TRUE(entry.kept);
          Check(cache_->Remove(entry.directory));
        }
        ExpectNoFileLeft();
        if (!struck) {
          EXPECT_TRUE(acted.ok()) << acted;
          break;
        }
        ++points;
      }
    }
    std::cout << each.name << " died at " << points << " points\n";
    EXPECT_GE(points, 4);
  }
}

}  // namespace
}  // namespace headrace::cache
