#include <headrace/cache.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <map>
#include <string>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {

// Reports cross as JSON.
void BindCache(nb::module_& m) {
  m.attr("CACHE_HEARTBEAT_MS") = kCacheHeartbeatMs;
  nb::class_<CachedTable>(m, "CachedTable", "headrace::CachedTable.")
      .def_ro("uri", &CachedTable::uri)
      .def_ro("directory", &CachedTable::directory)
      .def_ro("lease", &CachedTable::lease)
      .def_ro("rows", &CachedTable::rows)
      .def_ro("bytes", &CachedTable::bytes);
  nb::class_<TableCache>(m, "TableCache", "headrace::TableCache.")
      .def_static(
          "open",
          [](const std::string& uri,
             const std::map<std::string, std::string>& storage_options) {
            return Released([&] { return TableCache::Open(uri, storage_options); });
          },
          nb::arg("uri"), nb::arg("storage_options"))
      .def_prop_ro("uri", &TableCache::uri)
      .def(
          "begin",
          [](const TableCache& cache, const std::string& application,
             const std::string& application_id) {
            return Released([&] { return cache.Begin({application, application_id}); });
          },
          nb::arg("application"), nb::arg("application_id"))
      .def(
          "publish",
          [](const TableCache& cache, const CachedTable& table, const std::string& key) {
            return Released([&] { return cache.Publish(table, key); });
          },
          nb::arg("table"), nb::arg("key"))
      .def(
          "find",
          [](const TableCache& cache, const std::string& key,
             const std::string& application, const std::string& application_id) {
            return Released(
                [&] { return cache.Find(key, {application, application_id}); });
          },
          nb::arg("key"), nb::arg("application"), nb::arg("application_id"))
      .def(
          "heartbeat",
          [](const TableCache& cache, const CachedTable& table) {
            Released([&] { return cache.Heartbeat(table); });
          },
          nb::arg("table"))
      .def(
          "keep",
          [](const TableCache& cache, const CachedTable& table) {
            Released([&] { return cache.Keep(table); });
          },
          nb::arg("table"))
      .def(
          "release",
          [](const TableCache& cache, const CachedTable& table) {
            Released([&] { return cache.Release(table); });
          },
          nb::arg("table"))
      .def(
          "remove",
          [](const TableCache& cache, const std::string& directory, bool force) {
            Released([&] { return cache.Remove(directory, force); });
          },
          nb::arg("directory"), nb::kw_only(), nb::arg("force"))
      .def("list",
           [](const TableCache& cache) {
             return ToJson(Released([&] { return cache.List(); }));
           })
      .def(
          "collect",
          [](const TableCache& cache, bool dry_run) {
            return Released([&] { return cache.Collect(dry_run); }).ToJson();
          },
          nb::kw_only(), nb::arg("dry_run"));
}

}  // namespace headrace::ext
