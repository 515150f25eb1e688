/// \file
/// Gangs: processes on this machine that start together, meet at barriers, and fail
/// together. docs/guide/gangs.md tells users; src/gang/README.md has the parts.
#pragma once

#include <arrow/util/cancel.h>
#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headrace {

/// What to run, and how often.
struct GangOptions {
  /// A program and its arguments, found on PATH, run without a shell.
  std::vector<std::string> command = {};
  int tasks = 1;
  /// Variables of the tasks, which take the place of this process' own.
  std::vector<std::pair<std::string, std::string>> environment = {};
  /// Addresses of accelerators, a list a task as `Share` makes them; empty: none.
  std::vector<std::vector<std::string>> accelerators = {};
  /// How many times the gang starts again, all its tasks together, after a failure.
  int max_restarts = 0;
  /// How long tasks wait for each other: to join (those that have a `payload`), and at
  /// each barrier, all-gather or broadcast that does not say otherwise.
  int64_t timeout_ms = 600'000;
  /// A task that stays stopped (SIGSTOP), or has joined and then is not heard of, for so
  /// long has failed.
  int64_t heartbeat_timeout_ms = 30'000;
  /// How long a task that is asked to end (SIGTERM) may take; then it is killed.
  int64_t grace_ms = 5'000;
  /// For each task that joins. With one, a task is to return a value before it ends.
  std::optional<std::string> payload = {};
};

/// How a gang ended.
struct GangReport {
  /// What the tasks returned, by rank; empty without a payload.
  std::vector<std::string> results = {};
  /// Why it started again, each time.
  std::vector<std::string> restarts = {};
};

/// The exception of a task, as its side describes it.
struct GangException {
  int rank = 0;
  /// Opaque: what `GangContext::Raise` was given.
  std::string value = {};
};

enum class GangStream { kOut, kErr };

/// What a launcher is told while a gang runs, in the thread that launched it. An error
/// ends the gang, and is what the launch returns.
struct GangCallbacks {
  /// Whole lines that a task printed, each with its end; the last one may lack it.
  std::function<Status(int attempt, int rank, GangStream, std::string_view lines)>
      on_output = {};
  /// A value that a task reported.
  std::function<Status(int rank, std::string value)> on_report = {};
  /// The gang failed and starts again.
  std::function<Status(int attempt, const std::string& why)> on_restart = {};
  /// Called every 50 ms or so, for the caller to look around.
  std::function<Status()> on_tick = {};
};

/// Runs a gang to its end. All tasks are started, or none stays.
///
/// The first task that fails (a signal, an exit code, an exception, an end before it
/// returned, silence) ends the attempt: the others are stopped, and so is whatever they
/// started. When this process dies, by SIGKILL too, so do all of them.
///
/// Errors: InvalidArgument; NotFound for a program that is not there; PeerFailed, with
/// the rank, how it ended and its last lines, when no restart is left; Cancelled by
/// `stop`; what a callback returned. If the failure was an exception, it is put into
/// `exception`. May be called from several threads at once, for gangs of their own.
Result<GangReport> RunGang(const GangOptions& options, const GangCallbacks& callbacks,
                           const arrow::StopToken& stop = arrow::StopToken::Unstoppable(),
                           std::optional<GangException>* exception = nullptr);

/// Where a task of a gang finds itself, as its environment has it.
struct GangPlace {
  /// The launcher's socket, and what lets one in.
  std::string address = {};
  std::string secret = {};
  int rank = 0;
  int world_size = 1;
  int attempt = 0;
  int64_t timeout_ms = 600'000;
  int64_t heartbeat_ms = 5'000;
  std::vector<std::string> accelerators = {};

  /// Reads HEADRACE_GANG and its like by `variable`, as std::getenv does. Nothing outside
  /// of a gang; InvalidArgument, naming it, for a variable that is wrong.
  static Result<std::optional<GangPlace>> Read(
      const std::function<const char*(const char*)>& variable);
};

/// A task's side of its gang.
///
/// Thread-safety: all methods may be called from any thread; collective ones (`Barrier`,
/// `AllGather`, `Broadcast`) wait for one another, and all ranks have to call the same
/// ones in the same order. They are cut short by `interrupted`, which is asked every
/// 50 ms or so. Errors: PeerFailed, naming the ranks, where others did not come in time,
/// came to something else, or have ended, and when the launcher has ended.
class GangContext {
 public:
  using Interrupted = std::function<Status()>;

  /// Joins. Errors: Denied for a wrong secret; Conflict if the rank has joined already;
  /// PeerFailed if the launcher is not there.
  static Result<std::unique_ptr<GangContext>> Join(GangPlace place);

  ~GangContext();
  GangContext(const GangContext&) = delete;
  GangContext& operator=(const GangContext&) = delete;

  const GangPlace& place() const;
  /// `GangOptions::payload`.
  const std::optional<std::string>& payload() const;

  /// Waits until all ranks are here. `timeout_ms`: this wait's; nothing: the gang's.
  Status Barrier(std::optional<int64_t> timeout_ms = {},
                 const Interrupted& interrupted = {});
  /// The values of all ranks, by rank.
  Result<std::vector<std::string>> AllGather(std::string_view value,
                                             std::optional<int64_t> timeout_ms = {},
                                             const Interrupted& interrupted = {});
  /// The value of `root`; others' are not sent.
  Result<std::string> Broadcast(std::string_view value, int root,
                                std::optional<int64_t> timeout_ms = {},
                                const Interrupted& interrupted = {});

  /// Hands a value to the launcher: a report on the way; the task's result.
  Status Report(std::string_view value);
  Status Return(std::string_view value);
  /// Says why the task fails: by a line for people, and a value for whoever launched the
  /// gang. `by_peer`: it fails because another has, whose reason is the better one.
  Status Raise(std::string_view line, std::string_view value, bool by_peer);

  /// Says that the interpreter runs that runs the task. Once called, the task has failed
  /// when it is not called again for the gang's timeout, and at least 30 s: heartbeats go
  /// on where a call keeps the interpreter's lock for ever. Count on 30 s between two
  /// calls.
  void Alive();

 private:
  struct Impl;
  explicit GangContext(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace headrace
