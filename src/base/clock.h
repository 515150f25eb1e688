/// \file
/// The time since the epoch, by the system's clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace headrace::base {

/// Microseconds.
inline int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Milliseconds.
inline int64_t NowMs() { return NowUs() / 1000; }

}  // namespace headrace::base
