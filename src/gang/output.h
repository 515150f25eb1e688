/// \file
/// What a task prints, line by line.
#pragma once

#include <deque>
#include <string>
#include <string_view>

namespace headrace::gang {

/// Cuts a stream into whole lines.
class LineCutter {
 public:
  /// A line that grows beyond this is handed on as it is.
  static constexpr size_t kLineBytesMax = size_t{64} << 10;

  /// Whole lines, each with its end, that are there now.
  std::string Append(std::string_view bytes);
  /// What is left: a line without its end.
  std::string Flush();

 private:
  std::string rest_;
};

/// The last lines of a task, for when it fails.
class Tail {
 public:
  static constexpr size_t kLines = 20;
  static constexpr size_t kLineBytes = 500;

  void Add(std::string_view lines);
  /// Each line with two spaces before it; empty if nothing was printed.
  std::string Text() const;

 private:
  std::deque<std::string> lines_;
};

}  // namespace headrace::gang
