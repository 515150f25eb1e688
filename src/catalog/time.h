/// \file
/// The time of an entry.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace headrace::catalog {

/// Microseconds since the epoch, by the system's clock.
inline int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// "2026-11-28T10:15:30.000001Z"
std::string TimeText(int64_t us);

}  // namespace headrace::catalog
