/// \file
/// Strings as posix_spawn takes them.
#pragma once

#include <string>
#include <vector>

namespace headrace::gang {

/// Into the strings, and a null at the end.
inline std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& each : strings) {
    pointers.push_back(const_cast<char*>(each.c_str()));  // which does not change them
  }
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace headrace::gang
