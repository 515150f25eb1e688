#include <arrow/buffer.h>
#include <headrace/objects.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {

void BindObjects(nb::module_& m) {
  nb::class_<ObjectFolder>(m, "ObjectFolder", "headrace::ObjectFolder.")
      .def_static(
          "open",
          [](const std::string& uri,
             const std::map<std::string, std::string>& storage_options) {
            return Released([&] { return ObjectFolder::Open(uri, storage_options); });
          },
          nb::arg("uri"), nb::arg("storage_options"))
      .def_prop_ro("display", &ObjectFolder::Display)
      .def(
          "read",
          [](const ObjectFolder& folder, const std::string& name) {
            const std::shared_ptr<arrow::Buffer> bytes =
                Released([&] { return folder.Read(name); });
            return nb::bytes(bytes->data(), static_cast<size_t>(bytes->size()));
          },
          nb::arg("name"))
      .def(
          "put",
          [](const ObjectFolder& folder, const std::string& name,
             const nb::bytes& bytes) {
            const std::string_view view(bytes.c_str(), bytes.size());
            Released([&] { return folder.Put(name, view); });
          },
          nb::arg("name"), nb::arg("bytes"))
      .def(
          "list",
          [](const ObjectFolder& folder, const std::string& prefix) {
            std::vector<std::tuple<std::string, int64_t>> entries;
            for (const ObjectEntry& entry :
                 Released([&] { return folder.List(prefix); })) {
              entries.emplace_back(entry.name, entry.bytes);
            }
            return entries;
          },
          nb::arg("prefix"), "Pairs of name and bytes.")
      .def(
          "remove",
          [](const ObjectFolder& folder, const std::string& name) {
            Released([&] { return folder.Remove(name); });
          },
          nb::arg("name"));
}

}  // namespace headrace::ext
