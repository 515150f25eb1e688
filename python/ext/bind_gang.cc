#include <headrace/accelerators.h>
#include <headrace/gang.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

nb::bytes ToBytes(std::string_view value) {
  return nb::bytes(value.data(), value.size());
}

std::string_view View(const nb::bytes& value) { return {value.c_str(), value.size()}; }

// Calls into Python out of C++ that runs without the GIL, and keeps what was raised.
class Caller {
 public:
  // OK, or Cancelled where `call` or a signal's handler has raised.
  template <typename Call>
  Status operator()(Call&& call) {
    const WithGil gil;
    if (!gil.taken()) return Error(ErrorKind::kCancelled, "Python ends");
    try {
      std::forward<Call>(call)();
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
    } catch (nb::python_error& error) {
      raised_.emplace(std::move(error));
      return Error(ErrorKind::kCancelled, "a callback raised");
    }
    return Status::OK();
  }
  Status Look() {
    return (*this)([] {});
  }
  // REQUIRES: the GIL is held.
  void Raise() {
    if (raised_) throw nb::python_error(std::move(*raised_));
  }

 private:
  std::optional<nb::python_error> raised_;
};

// What `run_gang` returns: results by rank, or why it failed where that was an exception.
struct GangEnd {
  std::vector<nb::bytes> results;
  std::optional<std::string> failure;
  int rank = 0;
  nb::bytes exception = ToBytes({});
};

GangEnd RunGangFromPython(GangOptions options, const std::optional<nb::bytes>& payload,
                          const nb::callable& on_output, const nb::callable& on_report,
                          const nb::callable& on_restart) {
  if (payload) options.payload = std::string(View(*payload));
  Caller caller;
  GangCallbacks callbacks;
  callbacks.on_output = [&](int attempt, int rank, GangStream stream,
                            std::string_view lines) {
    return caller(
        [&] { on_output(attempt, rank, stream == GangStream::kErr, ToBytes(lines)); });
  };
  callbacks.on_report = [&](int rank, const std::string& value) {
    return caller([&] { on_report(rank, ToBytes(value)); });
  };
  callbacks.on_restart = [&](int attempt, const std::string& why) {
    return caller([&] { on_restart(attempt, why); });
  };
  callbacks.on_tick = [&] { return caller.Look(); };
  std::optional<GangException> exception;
  auto report = [&] {
    const WithoutGil released;
    return RunGang(options, callbacks, arrow::StopToken::Unstoppable(), &exception);
  }();
  caller.Raise();
  GangEnd end;
  if (exception) {
    end.failure = MessageOf(report.status());
    end.rank = exception->rank;
    end.exception = ToBytes(exception->value);
    return end;
  }
  for (const std::string& each : Unwrap(std::move(report)).results) {
    end.results.push_back(ToBytes(each));
  }
  return end;
}

// Runs a call of a task's with the GIL released, interrupted by signals.
template <typename Call>
auto Waiting(Call&& call) {
  Caller caller;
  auto result = [&] {
    const WithoutGil released;
    return std::forward<Call>(call)([&] { return caller.Look(); });
  }();
  caller.Raise();
  if constexpr (std::is_same_v<decltype(result), Status>) {
    Check(result);
  } else {
    return Unwrap(std::move(result));
  }
}

void BindRun(nb::module_& m) {
  nb::class_<GangEnd>(m, "GangEnd", "How a gang of a function ended.")
      .def_ro("results", &GangEnd::results)
      .def_ro("failure", &GangEnd::failure)
      .def_ro("rank", &GangEnd::rank)
      .def_ro("exception", &GangEnd::exception);
  m.def(
      "run_gang",
      [](std::vector<std::string> command, int tasks,
         std::vector<std::pair<std::string, std::string>> environment,
         std::vector<std::vector<std::string>> accelerators, int max_restarts,
         int64_t timeout_ms, const std::optional<nb::bytes>& payload,
         const nb::callable& on_output, const nb::callable& on_report,
         const nb::callable& on_restart) {
        GangOptions options;
        options.command = std::move(command);
        options.tasks = tasks;
        options.environment = std::move(environment);
        options.accelerators = std::move(accelerators);
        options.max_restarts = max_restarts;
        options.timeout_ms = timeout_ms;
        return RunGangFromPython(std::move(options), payload, on_output, on_report,
                                 on_restart);
      },
      nb::arg("command"), nb::kw_only(), nb::arg("tasks"), nb::arg("environment"),
      nb::arg("accelerators"), nb::arg("max_restarts"), nb::arg("timeout_ms"),
      nb::arg("payload").none(), nb::arg("on_output"), nb::arg("on_report"),
      nb::arg("on_restart"),
      nb::sig("def run_gang(command: collections.abc.Sequence[str], *, tasks: int, "
              "environment: collections.abc.Sequence[tuple[str, str]], "
              "accelerators: collections.abc.Sequence[collections.abc.Sequence[str]], "
              "max_restarts: int, timeout_ms: int, payload: bytes | None, "
              "on_output: collections.abc.Callable[[int, int, bool, bytes], object], "
              "on_report: collections.abc.Callable[[int, bytes], object], "
              "on_restart: collections.abc.Callable[[int, str], object]) -> GangEnd"));
}

