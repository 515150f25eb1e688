// Any bytes as the filter that a dataset's JSON holds: it is an expression or is refused,
// and so is binding it to a schema.
#include <arrow/api.h>
#include <arrow/compute/expression.h>
#include <arrow/compute/initialize.h>
#include <arrow/util/base64.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "expression/filter.h"

namespace {

void Try(std::string_view text, const arrow::Schema& schema) {
  const auto expression = headrace::expression::DeserializeExpression(text);
  if (!expression.ok()) {
    if (expression.status().message().empty()) std::abort();
    return;
  }
  const auto bound = headrace::expression::Filter::Bind(*expression, schema);
  if (!bound.ok() && bound.status().message().empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const bool initialized = arrow::compute::Initialize().ok();
  if (!initialized) std::abort();
  static const auto schema = arrow::schema({arrow::field("i", arrow::int32()),
                                            arrow::field("x", arrow::float64()),
                                            arrow::field("s", arrow::utf8())});
  // As text, and as what text would stand for, so that mutations reach the inside.
  const std::string_view given(reinterpret_cast<const char*>(bytes), size);
  Try(given, *schema);
  Try(arrow::util::base64_encode(given), *schema);
  return 0;
}
