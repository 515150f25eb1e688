#include "errors.h"

#include <string>

namespace nb = nanobind;

namespace headrace::ext {

void Raise(const Status& status) {
  // An import of a module that is loaded is a look-up in a dict: nothing needs to be
  // kept.
  nb::module_ errors = nb::module_::import_("headrace.errors");
  const std::string kind(KindName(KindOf(status)));
  const std::string message = MessageOf(status);
  nb::object type = errors.attr(kind.c_str());
  // Messages hold paths and values of tables, which need not be UTF-8.
  nb::object text = nb::steal(PyUnicode_DecodeUTF8(
      message.data(), static_cast<Py_ssize_t>(message.size()), "backslashreplace"));
  nb::object exception = type(text);
  PyErr_SetObject(type.ptr(), exception.ptr());
  throw nb::python_error();
}

}  // namespace headrace::ext
