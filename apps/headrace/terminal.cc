#include "terminal.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "command.h"

namespace headrace::cli {
namespace {

constexpr int kBarCells = 30;
constexpr auto kRedrawEvery = std::chrono::milliseconds(100);

extern "C" void OnInterrupt(int) {
  // Leaves the shell's prompt on a line of its own, if a bar was there.
  if (isatty(STDERR_FILENO)) {
    [[maybe_unused]] ssize_t ignored = write(STDERR_FILENO, "\n", 1);
  }
  _exit(kExitInterrupted);
}

}  // namespace

void InstallSignalHandlers() {
  struct sigaction interrupt = {};
  interrupt.sa_handler = OnInterrupt;
  sigemptyset(&interrupt.sa_mask);
  sigaction(SIGINT, &interrupt, nullptr);
  // Sockets of object stores break, too, and that must not end the process: Write looks
  // at its own errors instead.
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigemptyset(&ignore.sa_mask);
  sigaction(SIGPIPE, &ignore, nullptr);
}

void Write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(STDOUT_FILENO, text.data(), text.size());
    if (wrote >= 0) {
      text.remove_prefix(static_cast<size_t>(wrote));
    } else if (errno == EPIPE) {
      _exit(kExitBrokenPipe);
    } else if (errno != EINTR) {
      WriteError(std::string("headrace: Unavailable: cannot write to standard output: ") +
                 std::strerror(errno));
      _exit(kExitUnavailable);
    }
  }
}

void WriteError(std::string_view line) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

std::string Printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out;
}

std::string Grouped(int64_t number) {
  std::string digits = std::to_string(number);
  const size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string Sized(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto amount = static_cast<double>(bytes);
  size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < std::size(kUnits); ++unit) amount /= 1024;
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", amount,
                kUnits[unit]);
  return text;
}

ProgressBar::ProgressBar(std::string what)
    : what_(std::move(what)), shown_(isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::Update(int64_t done, int64_t total) {
  const auto now = Clock::now();
  if (!shown_ || total <= 0 || now < next_) return;
  next_ = now + kRedrawEvery;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const int cells = static_cast<int>(share * kBarCells);
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  std::string line = what_ + " [" + std::string(cells, '#') +
                     std::string(kBarCells - cells, '.') + "] " + Grouped(done) + "/" +
                     Grouped(total);
  char rest[32] = "";
  if (done > 0) {
    std::snprintf(rest, sizeof(rest), ", %.0f s left", seconds / share - seconds);
  }
  std::fprintf(stderr, "\r%s%s\033[K", line.c_str(), rest);
  drawn_ = true;
}

}  // namespace headrace::cli
