// Any bytes as a schema's JSON, and as the metadata of a column: refused with words, or
// what is written and read back the same.
#include <arrow/util/key_value_metadata.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "schema/field.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using headrace::Schema;
  const std::string json(reinterpret_cast<const char*>(bytes), size);
  const auto schema = Schema::FromJson(json);
  if (schema.ok()) {
    const auto again = Schema::FromJson(schema->ToJson());
    if (!again.ok() || !(*again == *schema)) std::abort();
    const auto arrow = schema->ToArrow();
    if (!arrow.ok()) return 0;  // dimensions that Arrow's types cannot have
    const auto found = Schema::FromArrow(**arrow);
    if (!found.ok() || !(*found == *schema)) std::abort();
  }
  const auto column =
      arrow::field("x", arrow::binary(), true,
                   arrow::key_value_metadata({headrace::schema::kFieldMetadata}, {json}));
  const auto field = headrace::schema::DeclaredField(*column);
  if (!field.ok() && headrace::MessageOf(field.status()).empty()) std::abort();
  return 0;
}
