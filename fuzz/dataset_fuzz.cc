// Any bytes: they are a dataset's JSON or are refused as one, by words and not by a
// throw.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "pipeline/dataset_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string json(reinterpret_cast<const char*>(bytes), size);
  const auto description = headrace::pipeline::DatasetDescription::FromJson(json);
  if (!description.ok() && description.status().message().empty()) std::abort();
  return 0;
}
