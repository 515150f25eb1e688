#include "gang/rendezvous.h"

#include <algorithm>
#include <utility>

#include "gang/wire.h"

namespace headrace::gang {
namespace {

std::shared_ptr<const std::string> Shared(FrameWriter& writer) {
  return std::make_shared<const std::string>(writer.Finish());
}

}  // namespace

std::string Seconds(int64_t ms) {
  const std::string tenths = std::to_string(ms % 1000 / 100);
  return std::to_string(ms / 1000) + (tenths == "0" ? "" : "." + tenths) + " s";
}

Rendezvous::Rendezvous(int world_size) : waiting_(world_size), left_(world_size) {}

std::vector<Reply> Rendezvous::Arrive(int rank, Arrival arrival) {
  waiting_[rank] = std::move(arrival);
  if (!broken_.empty()) return Break(broken_);
  const Arrival& came = *waiting_[rank];
  for (size_t other = 0; other < waiting_.size(); ++other) {
    const std::optional<Arrival>& there = waiting_[other];
    if (there && (there->sequence != came.sequence ||
                  there->operation != came.operation || there->root != came.root)) {
      return Break("rank " + std::to_string(rank) + " came to " + Describe(came) +
                   " and rank " + std::to_string(other) + " to " + Describe(*there) +
                   ": all ranks have to call the same operations in the same order");
    }
  }
  if (std::all_of(waiting_.begin(), waiting_.end(),
                  [](const auto& there) { return there.has_value(); })) {
    return Complete();
  }
  const auto left = std::find(left_.begin(), left_.end(), true);
  if (left != left_.end()) {
    return Break(Describe(came) + ": rank " + std::to_string(left - left_.begin()) +
                 " has ended and will not come");
  }
  return {};
}

std::vector<Reply> Rendezvous::Leave(int rank) {
  left_[rank] = true;
  waiting_[rank].reset();
  for (const std::optional<Arrival>& there : waiting_) {
    if (there) {
      return Break(Describe(*there) + ": rank " + std::to_string(rank) +
                   " has ended and will not come");
    }
  }
  return {};
}

std::vector<Reply> Rendezvous::Expire(int64_t now_ms) {
  for (const std::optional<Arrival>& there : waiting_) {
    if (there && there->deadline_ms <= now_ms) {
      return Break(Describe(*there) + ": within " + Seconds(there->timeout_ms) + " " +
                   Ranks(false) + " did not come, " + Ranks(true) + " did");
    }
  }
  return {};
}

std::optional<int64_t> Rendezvous::deadline_ms() const {
  std::optional<int64_t> first;
  for (const std::optional<Arrival>& there : waiting_) {
    if (there && (!first || there->deadline_ms < *first)) first = there->deadline_ms;
  }
  return first;
}

std::vector<Reply> Rendezvous::Complete() {
  const Arrival& any = *waiting_[0];
  FrameWriter writer(FrameType::kCollected);
  writer.Number(any.sequence);
  switch (any.operation) {
    case Operation::kBarrier:
      writer.Number(0);
      break;
    case Operation::kAllGather:
      writer.Number(waiting_.size());
      for (const std::optional<Arrival>& there : waiting_) writer.Bytes(there->value);
      break;
    case Operation::kBroadcast:
      writer.Number(1).Bytes(waiting_[any.root]->value);
      break;
  }
  const auto frame = Shared(writer);
  std::vector<Reply> replies;
  for (size_t rank = 0; rank < waiting_.size(); ++rank) {
    replies.push_back({static_cast<int>(rank), frame});
    waiting_[rank].reset();
  }
  return replies;
}

std::vector<Reply> Rendezvous::Break(const std::string& why) {
  broken_ = why;
  std::vector<Reply> replies;
  for (size_t rank = 0; rank < waiting_.size(); ++rank) {
    if (!waiting_[rank]) continue;
    FrameWriter writer(FrameType::kBroken);
    writer.Number(waiting_[rank]->sequence).Bytes(why);
    replies.push_back({static_cast<int>(rank), Shared(writer)});
    waiting_[rank].reset();
  }
  return replies;
}

std::string Rendezvous::Describe(const Arrival& arrival) const {
  switch (arrival.operation) {
    case Operation::kBarrier:
      return "barrier (operation " + std::to_string(arrival.sequence + 1) + ")";
    case Operation::kAllGather:
      return "all_gather (operation " + std::to_string(arrival.sequence + 1) + ")";
    case Operation::kBroadcast:
      break;
  }
  return "broadcast from rank " + std::to_string(arrival.root) + " (operation " +
         std::to_string(arrival.sequence + 1) + ")";
}

std::string Rendezvous::Ranks(bool arrived) const {
  std::string text;
  int count = 0;
  for (size_t rank = 0; rank < waiting_.size(); ++rank) {
    if (waiting_[rank].has_value() != arrived) continue;
    text += (count++ == 0 ? "" : ", ") + std::to_string(rank);
  }
  return (count == 1 ? "rank " : "ranks ") + text;
}

}  // namespace headrace::gang
