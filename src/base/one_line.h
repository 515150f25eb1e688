/// \file
/// Messages of other libraries, fit to stand inside of ours.
#pragma once

#include <string>
#include <string_view>

namespace headrace::base {

/// The text with line breaks as spaces, and none at its end.
inline std::string OneLine(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  std::string line(text);
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return line;
}

}  // namespace headrace::base
