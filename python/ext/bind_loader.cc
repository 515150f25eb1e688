#include <headrace/loader.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

/// How often a waiting consumer looks for Ctrl-C.
constexpr int64_t kSignalCheckMs = 100;

/// A Loader in the process that made it. Thread-safe: calls wait for each other, except
/// `Close`.
class ProcessLoader {
 public:
  explicit ProcessLoader(std::unique_ptr<Loader> loader)
      : loader_(std::move(loader)), process_(getpid()) {}

  ~ProcessLoader() {
    if (getpid() != process_) {
      // A child of fork has none of the loader's threads: to join them would wait for
      // ever.
      static_cast<void>(loader_.release());
      return;
    }
    nb::gil_scoped_release released;
    loader_.reset();
  }
  ProcessLoader(const ProcessLoader&) = delete;
  ProcessLoader& operator=(const ProcessLoader&) = delete;

  /// Runs `call(loader)` with the GIL released, one at a time.
  template <typename Call>
  auto With(Call&& call) {
    CheckProcess();
    return Released([&] {
      std::lock_guard lock(mutex_);
      return call(*loader_);
    });
  }

  void Close() {
    CheckProcess();
    nb::gil_scoped_release released;
    loader_->Close();
  }

  nb::object Next(Export to) {
    while (!With([](Loader& loader) { return loader.WaitReady(kSignalCheckMs); })) {
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }
    std::optional<TensorBatch> batch = With([](Loader& loader) { return loader.Next(); });
    if (!batch) return nb::none();
    return ToPython(std::move(*batch), to);
  }

 private:
  void CheckProcess() const {
    if (getpid() == process_) return;
    Raise(Error(
        ErrorKind::kUnsupported,
        "a loader of process " + std::to_string(process_) + " was used in its fork " +
            std::to_string(getpid()) +
            ", where its threads do not exist: make the loader in the process that uses "
            "it"));
  }

  std::unique_ptr<Loader> loader_;
  pid_t process_;
  std::mutex mutex_;
};

std::unique_ptr<ProcessLoader> Make(
    const Dataset& dataset, std::optional<int64_t> batch_size,
    std::optional<bool> shuffle, std::optional<uint64_t> seed,
    std::optional<int64_t> epoch, std::optional<int> streams,
    std::optional<int64_t> shuffle_window_rows, std::optional<int> rank,
    std::optional<int> world_size, std::optional<bool> drop_last,
    std::optional<bool> pad_last, std::optional<int> num_threads,
    std::optional<int64_t> memory_budget, bool arrow) {
  LoaderOptions options;
  options.batch_size = batch_size.value_or(options.batch_size);
  options.shuffle = shuffle;
  options.seed = seed;
  options.epoch = epoch.value_or(options.epoch);
  options.streams = streams;
  options.shuffle_window_rows = shuffle_window_rows;
  options.rank = rank.value_or(options.rank);
  options.world_size = world_size.value_or(options.world_size);
  options.drop_last = drop_last.value_or(options.drop_last);
  options.pad_last = pad_last.value_or(options.pad_last);
  options.num_threads = num_threads.value_or(options.num_threads);
  options.memory_budget = memory_budget.value_or(options.memory_budget);
  options.arrow = arrow;
  return std::make_unique<ProcessLoader>(
      Released([&] { return Loader::Make(dataset, options); }));
}

}  // namespace

void BindLoader(nb::module_& m) {
  nb::enum_<Export>(m, "Export", "How tensors leave C++.")
      .value("NUMPY", Export::kNumpy)
      .value("DLPACK", Export::kDLPack);

  nb::class_<ProcessLoader>(m, "Loader", "headrace::Loader, bound to its process.")
      .def_static("make", &Make, nb::arg("dataset"), nb::kw_only(),
                  nb::arg("batch_size") = nb::none(), nb::arg("shuffle") = nb::none(),
                  nb::arg("seed") = nb::none(), nb::arg("epoch") = nb::none(),
                  nb::arg("streams") = nb::none(),
                  nb::arg("shuffle_window_rows") = nb::none(),
                  nb::arg("rank") = nb::none(), nb::arg("world_size") = nb::none(),
                  nb::arg("drop_last") = nb::none(), nb::arg("pad_last") = nb::none(),
                  nb::arg("num_threads") = nb::none(),
                  nb::arg("memory_budget") = nb::none(), nb::arg("arrow") = false)
      .def("next", &ProcessLoader::Next, nb::arg("to"),
           nb::sig("def next(self, to: Export) -> tuple[int, list[tuple[str, "
                   "typing.Any]]] | None"),
           "(rows, [(name, column), ...]), or None at the end of the epoch.")
      .def("restart",
           [](ProcessLoader& self) {
             self.With([](Loader& loader) { return loader.Restart(); });
           })
      .def("steps",
           [](ProcessLoader& self) {
             return self.With([](Loader& loader) { return loader.Steps(); });
           })
      .def(
          "set_epoch",
          [](ProcessLoader& self, int64_t epoch) {
            self.With([&](Loader& loader) { return loader.SetEpoch(epoch); });
          },
          nb::arg("epoch"))
      .def("state_json",
           [](ProcessLoader& self) {
             return self.With([](Loader& loader) { return loader.StateJson(); });
           })
      .def(
          "load_state_json",
          [](ProcessLoader& self, const std::string& json) {
            self.With([&](Loader& loader) { return loader.LoadStateJson(json); });
          },
          nb::arg("json"))
      .def_prop_ro("epoch",
                   [](ProcessLoader& self) {
                     return self.With([](Loader& loader) -> Result<int64_t> {
                       return loader.epoch();
                     });
                   })
      .def("stats_json",
           [](ProcessLoader& self) {
             return self.With([](Loader& loader) -> Result<std::string> {
               return loader.stats().ToJson();
             });
           })
      .def("__str__",
           [](ProcessLoader& self) {
             return self.With(
                 [](Loader& loader) -> Result<std::string> { return loader.ToString(); });
           })
      .def("close", &ProcessLoader::Close);
}

}  // namespace headrace::ext
