/// \file
/// Where ranks meet: barriers, all-gathers and broadcasts of one attempt of a gang. No
/// I/O and no clock: frames and times in, frames out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headrace::gang {

enum class Operation : uint8_t { kBarrier, kAllGather, kBroadcast };

/// "2 s", "0.5 s".
std::string Seconds(int64_t ms);

/// One rank's coming to an operation.
struct Arrival {
  /// Counts the operations of the rank, from 0.
  uint64_t sequence = 0;
  Operation operation = Operation::kBarrier;
  int root = 0;
  /// When it has waited enough, and how long that is.
  int64_t deadline_ms = 0;
  int64_t timeout_ms = 0;
  std::string value = {};
};

/// A frame for a rank. Ranks that get the same one share it.
struct Reply {
  int rank = 0;
  std::shared_ptr<const std::string> frame;
};

/// Not thread-safe.
class Rendezvous {
 public:
  explicit Rendezvous(int world_size);

  /// Each of these returns what is to be sent then.
  ///
  /// A rank comes. The last one to come completes the operation.
  std::vector<Reply> Arrive(int rank, Arrival arrival);
  /// A rank has ended: who waits for it, or will, waits in vain.
  std::vector<Reply> Leave(int rank);
  /// Time goes on. An operation whose time is over fails, for all, for good: the message
  /// names the ranks that did not come.
  std::vector<Reply> Expire(int64_t now_ms);

  /// When `Expire` has something to do next.
  std::optional<int64_t> deadline_ms() const;

 private:
  std::vector<Reply> Complete();
  std::vector<Reply> Break(const std::string& why);
  std::string Describe(const Arrival& arrival) const;
  std::string Ranks(bool arrived) const;

  std::vector<std::optional<Arrival>> waiting_;
  std::vector<bool> left_;
  /// Why nothing can be completed any more.
  std::string broken_;
};

}  // namespace headrace::gang
