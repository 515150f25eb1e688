// Any bytes: they are refused as a loader's state, or are one that is written and read
// back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "plan/loader_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using headrace::plan::LoaderState;
  const std::string json(reinterpret_cast<const char*>(bytes), size);
  const auto state = LoaderState::FromJson(json);
  if (!state.ok()) return 0;
  const auto again = LoaderState::FromJson(state->ToJson());
  if (!again.ok() || !(*again == *state) || !state->DifferencesFrom(*again).empty())
    std::abort();
  return 0;
}
