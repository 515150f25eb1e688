#include <headrace/loader.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
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
constexpr std::chrono::milliseconds kSignalCheck{100};

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
      [[maybe_unused]] const Loader* lost = loader_.release();
      return;
    }
    const WithoutGil released;
    loader_.reset();
  }
  ProcessLoader(const ProcessLoader&) = delete;
  ProcessLoader& operator=(const ProcessLoader&) = delete;

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

  template <typename Call>
  auto Locked(Call&& call) {
    return Released([&] {
      std::lock_guard lock(mutex_);
      return call(*loader_);
    });
  }

 public:
  /// Runs `call(loader)` with the GIL released, one at a time.
  template <typename Call>
  auto With(Call&& call) {
    CheckProcess();
    return Locked(call);
  }

  void Close() {
    CheckProcess();
    closed_ = true;
    whole_.reset();
    const WithoutGil released;
    loader_->Close();
  }

  /// Does what ends the pass under way, and says which one is next.
  template <typename Call>
  int64_t EndPass(Call&& call) {
    whole_.reset();
    return With([&](Loader& loader) -> Result<int64_t> {
      ARROW_RETURN_NOT_OK(call(loader));
      ended_ = false;
      return ++pass_;
    });
  }

  /// The next batch of a pass, or None at its end, however many threads ask.
  nb::object Next(Export to, int64_t pass) {
    std::optional<BatchPart> part = NextPart(pass);
    if (!part) return nb::none();
    if (to != Export::kWhole) return ToPython(part->Batch(), to);
    if (!whole_.is_valid() || nb::cast<WholeBatch&>(whole_).batch != part->whole) {
      whole_ = nb::cast(WholeBatch{part->whole});
    }
    nb::object next = nb::make_tuple(part->rows, part->first, whole_);
    if (part->first + part->rows >= part->whole->rows) whole_.reset();
    return next;
  }

  nb::object EmptyBatch(Export to) {
    TensorBatch batch = With([](Loader& loader) { return loader.EmptyBatch(); });
    if (to != Export::kWhole) return ToPython(std::move(batch), to);
    return nb::make_tuple(
        0, 0, WholeBatch{std::make_shared<const TensorBatch>(std::move(batch))});
  }

 private:
  std::optional<BatchPart> NextPart(int64_t pass) {
    CheckProcess();
    if (closed_)
      Raise(Error(ErrorKind::kConflict, "the loader is closed: make another one"));
    std::unique_lock turn(turn_, std::defer_lock);
    WaitFor([&] {
      const WithoutGil released;
      return turn.try_lock_for(kSignalCheck);
    });
    if (IsOver(pass)) return std::nullopt;
    WaitFor([&] {
      // To wait starts a pass, which an iterator that is over must not: it would use up a
      // position that was loaded since.
      return Locked([&](Loader& loader) -> Result<bool> {
        return pass != pass_ ? true : loader.WaitReady(kSignalCheck.count());
      });
    });
    if (IsOver(pass)) return std::nullopt;
    return Locked([&](Loader& loader) -> Result<std::optional<BatchPart>> {
      if (pass != pass_) return Stale();
      ARROW_ASSIGN_OR_RAISE(auto part, loader.NextPart());
      ended_ = !part;  // under the lock: it is this pass's end, not that of the next one
      return part;
    });
  }

  /// Asks until it is so, and looks for Ctrl-C between.
  template <typename Condition>
  void WaitFor(Condition&& is_so) {
    while (!is_so()) {
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
    }
  }

  /// Whether the pass has ended. Raises if it is another one's turn, or nobody's.
  bool IsOver(int64_t pass) {
    if (closed_) {
      Raise(Error(ErrorKind::kCancelled,
                  "the loader was closed while its next batch was waited for"));
    }
    if (pass != pass_) Raise(Stale());
    return ended_;
  }

  static Status Stale() {
    return Error(
        ErrorKind::kConflict,
        "this iterator has ended: iter(), set_epoch or load_state_dict was called "
        "on its loader since; a loader has one pass at a time, so make a second "
        "loader");
  }

  std::unique_ptr<Loader> loader_;
  pid_t process_;
  std::mutex mutex_;
  std::timed_mutex turn_;  // of consumers
  std::atomic<bool> closed_{false};
  std::atomic<int64_t> pass_{0};
  std::atomic<bool> ended_{false};
  nb::object whole_;  // of the last part, if there are more; under the GIL
};

