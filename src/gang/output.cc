#include "gang/output.h"

#include <utility>

namespace headrace::gang {

std::string LineCutter::Append(std::string_view bytes) {
  rest_.append(bytes);
  const size_t end = rest_.rfind('\n');
  if (end == std::string::npos) {
    return rest_.size() > kLineBytesMax ? Flush() : std::string();
  }
  std::string lines = rest_.substr(0, end + 1);
  rest_.erase(0, end + 1);
  return lines;
}

std::string LineCutter::Flush() { return std::exchange(rest_, {}); }

void Tail::Add(std::string_view lines) {
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    lines_.emplace_back(lines.substr(0, end).substr(0, kLineBytes));
    if (lines_.size() > kLines) lines_.pop_front();
    if (end == std::string_view::npos) return;
    lines.remove_prefix(end + 1);
  }
}

std::string Tail::Text() const {
  std::string text;
  for (const std::string& line : lines_) text += "\n  " + line;
  return text;
}

}  // namespace headrace::gang
