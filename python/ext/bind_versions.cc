#include <headrace/versions.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <map>
#include <string>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

using StorageOptions = std::map<std::string, std::string>;

OpenOptions With(const StorageOptions& storage_options) {
  OpenOptions options;
  options.storage_options = storage_options;
  return options;
}

}  // namespace

// Reports cross as JSON.
void BindVersions(nb::module_& m) {
  m.def(
      "history",
      [](const std::string& uri, const StorageOptions& storage_options) {
        return ToJson(Released([&] { return History(uri, With(storage_options)); }));
      },
      nb::arg("uri"), nb::arg("storage_options"));
  m.def(
      "diff",
      [](const std::string& uri, int64_t from, int64_t to,
         const StorageOptions& storage_options) {
        return Released([&] { return Diff(uri, from, to, With(storage_options)); })
            .ToJson();
      },
      nb::arg("uri"), nb::arg("start"), nb::arg("end"), nb::arg("storage_options"));
  m.def(
      "restore",
      [](const std::string& uri, int64_t version, const StorageOptions& storage_options) {
        return Released([&] { return Restore(uri, version, With(storage_options)); });
      },
      nb::arg("uri"), nb::arg("version"), nb::arg("storage_options"));
  m.def(
      "vacuum",
      [](const std::string& uri, int64_t older_than_ms, bool dry_run,
         const StorageOptions& storage_options) {
        return Released([&] {
                 return Vacuum(uri, older_than_ms, dry_run, With(storage_options));
               })
            .ToJson();
      },
      nb::arg("uri"), nb::arg("older_than_ms"), nb::arg("dry_run"),
      nb::arg("storage_options"));
}

}  // namespace headrace::ext