std::unique_ptr<ProcessLoader> Make(
    const Dataset& dataset, std::optional<int64_t> batch_size,
    std::optional<bool> shuffle, std::optional<uint64_t> seed,
    std::optional<int64_t> epoch, std::optional<int> streams,
    std::optional<int64_t> shuffle_window_rows, std::optional<int> rank,
    std::optional<int> world_size, std::optional<bool> drop_last,
    std::optional<bool> pad_last, std::optional<int> num_threads,
    std::optional<int64_t> memory_budget, bool arrow, std::string trace,
    const nb::object& progress) {
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
  options.trace = std::move(trace);
  if (!progress.is_none()) {
    // A handle: the loader calls it, and copies it, within this call alone, without the
    // GIL.
    options.progress = [call = nb::handle(progress)](int64_t done, int64_t total) {
      const nb::gil_scoped_acquire acquired;
      try {
        call(done, total);
      } catch (nb::python_error& error) {
        error.discard_as_unraisable("the progress of a loader");
      }
    };
  }
  return std::make_unique<ProcessLoader>(
      Released([&] { return Loader::Make(dataset, options); }));
}

}  // namespace

void BindLoader(nb::module_& m) {
  nb::enum_<Export>(m, "Export", "How tensors leave C++.")
      .value("NUMPY", Export::kNumpy)
      .value("DLPACK", Export::kDLPack)
      .value("WHOLE", Export::kWhole);

  nb::class_<ProcessLoader>(m, "Loader", "headrace::Loader, bound to its process.")
      .def_static("make", &Make, nb::arg("dataset"), nb::kw_only(),
                  nb::arg("batch_size") = nb::none(), nb::arg("shuffle") = nb::none(),
                  nb::arg("seed") = nb::none(), nb::arg("epoch") = nb::none(),
                  nb::arg("streams") = nb::none(),
                  nb::arg("shuffle_window_rows") = nb::none(),
                  nb::arg("rank") = nb::none(), nb::arg("world_size") = nb::none(),
                  nb::arg("drop_last") = nb::none(), nb::arg("pad_last") = nb::none(),
                  nb::arg("num_threads") = nb::none(),
                  nb::arg("memory_budget") = nb::none(), nb::arg("arrow") = false,
                  nb::arg("trace") = "", nb::arg("progress") = nb::none())
      .def("next", &ProcessLoader::Next, nb::arg("to"), nb::arg("number"),
           nb::sig("def next(self, to: Export, number: int) -> typing.Any | None"),
           "(rows, [(name, column), ...]) of a pass, or as WHOLE (rows, first row, "
           "whole); "
           "None at its end.")
      .def("empty_batch", &ProcessLoader::EmptyBatch, nb::arg("to"),
           nb::sig("def empty_batch(self, to: Export) -> typing.Any"),
           "A batch of no rows, as next gives it.")
      .def(
          "batch_rows",
          [](ProcessLoader& self) {
            return self.With([](Loader& loader) -> Result<std::optional<int64_t>> {
              return loader.BatchRows();
            });
          },
          "Rows of every batch, or None where some may have fewer.")
      .def(
          "restart",
          [](ProcessLoader& self) {
            return self.EndPass([](Loader& loader) { return loader.Restart(); });
          },
          "Begins a pass and returns its number.")
      .def("steps",
           [](ProcessLoader& self) {
             return self.With([](Loader& loader) { return loader.Steps(); });
           })
      .def(
          "set_epoch",
          [](ProcessLoader& self, int64_t epoch) {
            self.EndPass([&](Loader& loader) { return loader.SetEpoch(epoch); });
          },
          nb::arg("epoch"))
      .def("state_json",
           [](ProcessLoader& self) {
             return self.With([](Loader& loader) { return loader.StateJson(); });
           })
      .def(
          "load_state_json",
          [](ProcessLoader& self, const std::string& json) {
            self.EndPass([&](Loader& loader) { return loader.LoadStateJson(json); });
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
