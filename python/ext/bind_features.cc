#include <headrace/features.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

Features Fit(const Dataset& dataset, const std::vector<std::string>& columns,
             std::optional<int> num_threads, std::optional<int64_t> vocabulary_max,
             const nb::object& progress) {
  FitOptions options;
  options.num_threads = num_threads;
  options.vocabulary_max = vocabulary_max.value_or(options.vocabulary_max);
  if (!progress.is_none()) {
    // A handle: it is called, and copied, within this call alone, without the GIL.
    options.progress = [call = nb::handle(progress)](int64_t done, int64_t total) {
      const nb::gil_scoped_acquire acquired;
      try {
        call(done, total);
      } catch (nb::python_error& error) {
        error.discard_as_unraisable("the progress of fit_features");
      }
    };
  }
  return Released([&] { return FitFeatures(dataset, columns, options); });
}

}  // namespace

void BindFeatures(nb::module_& m) {
  nb::class_<Features>(m, "Features", "headrace::Features.")
      .def_static(
          "from_json",
          [](const std::string& json) { return Unwrap(Features::FromJson(json)); },
          nb::arg("json"))
      .def_static("fit", &Fit, nb::arg("dataset"), nb::arg("columns"),
                  nb::arg("num_threads") = nb::none(),
                  nb::arg("vocabulary_max") = nb::none(),
                  nb::arg("progress") = nb::none())
      .def("to_json", &Features::ToJson)
      .def("__str__", &Features::ToString);
}

}  // namespace headrace::ext
