#include <nanobind/nanobind.h>

#include "bind.h"

NB_MODULE(_native, m) {
  m.doc() = "Headrace's C++ core. Private: use the package headrace.";
  headrace::ext::BindBatch(m);
  headrace::ext::BindDataset(m);
  headrace::ext::BindLoader(m);
}
