/// \file
/// Standard output and the terminal: writing, progress, and how text and sizes look.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace headrace::cli {

/// Ctrl-C ends the process at once with exit code 130; a reader of our output that goes
/// away (`headrace head t | head -1`) ends it silently.
void InstallSignalHandlers();

/// Writes to standard output. Does not return where that fails: with a line on standard
/// error, unless nobody reads our output any more.
void Write(std::string_view text);

/// One line on standard error.
void WriteError(std::string_view line);

/// Text from a file or a message, safe for a terminal: control characters are escaped.
std::string Printable(std::string_view text);

/// "1,234,567"
std::string Grouped(int64_t number);

/// "1.5 MiB"
std::string Sized(int64_t bytes);

/// A bar on standard error, drawn only if that is a terminal, at most ten times a second;
/// erased when it goes away.
class ProgressBar {
 public:
  explicit ProgressBar(std::string what);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(int64_t done, int64_t total);

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  bool shown_;
  bool drawn_ = false;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point next_ = begin_;
};

}  // namespace headrace::cli