void BindContext(nb::module_& m) {
  nb::class_<GangContext>(m, "GangContext", "headrace::GangContext.")
      .def_static(
          "join",
          [](const std::map<std::string, std::string>& environment) {
            return Released([&]() -> Result<std::unique_ptr<GangContext>> {
              const auto variable = [&](const char* name) {
                const auto found = environment.find(name);
                return found == environment.end() ? nullptr : found->second.c_str();
              };
              ARROW_ASSIGN_OR_RAISE(std::optional<GangPlace> place,
                                    GangPlace::Read(variable));
              if (!place) return std::unique_ptr<GangContext>();
              return GangContext::Join(std::move(*place));
            });
          },
          nb::arg("environment"),
          nb::sig("def join(environment: dict[str, str]) -> "
                  "GangContext | None"))
      .def_prop_ro("rank", [](const GangContext& self) { return self.place().rank; })
      .def_prop_ro("world_size",
                   [](const GangContext& self) { return self.place().world_size; })
      .def_prop_ro("attempt",
                   [](const GangContext& self) { return self.place().attempt; })
      .def_prop_ro("accelerators",
                   [](const GangContext& self) { return self.place().accelerators; })
      .def_prop_ro("payload",
                   [](const GangContext& self) -> std::optional<nb::bytes> {
                     if (!self.payload()) return std::nullopt;
                     return ToBytes(*self.payload());
                   })
      .def(
          "barrier",
          [](GangContext& self, std::optional<int64_t> timeout_ms) {
            Waiting([&](const GangContext::Interrupted& interrupted) {
              return self.Barrier(timeout_ms, interrupted);
            });
          },
          nb::arg("timeout_ms").none())
      .def(
          "all_gather",
          [](GangContext& self, const nb::bytes& value,
             std::optional<int64_t> timeout_ms) {
            const std::string_view view = View(value);
            std::vector<nb::bytes> values;
            for (const std::string& each :
                 Waiting([&](const GangContext::Interrupted& interrupted) {
                   return self.AllGather(view, timeout_ms, interrupted);
                 })) {
              values.push_back(ToBytes(each));
            }
            return values;
          },
          nb::arg("value"), nb::arg("timeout_ms").none())
      .def(
          "broadcast",
          [](GangContext& self, const nb::bytes& value, int root,
             std::optional<int64_t> timeout_ms) {
            const std::string_view view = View(value);
            return ToBytes(Waiting([&](const GangContext::Interrupted& interrupted) {
              return self.Broadcast(view, root, timeout_ms, interrupted);
            }));
          },
          nb::arg("value"), nb::arg("root"), nb::arg("timeout_ms").none())
      .def("report",
           [](GangContext& self, const nb::bytes& value) {
             const std::string_view view = View(value);
             Released([&] { return self.Report(view); });
           })
      .def("return_value",
           [](GangContext& self, const nb::bytes& value) {
             const std::string_view view = View(value);
             Released([&] { return self.Return(view); });
           })
      .def(
          "raise_exception",
          [](GangContext& self, const std::string& line, const nb::bytes& value,
             bool by_peer) {
            const std::string_view view = View(value);
            Released([&] { return self.Raise(line, view, by_peer); });
          },
          nb::arg("line"), nb::arg("value"), nb::kw_only(), nb::arg("by_peer"))
      .def("alive", &GangContext::Alive);
}

}  // namespace

void BindGang(nb::module_& m) {
  BindRun(m);
  BindContext(m);
  m.def(
      "discover_accelerators",
      [](const std::string& name, const std::string& command,
         const std::string& visible) {
        return Released([&] { return Discover({name, command, visible}); }).addresses;
      },
      nb::arg("name"), nb::kw_only(), nb::arg("command"), nb::arg("visible"));
  m.def(
      "share_accelerators",
      [](const std::string& name, const std::vector<std::string>& addresses, int tasks,
         double per_task) { return Unwrap(Share({name, addresses}, tasks, per_task)); },
      nb::arg("name"), nb::arg("addresses"), nb::kw_only(), nb::arg("tasks"),
      nb::arg("per_task"));
}

}  // namespace headrace::ext
