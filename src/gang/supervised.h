/// \file
/// A task below its supervisor (apps/supervisor), as the launcher has it.
#pragma once

#include <headrace/result.h>
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "gang/descriptor.h"
#include "gang/notice.h"

namespace headrace::gang {

/// Not thread-safe. Its descriptors are for the launcher to poll; all but `notices` are
/// non-blocking.
class Supervised {
 public:
  /// Starts a supervisor, which starts the program. `environment`: all of it, as
  /// "NAME=value". That a program is not there is told by a notice.
  static Result<Supervised> Start(const std::vector<std::string>& command,
                                  const std::vector<std::string>& environment);

  Supervised(Supervised&&) noexcept = default;
  Supervised& operator=(Supervised&&) noexcept = default;
  /// Kills all there is, and waits until the supervisor has done so.
  ~Supervised();

  const Descriptor& notices() const { return notices_; }
  Descriptor& out() { return out_; }
  Descriptor& err() { return err_; }

  /// What came in since; the supervisor is gone where `ended` is true afterwards.
  std::vector<Notice> Read();
  bool ended() const { return ended_; }

  /// Asks the task's process group to end.
  void Terminate();
  /// Kills it, and whatever it started, and waits for that.
  void Kill();

 private:
  // Its number, as long as it is this process' to reap.
  class Pid {
   public:
    Pid() = default;
    explicit Pid(pid_t pid) : pid_(pid) {}
    Pid(Pid&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    Pid& operator=(Pid&& other) noexcept {
      std::swap(pid_, other.pid_);
      return *this;
    }
    void Reap();

   private:
    pid_t pid_ = -1;
  };

  Supervised() = default;

  Descriptor notices_;
  Descriptor out_;
  Descriptor err_;
  Pid pid_;
  bool ended_ = false;
};

}  // namespace headrace::gang
