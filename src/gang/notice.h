/// \file
/// What a supervisor tells its launcher. Plain bytes between two programs of one build on
/// one machine; apps/supervisor includes this header and nothing else.
#pragma once

#include <cstdint>

namespace headrace::gang {

struct Notice {
  enum Event : int32_t {
    kStarted,     ///< value: the task's process id
    kNotStarted,  ///< errno
    kStopped,     ///< the signal
    kContinued,
    kExited,     ///< the exit code
    kSignalled,  ///< the signal
  };

  Event event = kStarted;
  int32_t value = 0;
};

}  // namespace headrace::gang
