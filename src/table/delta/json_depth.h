/// \file
/// How deep JSON may be: what goes down into it does so on the stack.
#pragma once

#include <string_view>

namespace headrace::table::delta {

/// Whether arrays and objects lie inside of one another more than 100 deep.
inline bool IsTooDeep(std::string_view json) {
  constexpr int kDepthMax = 100;
  int depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDepthMax) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace headrace::table::delta
