#include <headrace/cache.h>

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "storage/faulty.h"
#include "storage/system.h"
#include "tests/cpp/cached_tables.h"

namespace headrace::cache {
namespace {

using headrace::testing::Check;
using std::chrono::minutes;
using std::chrono::seconds;

class Cache : public CacheTest {
 protected:
  std::shared_ptr<TableCache> cache_ = Check(TableCache::Open(parent_));
};

TEST_F(Cache, OpeningWritesNothing) {
  EXPECT_EQ(Check(cache_->List()), std::vector<CacheEntry>());
  EXPECT_EQ(Check(cache_->Find("plan")), std::nullopt);
  EXPECT_TRUE(Check(cache_->Collect()).directories.empty());
  Check(Check(TableCache::Open(parent_))->Collect(true));
  EXPECT_FALSE(std::filesystem::exists(parent_));
}

TEST_F(Cache, APublishedTableIsFoundByItsKeyAlone) {
  const CachedTable made = Made(*cache_, "plan", {"trainer", "local-1"});
  EXPECT_EQ(made.rows, kRows);
  EXPECT_GT(made.bytes, 0);
  EXPECT_EQ(made.uri, PathOf(made));
  EXPECT_EQ(made.directory.substr(14, 17), "-trainer-local-1-");
  const auto found = Check(cache_->Find("plan", {"other", "local-2"}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->directory, made.directory);
  EXPECT_EQ(found->rows, kRows);
  EXPECT_NE(found->lease, made.lease);
  ExpectReads(*found);
  EXPECT_EQ(Check(cache_->Find("another plan")), std::nullopt);
}

TEST_F(Cache, AKeyIsNotToBeReadInFiles) {
  const CachedTable made = Made(*cache_, "password=hunter2");
  for (const std::string& path : Below(parent_)) {
    EXPECT_EQ(path.find("hunter2"), std::string::npos);
    if (std::filesystem::is_regular_file(parent_ + "/" + path)) {
      EXPECT_EQ(ReadText(parent_ + "/" + path).find("hunter2"), std::string::npos);
    }
  }
}

TEST_F(Cache, TheLastReleaseDeletesTheTable) {
  const CachedTable made = Made(*cache_, "plan");
  const CachedTable found = *Check(cache_->Find("plan"));
  Check(cache_->Release(made));
  ExpectReads(found);
  EXPECT_EQ(Check(cache_->List()).at(0).leases.size(), 1U);
  Check(cache_->Release(found));
  ExpectNothingLeft();
  Check(cache_->Release(found));
  Check(cache_->Release(made));
  ExpectNothingLeft();
  EXPECT_EQ(Check(cache_->Find("plan")), std::nullopt);
}

TEST_F(Cache, AKeptTableStaysAndIsFoundUntilItIsRemoved) {
  const CachedTable made = Made(*cache_, "plan");
  Check(cache_->Keep(made));
  Check(cache_->Keep(made));
  Check(cache_->Release(made));
  EXPECT_TRUE(Check(cache_->Collect()).directories.empty());
  const CacheEntry entry = Check(cache_->List()).at(0);
  EXPECT_TRUE(entry.kept);
  EXPECT_FALSE(entry.in_use());
  const auto found = Check(cache_->Find("plan"));
  ASSERT_TRUE(found);
  ExpectReads(*found);
  Check(cache_->Release(*found));
  Check(cache_->Remove(made.directory));
  ExpectNothingLeft();
}

TEST_F(Cache, TheSecondToPublishAKeyGetsTheFirstTable) {
  const CachedTable first = Check(cache_->Begin({"a", "1"}));
  const CachedTable second = Check(cache_->Begin({"b", "2"}));
  Commit(first);
  Commit(second);
  EXPECT_EQ(Check(cache_->Publish(second, "plan")).directory, second.directory);
  const CachedTable given = Check(cache_->Publish(first, "plan"));
  EXPECT_EQ(given.directory, second.directory);
  EXPECT_EQ(given.owner, first.owner);
  const auto entries = Check(cache_->List());
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].leases.size(), 2U);
  Check(cache_->Release(second));
  ExpectReads(given);
  Check(cache_->Release(given));
  ExpectNothingLeft();
}

TEST_F(Cache, PublishingAgainChangesNothingAndAnotherKeyIsRefused) {
  const CachedTable made = Made(*cache_, "plan");
  EXPECT_EQ(Check(cache_->Publish(made, "plan")), made);
  const auto other = cache_->Publish(made, "another");
  EXPECT_EQ(KindOf(other.status()), ErrorKind::kInvalidArgument) << other.status();
  EXPECT_EQ(Check(cache_->Find("another")), std::nullopt);
}

TEST_F(Cache, WhatWasNotCommittedIsNotPublished) {
  const CachedTable begun = Check(cache_->Begin());
  const auto published = cache_->Publish(begun, "plan");
  EXPECT_EQ(KindOf(published.status()), ErrorKind::kInvalidArgument);
  EXPECT_EQ(Check(cache_->Find("plan")), std::nullopt);
}

TEST_F(Cache, ATableOfADeadProcessIsCollectedAtOnce) {
  const CachedTable dead = Made(*cache_, "plan");
  const CachedTable half = Check(cache_->Begin());
  const CachedTable alive = Made(*cache_, "other plan");
  EXPECT_TRUE(Check(cache_->Collect()).directories.empty());
  Kill(LeaseOf(dead));
  Kill(LeaseOf(half));
  std::vector<std::string> garbage = {dead.directory, half.directory};
  std::sort(garbage.begin(), garbage.end());
  const CacheReport found = Check(cache_->Collect(/*dry_run=*/true));
  EXPECT_EQ(found.directories, garbage);
  EXPECT_FALSE(found.deleted);
  EXPECT_EQ(Check(cache_->List()).size(), 3U);
  const CacheReport report = Check(cache_->Collect());
  EXPECT_EQ(report.directories, garbage);
  EXPECT_EQ(report.bytes, found.bytes);
  EXPECT_TRUE(report.deleted);
  ExpectReads(alive);
  Check(cache_->Release(alive));
  ExpectNothingLeft();
}

TEST_F(Cache, AnUncollectedTableOfADeadProcessIsFound) {
  const CachedTable dead = Made(*cache_, "plan");
  Kill(LeaseOf(dead));
  const auto found = Check(cache_->Find("plan"));
  ASSERT_TRUE(found);
  const CacheReport report = Check(cache_->Collect());
  EXPECT_TRUE(report.directories.empty());
  EXPECT_EQ(report.files, 1);  // the lease of the dead
  ExpectReads(*found);
}

TEST_F(Cache, ALeaseOfAnotherHostLastsUntilItExpires) {
  const CachedTable made = Made(*cache_, "plan");
  MakeForeign(made, minutes(9));
  EXPECT_TRUE(Check(cache_->List()).at(0).in_use());
  EXPECT_TRUE(Check(cache_->Collect()).directories.empty());
  MakeForeign(made, minutes(10) + seconds(30));
  EXPECT_FALSE(Check(cache_->List()).at(0).in_use());
  EXPECT_EQ(Check(cache_->Collect()).directories.size(), 1U);
  ExpectNothingLeft();
}

TEST_F(Cache, ALeaseIsAsOldAsItsFileWhateverTheOtherClockSays) {
  const CachedTable made = Made(*cache_, "plan");
  for (const char* time : {"1999-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"}) {
    ChangeJson(LeaseOf(made), [&](auto& json) { json["heartbeat"] = time; });
    MakeForeign(made, minutes(9));
    EXPECT_TRUE(Check(cache_->List()).at(0).in_use()) << time;
    MakeForeign(made, minutes(11));
    EXPECT_FALSE(Check(cache_->List()).at(0).in_use()) << time;
  }
}

TEST_F(Cache, ALeaseThatNobodyUnderstandsIsAsLiveAsItIsYoung) {
  const CachedTable made = Made(*cache_, "plan");
  for (const char* text : {"", R"({"format": 2})"}) {
    std::ofstream(LeaseOf(made)) << text;
    EXPECT_TRUE(Check(cache_->Collect()).directories.empty()) << text;
  }
  std::filesystem::last_write_time(
      LeaseOf(made), std::filesystem::file_time_type::clock::now() - minutes(11));
  EXPECT_EQ(Check(cache_->Collect()).directories.size(), 1U);
}

TEST_F(Cache, AHeartbeatRenewsTheLease) {
  const CachedTable made = Made(*cache_, "plan");
  MakeForeign(made, minutes(11));
  Check(cache_->Heartbeat(made));
  const CacheLease lease = Check(cache_->List()).at(0).leases.at(0);
  EXPECT_TRUE(lease.live);
  EXPECT_EQ(lease.owner, made.owner);
  EXPECT_NE(lease.host, "elsewhere");
  EXPECT_LT(std::filesystem::file_time_type::clock::now() -
                std::filesystem::last_write_time(LeaseOf(made)),
            minutes(5));
}

TEST_F(Cache, AHeartbeatTakesUpALeaseThatWasTakenForDead) {
  const CachedTable made = Made(*cache_, "plan");
  const CachedTable other = *Check(cache_->Find("plan"));
  MakeForeign(made, minutes(11));
  EXPECT_EQ(Check(cache_->Collect()).files, 1);
  EXPECT_FALSE(std::filesystem::exists(LeaseOf(made)));
  Check(cache_->Heartbeat(made));
  Check(cache_->Release(other));
  ExpectReads(made);
}

TEST_F(Cache, AHeartbeatKeepAndPublishSayThatTheTableIsGone) {
  const CachedTable made = Made(*cache_, "plan");
  const CachedTable begun = Check(cache_->Begin());
  Commit(begun);
  Check(cache_->Remove(made.directory, /*force=*/true));
  Check(cache_->Remove(begun.directory, /*force=*/true));
  for (const Status& status : {cache_->Heartbeat(made), cache_->Keep(made)}) {
    EXPECT_EQ(KindOf(status), ErrorKind::kConflict) << status;
    EXPECT_NE(MessageOf(status).find(PathOf(made)), std::string::npos) << status;
  }
  ExpectNothingLeft();
  Commit(begun);  // it goes on writing, and does not know
  const auto published = cache_->Publish(begun, "plan");
  EXPECT_EQ(KindOf(published.status()), ErrorKind::kConflict) << published.status();
  EXPECT_EQ(Check(cache_->Find("plan")), std::nullopt);
  Check(cache_->Release(begun));
  ExpectNothingLeft();
}

TEST_F(Cache, WhatIsInUseIsRemovedByForceAlone) {
  const CachedTable made = Made(*cache_, "plan", {"trainer", "local-1"});
  const Status refused = cache_->Remove(made.directory);
  EXPECT_EQ(KindOf(refused), ErrorKind::kConflict);
  EXPECT_NE(MessageOf(refused).find("(trainer)"), std::string::npos) << refused;
  EXPECT_TRUE(Check(cache_->Find("plan")));
  ExpectReads(made);
  Check(cache_->Remove(made.directory, /*force=*/true));
  ExpectNothingLeft();
  EXPECT_EQ(KindOf(cache_->Remove(made.directory)), ErrorKind::kNotFound);
}

TEST_F(Cache, NothingButCachedTablesIsEverDeleted) {
  const std::string other =
      parent_ + "/20261128101530-a-b-0b9c2f7e-9d1b-4a53-8c57-6f2a54d1e8aa";
  std::filesystem::create_directories(other);  // as other caches name theirs
  std::ofstream(other + "/part-0.parquet") << "x";
  std::filesystem::create_directories(parent_ + "/flights/_headrace");
  std::ofstream(parent_ + "/flights/_headrace/table.json") << "{}";
  std::ofstream(parent_ + "/file") << "x";
  const auto before = Below(parent_);
  EXPECT_TRUE(Check(cache_->Collect()).directories.empty());
  EXPECT_TRUE(Check(cache_->List()).empty());
  for (const char* name : {"flights", "../cache", "", "file", "_keys"}) {
    EXPECT_EQ(KindOf(cache_->Remove(name, true)), ErrorKind::kInvalidArgument) << name;
  }
  EXPECT_EQ(KindOf(cache_->Remove(std::filesystem::path(other).filename(), true)),
            ErrorKind::kNotFound);
  EXPECT_EQ(KindOf(cache_->Release({.directory = "flights", .lease = "x"})),
            ErrorKind::kInvalidArgument);
  EXPECT_EQ(Below(parent_), before);
}

TEST_F(Cache, KeysThatLeadNowhereAreCollected) {
  const CachedTable made = Made(*cache_, "plan");
  std::filesystem::remove_all(PathOf(made));
  const std::string torn = parent_ + "/_keys/" + std::string(64, 'a') + ".json";
  std::ofstream(torn) << "{";
  const std::string newer = parent_ + "/_keys/" + std::string(64, 'b') + ".json";
  std::ofstream(newer) << R"({"format": 2})";
  EXPECT_EQ(Check(cache_->Collect(/*dry_run=*/true)).files, 2);
  EXPECT_EQ(Check(cache_->Collect()).files, 2);
  EXPECT_EQ(Below(parent_ + "/_keys"),
            std::vector<std::string>({std::string(64, 'b') + ".json"}));
  // Without a collection they stand in nobody's way.
  const CachedTable again = Made(*cache_, "plan");
  std::filesystem::remove_all(PathOf(again));
  EXPECT_EQ(Check(cache_->Find("plan")), std::nullopt);
  ExpectReads(Made(*cache_, "plan"));
}

TEST_F(Cache, CollectingGoesOnAfterAnError) {
  const auto faults = std::make_shared<storage::Faults>();
  storage::InstallFaulty(faults);
  const auto faulty = Check(TableCache::Open("faulty://" + parent_));
  std::vector<std::string> names;
  for (const char* plan : {"a", "b", "c"}) {
    names.push_back(Made(*cache_, plan).directory);
  }
  KillAll();
  std::sort(names.begin(), names.end());
  faults->Arm(
      {storage::Operation::kPut, parent_ + "/" + names[1] + "/_headrace/removing.json"},
      storage::Fault::kFail);
  EXPECT_FALSE(faulty->Collect().ok());
  const auto left = Check(cache_->List());
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].directory, names[1]);
  EXPECT_EQ(Check(faulty->Collect()).directories.size(), 1U);
  ExpectNothingLeft();
}

