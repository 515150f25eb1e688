#include "errors.h"

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
// the GIL.
std::atomic<int> returning{0};

void StayIfExiting() {
  if (!exiting || exiting_thread.load() == std::this_thread::get_id()) return;
  --returning;
  while (true) pause();
}

}  // namespace

WithoutGil::~WithoutGil() {
  ++returning;
  StayIfExiting();
  PyEval_RestoreThread(state_);
  --returning;
}

WithGil::WithGil() {
  ++returning;
  if (exiting || Py_IsInitialized() == 0) {
    --returning;
    return;
  }
  state_ = PyGILState_Ensure();
  taken_ = true;
}

WithGil::~WithGil() {
  if (!taken_) return;
  PyGILState_Release(state_);
  --returning;
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
