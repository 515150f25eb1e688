#include <fcntl.h>
#include <headrace/accelerators.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "gang/descriptor.h"
#include "gang/pointers.h"

extern char** environ;

namespace headrace {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kToolTimeout(30);

// What a tool prints. Nothing if it is not on PATH.
Result<std::optional<std::string>> Output(const std::vector<std::string>& command) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return Error(ErrorKind::kResourceExhausted, std::string("pipe: ") + strerror(errno));
  }
  const gang::Descriptor ours(fds[0]);
  gang::Descriptor theirs(fds[1]);
  const std::vector<char*> arguments = gang::Pointers(command);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), 1);
  pid_t pid = -1;
  const int code =
      posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (code == ENOENT) return std::nullopt;
  if (code != 0) {
    return Error(ErrorKind::kUnavailable, command[0] + ": " + std::strerror(code));
  }
  theirs.Close();
  std::string text;
  bool late = false;
  const Clock::time_point deadline = Clock::now() + kToolTimeout;
  for (std::array<char, 4096> buffer;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd readable = {ours.get(), POLLIN, 0};
    const int ready =
        poll(&readable, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    late = ready <= 0;
    const ssize_t n = late ? 0 : read(ours.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  if (late) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (late || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Error(ErrorKind::kUnavailable,
                 command[0] +
                     (late ? " did not end within 30 s" : " failed, and printed: ") +
                     text.substr(0, 500));
  }
  return text;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    line.erase(std::remove_if(line.begin(), line.end(), ::isspace), line.end());
    if (!line.empty()) lines.push_back(line);
    at = end + 1;
  }
  return lines;
}

// amd-smi list --json: [{"gpu": 0, ...}, ...]
std::vector<std::string> AmdSmi(const std::string& text) {
  std::vector<std::string> addresses;
  const json list = json::parse(text, nullptr, /*allow_exceptions=*/false);
  for (const json& each : list.is_array() ? list : json::array()) {
    if (each.is_object() && each.contains("gpu") && each["gpu"].is_number_integer()) {
      addresses.push_back(std::to_string(each["gpu"].get<int64_t>()));
    }
  }
  return addresses;
}

// rocm-smi --showid --json: {"card0": {...}, "card1": {...}}
std::vector<std::string> RocmSmi(const std::string& text) {
  std::vector<std::string> addresses;
  const json cards = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!cards.is_object()) return addresses;
  for (const auto& [name, card] : cards.items()) {
    if (name.starts_with("card")) addresses.push_back(name.substr(4));
  }
  return addresses;
}

struct Tool {
  std::vector<std::string> command;
  std::vector<std::string> (*addresses)(const std::string& text);
};

Result<std::vector<std::string>> FindGpus() {
  const std::array<Tool, 3> tools = {
      Tool{{"nvidia-smi", "--query-gpu=index", "--format=csv,noheader"}, Lines},
      Tool{{"amd-smi", "list", "--json"}, AmdSmi},
      Tool{{"rocm-smi", "--showid", "--json"}, RocmSmi}};
  for (const Tool& tool : tools) {
    // A tool that is there and fails has no device to speak of: a driver is not loaded.
    const auto text = Output(tool.command);
    if (!text.ok() || !text->has_value()) continue;
    std::vector<std::string> addresses = tool.addresses(**text);
    if (!addresses.empty()) return addresses;
  }
  return std::vector<std::string>();
}

std::string Listed(const std::vector<std::string>& addresses) {
  if (addresses.empty()) return "none";
  std::string text;
  for (const std::string& each : addresses) text += (text.empty() ? "" : ", ") + each;
  return text;
}

}  // namespace

std::string Accelerators::ToJson() const {
  // As Spark's own example scripts print it.
  return json({{"name", name}, {"addresses", addresses}}).dump();
}

Result<Accelerators> Accelerators::FromJson(const std::string& text) {
  const json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool good = value.is_object() && value.contains("name") &&
                    value["name"].is_string() && value.contains("addresses") &&
                    value["addresses"].is_array() &&
                    std::all_of(value["addresses"].begin(), value["addresses"].end(),
                                [](const json& each) { return each.is_string(); });
  if (!good) {
    return Error(ErrorKind::kInvalidArgument,
                 "found '" + text.substr(0, 200) +
                     R"(', expected {"name": "gpu", "addresses": ["0", "1"]})");
  }
  return Accelerators{value["name"].get<std::string>(),
                      value["addresses"].get<std::vector<std::string>>()};
}

Result<Accelerators> Discover(const DiscoverOptions& options) {
  Accelerators found{options.name, {}};
  if (!options.command.empty()) {
    ARROW_ASSIGN_OR_RAISE(const auto text, Output({options.command}));
    if (!text) {
      return Error(ErrorKind::kNotFound,
                   "the discovery command " + options.command + " is not there");
    }
    auto parsed = Accelerators::FromJson(*text);
    if (!parsed.ok()) {
      return WithContext(parsed.status(), "the output of " + options.command);
    }
    if (parsed->name != options.name) {
      return Error(ErrorKind::kInvalidArgument, options.command + " finds '" +
                                                    parsed->name + "', expected '" +
                                                    options.name + "'");
    }
    found = std::move(*parsed);
  } else if (options.name == "gpu") {
    ARROW_ASSIGN_OR_RAISE(found.addresses, FindGpus());
  } else {
    return Error(ErrorKind::kInvalidArgument,
                 "accelerators named '" + options.name +
                     "' are found by a discovery command alone: give one");
  }
  if (options.visible != "all") {
    std::set<std::string> visible;
    std::string rest = options.visible;
    std::replace(rest.begin(), rest.end(), ',', '\n');
    for (std::string& each : Lines(rest)) visible.insert(std::move(each));
    std::erase_if(found.addresses,
                  [&](const std::string& each) { return !visible.contains(each); });
  }
  return found;
}

Result<std::vector<std::vector<std::string>>> Share(const Accelerators& found, int tasks,
                                                    double per_task) {
  const bool whole = per_task >= 1 && per_task == std::floor(per_task);
  const bool part = per_task > 0 && per_task <= 0.5;
  if (!whole && !part) {
    return Error(ErrorKind::kInvalidArgument,
                 json(per_task).dump() + " " + found.name +
                     " a task, expected a whole number, or at most 0.5 of one");
  }
  const auto there = static_cast<int64_t>(found.addresses.size());
  const auto each = whole ? static_cast<int64_t>(per_task) : 1;
  // 0.1 is a little more than a tenth.
  const auto sharing = whole ? 1 : static_cast<int64_t>(1 / per_task + 1e-9);
  const int64_t needed = whole ? tasks * each : (tasks + sharing - 1) / sharing;
  if (needed > there) {
    return Error(ErrorKind::kResourceExhausted,
                 "the gang needs " + std::to_string(needed) + " " + found.name + " for " +
                     std::to_string(tasks) + " tasks, found " + std::to_string(there) +
                     " (" + Listed(found.addresses) +
                     "): ask for fewer, or for a part of one each");
  }
  std::vector<std::vector<std::string>> shares;
  for (int64_t task = 0; task < tasks; ++task) {
    const auto begin = found.addresses.begin() + (whole ? task * each : task / sharing);
    shares.emplace_back(begin, begin + each);
  }
  return shares;
}

}  // namespace headrace