TEST_F(Cache, TablesAreListedWithTheirUsers) {
  const CachedTable made = Made(*cache_, "plan", {"trainer", "local-1"});
  const CachedTable found = *Check(cache_->Find("plan", {"other", "local-2"}));
  Kill(LeaseOf(found));
  const auto entries = Check(cache_->List());
  ASSERT_EQ(entries.size(), 1U);
  const CacheEntry& entry = entries[0];
  EXPECT_EQ(entry.directory, made.directory);
  EXPECT_EQ(entry.uri, made.uri);
  EXPECT_EQ(entry.key.size(), 64U);
  EXPECT_EQ(entry.owner, made.owner);
  EXPECT_GT(entry.created_ms, 0);
  EXPECT_EQ(entry.rows, kRows);
  EXPECT_GT(entry.bytes, made.bytes);
  EXPECT_TRUE(entry.in_use());
  ASSERT_EQ(entry.leases.size(), 2U);
  for (const CacheLease& lease : entry.leases) {
    EXPECT_EQ(lease.live, lease.owner == made.owner);
    EXPECT_GT(lease.pid, 0);
    EXPECT_FALSE(lease.host.empty());
  }
  const auto json = nlohmann::json::parse(ToJson(entries)).at(0);
  EXPECT_EQ(json["directory"], made.directory);
  EXPECT_EQ(json["rows"], kRows);
  EXPECT_EQ(json["in_use"], true);
  EXPECT_EQ(json["leases"].size(), 2U);
}

TEST_F(Cache, UrisOfTablesAreAbsoluteAndKeepTheQuery) {
  const auto relative = Check(TableCache::Open(
      std::filesystem::relative(parent_, std::filesystem::current_path()).string()));
  EXPECT_EQ(relative->uri(), parent_);
  const CachedTable table = Check(relative->Begin());
  EXPECT_EQ(table.uri, PathOf(table));
  EXPECT_EQ(Check(TableCache::Open("file://" + parent_ + "/"))->uri(), parent_);
  storage::AddScheme(
      "queried",
      [&](const std::string& uri, const storage::OptionMap&) -> Result<storage::System> {
        EXPECT_TRUE(uri.ends_with("?region=x")) << uri;
        return storage::MakeLocal(parent_, {});
      });
  const auto queried = Check(TableCache::Open("queried://lake/cache/?region=x"));
  const CachedTable there = Check(queried->Begin());
  EXPECT_EQ(there.uri, "queried://lake/cache/" + there.directory + "?region=x");
}

}  // namespace
}  // namespace headrace::cache
