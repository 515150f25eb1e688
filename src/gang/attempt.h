/// \file
/// One attempt of a gang: its tasks from their start to their end, in one thread that
/// polls.
#pragma once

#include <headrace/gang.h>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gang/connection.h"
#include "gang/environment.h"
#include "gang/output.h"
#include "gang/rendezvous.h"
#include "gang/supervised.h"

namespace headrace::gang {

/// Why an attempt failed. Of several, the least `cause` is told as the reason: what a
/// task did by itself before what the end of another did to it.
struct Failure {
  enum Cause { kSignalled, kSilent, kExited, kRaised, kEarlyEnd, kPeerFailed };

  Cause cause = kExited;
  int rank = 0;
  std::string text = {};
  std::optional<GangException> exception = {};
};

/// How an attempt ended.
struct Outcome {
  std::optional<Failure> failure = {};
  std::vector<std::string> results = {};
};

/// Not thread-safe. All tasks are gone when it is.
class Attempt {
 public:
  /// Both outlive it.
  Attempt(const GangOptions& options, const GangCallbacks& callbacks, int number);

  /// Errors are those that no further attempt would mend.
  Result<Outcome> Run(const arrow::StopToken& stop);

 private:
  using Clock = std::chrono::steady_clock;

  struct Task {
    std::optional<Supervised> process = {};
    int pid = 0;
    LineCutter out = {};
    LineCutter err = {};
    Tail tail = {};
    bool joined = false;
    std::optional<std::string> result = {};
    bool raised = false;
    std::optional<Notice> end = {};
    std::optional<int64_t> stopped_ms = {};
    int64_t heard_ms = 0;
  };
  /// What to poll next, and whose it is.
  struct Polled;

  Status Start();
  Status Poll(const arrow::StopToken& stop);
  Status Accept();
  Status OnNotices(int rank);
  Status OnNotice(int rank, const Notice& notice);
  Status OnEnd(int rank);
  Status OnOutput(int rank, GangStream stream);
  Status Hand(int rank, GangStream stream, const std::string& lines);
  Status OnConnection(Connection* connection);
  Status OnFrame(Connection* connection, const Frame& frame);
  Status OnHello(Connection* connection, const Frame& frame);
  Status OnTime();
  void Send(const std::vector<Reply>& replies);
  void Fail(Failure::Cause cause, int rank, const std::string& text,
            std::optional<GangException> exception = {});
  Connection* ConnectionOf(int rank);
  bool AllEnded() const;
  int64_t NowMs() const;

  const GangOptions& options_;
  const GangCallbacks& callbacks_;
  const Clock::time_point begin_ = Clock::now();
  Meeting meeting_;
  Descriptor listener_;
  Rendezvous rendezvous_;
  std::vector<Task> tasks_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Failure> failures_;
  /// When the first failure was seen, or the last task has returned; and when tasks were
  /// asked to end.
  std::optional<int64_t> over_ms_;
  std::optional<int64_t> asked_ms_;
};

}  // namespace headrace::gang
