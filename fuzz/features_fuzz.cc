// Any bytes: they are features' JSON or are refused as such, by words and not by a throw.
// What was read is written and read back the same.
#include <headrace/features.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string json(reinterpret_cast<const char*>(bytes), size);
  const auto features = headrace::Features::FromJson(json);
  if (!features.ok()) {
    if (features.status().message().empty()) std::abort();
    return 0;
  }
  const auto again = headrace::Features::FromJson(features->ToJson());
  if (!again.ok() || *again != *features) std::abort();
  return 0;
}
