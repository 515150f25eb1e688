/// \file
/// What a task finds in its environment: what PyTorch, TensorFlow and JAX look for, so
/// that plain programs run unchanged, and what GangPlace::Read looks for.
#pragma once

#include <headrace/gang.h>

#include <cstdint>
#include <string>
#include <vector>

namespace headrace::gang {

/// What all tasks of an attempt share.
struct Meeting {
  std::string address = {};
  std::string secret = {};
  int attempt = 0;
  /// Free ports of the loopback address: one for MASTER_PORT, one for JAX, one a task
  /// for TF_CONFIG.
  std::vector<uint16_t> ports = {};
  /// For OMP_NUM_THREADS, unless that is given.
  int cores = 1;

  static size_t PortsOf(int tasks) { return static_cast<size_t>(tasks) + 2; }
};

/// All variables of a task, as "NAME=value".
std::vector<std::string> TaskEnvironment(const GangOptions& options,
                                         const Meeting& meeting, int rank);

/// How often a task says that it lives.
inline int64_t HeartbeatMs(const GangOptions& options) {
  return options.heartbeat_timeout_ms / 5 + 1;
}

}  // namespace headrace::gang
