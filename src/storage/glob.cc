#include "storage/glob.h"

namespace headrace::storage {
namespace {

// Matches one character against a bracket expression that begins at `pattern[0] == '['`;
// sets `length` to the expression's length, 0 if it is none.
bool MatchBracket(std::string_view pattern, char c, size_t* length) {
  size_t i = 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  bool found = false;
  bool first = true;
  for (; i < pattern.size() && (pattern[i] != ']' || first); first = false) {
    char low = pattern[i++];
    char high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      high = pattern[i + 1];
      i += 2;
    }
    found = found || (low <= c && c <= high);
  }
  *length = i < pattern.size() ? i + 1 : 0;
  return found != negated;
}

}  // namespace

bool IsGlob(std::string_view path) {
  return path.find_first_of("*?[") != std::string_view::npos;
}

std::string LiteralPrefix(std::string_view pattern) {
  const size_t wild = pattern.find_first_of("*?[");
  const size_t slash = pattern.substr(0, wild).rfind('/');
  if (slash == std::string_view::npos) return "";
  return std::string(pattern.substr(0, slash == 0 ? 1 : slash));
}

bool GlobMatches(std::string_view pattern, std::string_view path) {
  while (!pattern.empty()) {
    if (pattern.starts_with("**")) {
      pattern.remove_prefix(2);
      // "**/" also matches no directory at all.
      if (pattern.starts_with('/') && GlobMatches(pattern.substr(1), path)) return true;
      for (size_t skip = 0; skip <= path.size(); ++skip) {
        if (GlobMatches(pattern, path.substr(skip))) return true;
      }
      return false;
    }
    if (pattern[0] == '*') {
      pattern.remove_prefix(1);
      for (size_t skip = 0; skip <= path.size(); ++skip) {
        if (GlobMatches(pattern, path.substr(skip))) return true;
        if (skip < path.size() && path[skip] == '/') return false;
      }
      return false;
    }
    if (path.empty()) return false;
    size_t length = 1;
    if (pattern[0] == '[' && path[0] != '/') {
      const bool matched = MatchBracket(pattern, path[0], &length);
      if (length > 0 && !matched) return false;
      if (length == 0) {  // an open bracket that is never closed stands for itself
        if (path[0] != '[') return false;
        length = 1;
      }
    } else if (pattern[0] == '?' ? path[0] == '/' : pattern[0] != path[0]) {
      return false;
    }
    pattern.remove_prefix(length);
    path.remove_prefix(1);
  }
  return path.empty();
}

}  // namespace headrace::storage
