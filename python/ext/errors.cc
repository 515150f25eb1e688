#include "errors.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

namespace nb = nanobind;

namespace headrace::ext {

namespace {

std::atomic<bool> exiting{false};
std::atomic<std::thread::id> exiting_thread{};
// Threads between their last look at `exiting` and the GIL, and those of C++'s that have
// the GIL; how often this thread is among them.
std::atomic<int> returning{0};
thread_local int returning_here = 0;

// A fork has this thread alone: the others never get there.
[[maybe_unused]] const int forgotten_in_fork =
    pthread_atfork(nullptr, nullptr, [] { returning = returning_here; });

void Return() {
  ++returning_here;
  ++returning;
}

void Returned() {
  --returning;
  --returning_here;
}

void StayIfExiting() {
  if (!exiting || exiting_thread.load() == std::this_thread::get_id()) return;
  Returned();
  while (true) pause();
}

}  // namespace

WithoutGil::~WithoutGil() {
  Return();
  StayIfExiting();
  PyEval_RestoreThread(state_);
  Returned();
}

WithGil::WithGil() {
  Return();
  if (exiting || Py_IsInitialized() == 0) {
    Returned();
    return;
  }
  state_ = PyGILState_Ensure();
  taken_ = true;
}

WithGil::~WithGil() {
  if (!taken_) return;
  PyGILState_Release(state_);
  Returned();
}

void PrepareExit() {
  exiting_thread = std::this_thread::get_id();
  exiting = true;
  // Those who are past their look still get the GIL.
  PyThreadState* state = PyEval_SaveThread();
  while (returning > 0) std::this_thread::yield();
  PyEval_RestoreThread(state);
}

void Raise(const Status& status) {
  // An import of a module that is loaded is a look-up in a dict: nothing needs to be
  // kept.
  nb::module_ errors = nb::module_::import_("headrace.errors");
  const std::string kind(KindName(KindOf(status)));
  const std::string message = MessageOf(status);
  nb::object type = errors.attr(kind.c_str());
  // Messages hold paths and values of tables, which need not be UTF-8.
  nb::object text = nb::steal(PyUnicode_DecodeUTF8(
      message.data(), static_cast<Py_ssize_t>(message.size()), "backslashreplace"));
  nb::object exception = type(text);
  PyErr_SetObject(type.ptr(), exception.ptr());
  throw nb::python_error();
}

}  // namespace headrace::ext
