#include <nanobind/nanobind.h>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

NB_MODULE(_native, m) {
  // Daemon threads keep what they use when the interpreter exits.
  nb::set_leak_warnings(false);
  m.doc() = "Headrace's C++ core. Private: use the package headrace.";
  headrace::ext::BindBatch(m);
  headrace::ext::BindSchema(m);
  headrace::ext::BindDataset(m);
  headrace::ext::BindCache(m);
  headrace::ext::BindCatalog(m);
  headrace::ext::BindFeatures(m);
  headrace::ext::BindFilesystem(m);
  headrace::ext::BindGang(m);
  headrace::ext::BindImage(m);
  headrace::ext::BindLoader(m);
  headrace::ext::BindLease(m);
  headrace::ext::BindObjects(m);
  headrace::ext::BindStagedWrite(m);
  headrace::ext::BindVersions(m);
  headrace::ext::BindWrite(m);
  nb::module_::import_("atexit").attr("register")(
      nb::cpp_function(&headrace::ext::PrepareExit));
}
