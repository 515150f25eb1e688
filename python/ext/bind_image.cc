#include <headrace/image.h>
#include <nanobind/stl/string.h>

#include <string>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {

void BindImage(nb::module_& m) {
  m.def(
      "complete_image_ops",
      [](const std::string& json) {
        return ImageOpsToJson(Unwrap(ImageOpsFromJson(json)));
      },
      nb::arg("json"), "JSON of image operations, checked, with every parameter.");
  m.def(
      "image_ops_text",
      [](const std::string& json) { return ToString(Unwrap(ImageOpsFromJson(json))); },
      nb::arg("json"), "Image operations as Python writes them.");
}

}  // namespace headrace::ext
