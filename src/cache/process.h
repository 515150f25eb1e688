/// \file
/// Which process it is, and whether one that was is still there.
#pragma once

#include <cstdint>
#include <string>

namespace headrace::cache {

/// A process, told from all others of its host, whatever numbers are used again. Where
/// the system does not tell (no /proc), all but host and number are empty.
struct Process {
  std::string host = {};
  int64_t pid = 0;
  /// When it began, in the kernel's ticks since the boot.
  std::string started = {};
  /// Of the running kernel. A host that was started again has another one, and so have
  /// two hosts that share a name.
  std::string boot_id = {};
  /// Numbers of processes mean something in here only: containers have their own.
  std::string pid_namespace = {};

  static Process This();

  /// It ran where this process runs, so that `IsGone` knows.
  bool IsLocal() const;
  /// It has ended. REQUIRES: `IsLocal()`.
  bool IsGone() const;

  bool operator==(const Process&) const = default;
};

}  // namespace headrace::cache
