#include "gang/rendezvous.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "gang/wire.h"

namespace headrace::gang {
namespace {

Arrival At(Operation operation, uint64_t sequence = 0, std::string value = {},
           int root = 0, int64_t deadline_ms = 1000) {
  return {sequence, operation, root, deadline_ms, deadline_ms, std::move(value)};
}

// What a reply says: the values of an operation, or why it failed.
struct Answer {
  bool broken = false;
  std::vector<std::string> values = {};
  std::string why = {};

  explicit Answer(const Reply& reply) {
    FrameBuffer buffer;
    buffer.Append(*reply.frame);
    const Frame frame = **buffer.Next();
    FrameReader reader(frame.body);
    reader.Number();
    broken = frame.type == FrameType::kBroken;
    if (broken) {
      why = reader.Bytes();
    } else {
      values.resize(reader.Number());
      for (std::string& value : values) value = reader.Bytes();
    }
    EXPECT_TRUE(reader.ok());
  }
};

TEST(Rendezvous, LastOneToComeOpensABarrier) {
  Rendezvous meeting(3);
  EXPECT_TRUE(meeting.Arrive(2, At(Operation::kBarrier)).empty());
  EXPECT_TRUE(meeting.Arrive(0, At(Operation::kBarrier)).empty());
  const auto replies = meeting.Arrive(1, At(Operation::kBarrier));
  ASSERT_EQ(replies.size(), 3);
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(replies[rank].rank, rank);
    EXPECT_FALSE(Answer(replies[rank]).broken);
  }
  EXPECT_EQ(meeting.deadline_ms(), std::nullopt);
  // And so it goes on.
  EXPECT_TRUE(meeting.Arrive(1, At(Operation::kBarrier, 1)).empty());
}

TEST(Rendezvous, ValuesAreInTheOrderOfRanks) {
  Rendezvous meeting(3);
  meeting.Arrive(2, At(Operation::kAllGather, 0, "c"));
  meeting.Arrive(1, At(Operation::kAllGather, 0, ""));
  const auto replies = meeting.Arrive(0, At(Operation::kAllGather, 0, "a"));
  ASSERT_EQ(replies.size(), 3);
  EXPECT_EQ(Answer(replies[1]).values, (std::vector<std::string>{"a", "", "c"}));
  EXPECT_EQ(replies[0].frame, replies[2].frame);  // once for all
}

TEST(Rendezvous, BroadcastIsOfItsRoot) {
  Rendezvous meeting(2);
  meeting.Arrive(0, At(Operation::kBroadcast, 0, "", 1));
  const auto replies = meeting.Arrive(1, At(Operation::kBroadcast, 0, "root's", 1));
  ASSERT_EQ(replies.size(), 2);
  EXPECT_EQ(Answer(replies[0]).values, std::vector<std::string>{"root's"});
}

TEST(Rendezvous, TimeNamesWhoDidNotCome) {
  Rendezvous meeting(4);
  meeting.Arrive(0, At(Operation::kBarrier, 0, "", 0, 500));
  meeting.Arrive(2, At(Operation::kBarrier, 0, "", 0, 900));
  EXPECT_EQ(meeting.deadline_ms(), 500);
  EXPECT_TRUE(meeting.Expire(499).empty());
  const auto replies = meeting.Expire(500);
  ASSERT_EQ(replies.size(), 2);
  const Answer answer(replies[0]);
  EXPECT_TRUE(answer.broken);
  EXPECT_NE(answer.why.find("within 0.5 s ranks 1, 3 did not come, ranks 0, 2 did"),
            std::string::npos)
      << answer.why;
  // Who comes late is told the same, and does not wait.
  const auto late = meeting.Arrive(1, At(Operation::kBarrier));
  ASSERT_EQ(late.size(), 1);
  EXPECT_EQ(Answer(late[0]).why, answer.why);
}

TEST(Rendezvous, WhoHasEndedIsNotWaitedFor) {
  Rendezvous before(2);
  before.Arrive(0, At(Operation::kBarrier));
  const auto replies = before.Leave(1);
  ASSERT_EQ(replies.size(), 1);
  EXPECT_NE(Answer(replies[0]).why.find("rank 1 has ended"), std::string::npos);

  Rendezvous after(2);
  EXPECT_TRUE(after.Leave(1).empty());
  ASSERT_EQ(after.Arrive(0, At(Operation::kBarrier)).size(), 1);
}

TEST(Rendezvous, RanksMeetInOneOrder) {
  const std::vector<std::pair<Arrival, Arrival>> differing = {
      {At(Operation::kBarrier), At(Operation::kAllGather)},
      {At(Operation::kBarrier, 0), At(Operation::kBarrier, 1)},
      {At(Operation::kBroadcast, 0, "", 0), At(Operation::kBroadcast, 0, "", 1)}};
  for (const auto& [first, second] : differing) {
    Rendezvous meeting(2);
    EXPECT_TRUE(meeting.Arrive(1, first).empty());
    const auto replies = meeting.Arrive(0, second);
    ASSERT_EQ(replies.size(), 2);
    EXPECT_NE(Answer(replies[0]).why.find("same order"), std::string::npos);
  }
}

}  // namespace
}  // namespace headrace::gang
