#include <headrace/lease.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <map>
#include <string>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {

void BindLease(nb::module_& m) {
  m.attr("LEASE_HEARTBEAT_MS") = kLeaseHeartbeatMs;
  nb::class_<ExclusiveLease>(m, "ExclusiveLease", "headrace::ExclusiveLease.")
      .def_static(
          "take",
          [](const std::string& uri,
             const std::map<std::string, std::string>& storage_options) {
            return Released([&] { return ExclusiveLease::Take(uri, storage_options); });
          },
          nb::arg("uri"), nb::arg("storage_options"))
      .def_prop_ro("display", &ExclusiveLease::Display)
      .def("renew",
           [](ExclusiveLease& lease) { Released([&] { return lease.Renew(); }); })
      .def("release",
           [](ExclusiveLease& lease) { Released([&] { return lease.Release(); }); });
}

}  // namespace headrace::ext
