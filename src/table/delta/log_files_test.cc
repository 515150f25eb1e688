#include "table/delta/log_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace::table::delta {
namespace {

using testing::Check;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LogFiles Of(const std::vector<std::string>& names) {
  std::vector<storage::FileEntry> files;
  for (const std::string& name : names) files.push_back({"t/" + name, name, 1, 0});
  return LogFiles::Make(std::move(files));
}

std::string Digits(int64_t version) {
  std::string name = CommitName(version);
  return name.substr(0, name.size() - 5);
}

std::vector<std::string> CommitsOf(const LogSegment& segment) {
  std::vector<std::string> names;
  for (const auto& file : segment.commits) names.push_back(file.relative_path);
  return names;
}

TEST(LogFiles, ReplaysCommitsFromTheFirstWhereThereIsNoCheckpoint) {
  const LogFiles log = Of({CommitName(0), CommitName(1), CommitName(2), "notes.txt",
                           "_last_checkpoint", "." + CommitName(3) + ".tmp"});
  EXPECT_EQ(log.last(), 2);
  const LogSegment segment = Check(log.SegmentOf(1, "log"));
  EXPECT_FALSE(segment.checkpoint);
  EXPECT_THAT(CommitsOf(segment), ElementsAre(CommitName(0), CommitName(1)));
}

TEST(LogFiles, BeginsAtTheLastCheckpointThatIsWhole) {
  const LogFiles log = Of({CommitName(10), CommitName(11), CommitName(12), CommitName(13),
                           Digits(10) + ".checkpoint.parquet",
                           Digits(12) + ".checkpoint.0000000001.0000000002.parquet"});
  const LogSegment segment = Check(log.SegmentOf(13, "log"));
  ASSERT_TRUE(segment.checkpoint);
  EXPECT_EQ(segment.checkpoint->version, 10);
  EXPECT_THAT(CommitsOf(segment),
              ElementsAre(CommitName(11), CommitName(12), CommitName(13)));
  EXPECT_EQ(log.first(), 10);
}

TEST(LogFiles, TakesAllPartsOfACheckpoint) {
  const LogFiles log = Of({Digits(4) + ".checkpoint.0000000002.0000000002.parquet",
                           Digits(4) + ".checkpoint.0000000001.0000000002.parquet"});
  const LogSegment segment = Check(log.SegmentOf(4, "log"));
  ASSERT_TRUE(segment.checkpoint);
  EXPECT_EQ(segment.checkpoint->files.size(), 2);
  EXPECT_TRUE(segment.commits.empty());
}

TEST(LogFiles, TakesCheckpointsNamedByUuid) {
  const LogFiles log = Of({Digits(4) + ".checkpoint.80a083e8-7026.json"});
  EXPECT_TRUE(Check(log.SegmentOf(4, "log")).checkpoint);
}

TEST(LogFiles, TakesCompactedFilesForTheCommitsThatTheyHold) {
  const LogFiles log =
      Of({CommitName(0), CommitName(1), CommitName(2), CommitName(3), CommitName(4),
          Digits(1) + "." + Digits(3) + ".compacted.json"});
  EXPECT_THAT(CommitsOf(Check(log.SegmentOf(4, "log"))),
              ElementsAre(CommitName(0), Digits(1) + "." + Digits(3) + ".compacted.json",
                          CommitName(4)));
  // It would go too far.
  EXPECT_THAT(CommitsOf(Check(log.SegmentOf(2, "log"))),
              ElementsAre(CommitName(0), CommitName(1), CommitName(2)));
}

TEST(LogFiles, NamesTheCommitThatIsMissing) {
  const LogFiles log = Of({CommitName(0), CommitName(2)});
  const Status status = log.SegmentOf(2, "lake/_delta_log").status();
  EXPECT_EQ(KindOf(status), ErrorKind::kCorrupt);
  EXPECT_THAT(MessageOf(status), HasSubstr("lake/_delta_log: " + CommitName(1)));
}

TEST(LogFiles, TellsWhichVersionsThereAre) {
  const LogFiles log =
      Of({CommitName(3), CommitName(4), Digits(3) + ".checkpoint.parquet"});
  for (const int64_t version : {-1, 2, 5}) {
    const Status status = log.SegmentOf(version, "log").status();
    EXPECT_EQ(KindOf(status), ErrorKind::kNotFound) << version;
    EXPECT_THAT(MessageOf(status), HasSubstr("expected one of 3 to 4"));
  }
}

}  // namespace
}  // namespace headrace::table::delta
