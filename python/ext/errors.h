/// \file
/// Status to exception: what every binding ends with.
#pragma once

#include <headrace/result.h>
#include <nanobind/nanobind.h>

#include <utility>

namespace headrace::ext {

/// Raises the class of `headrace.errors` for the status' kind. REQUIRES: the GIL is held,
/// `!status.ok()`.
[[noreturn]] void Raise(const Status& status);

/// REQUIRES: the GIL is held.
inline void Check(const Status& status) {
  if (!status.ok()) Raise(status);
}

/// REQUIRES: the GIL is held.
template <typename T>
T Unwrap(Result<T> result) {
  if (!result.ok()) Raise(result.status());
  return std::move(result).ValueUnsafe();
}

/// The GIL, released while this lives.
///
/// When the interpreter exits, threads that want the GIL back are ended by it inside of
/// this destructor, which would abort the process. So a thread that comes back after
/// `PrepareExit` stays here for the moments that the process still has (as Python does
/// from 3.14 on).
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil();
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

/// The GIL, taken while this lives, by a thread of C++'s that calls into Python. Once the
/// interpreter is about to end it is not taken any more: see `WithoutGil`. The
/// interpreter waits for those that have it.
class WithGil {
 public:
  WithGil();
  ~WithGil();
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

  bool taken() const { return taken_; }

 private:
  bool taken_ = false;
  PyGILState_STATE state_ = PyGILState_UNLOCKED;
};

/// To be called by the interpreter's thread before it ends.
void PrepareExit();

/// Runs `call` with the GIL released and unwraps what it returns.
template <typename Call>
auto Released(Call&& call) {
  auto result = [&] {
    const WithoutGil released;
    return std::forward<Call>(call)();
  }();
  if constexpr (std::is_same_v<decltype(result), Status>) {
    Check(result);
  } else {
    return Unwrap(std::move(result));
  }
}

}  // namespace headrace::ext
