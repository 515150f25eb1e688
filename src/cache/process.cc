#include "cache/process.h"

#include <unistd.h>

#include <climits>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace headrace::cache {
namespace {

// State and start of a process, as /proc/<pid>/stat has them; empty if it is not there.
struct Stat {
  char state = ' ';
  std::string started = {};

  static Stat Of(int64_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string text(std::istreambuf_iterator<char>(file), {});
    // The name, in parentheses, may hold anything; the state is the third field, and the
    // start the 22nd.
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return {};
    std::istringstream fields(text.substr(name_end + 1));
    Stat stat;
    std::string field;
    fields >> stat.state;
    for (int i = 4; i <= 22 && fields >> field; ++i) stat.started = field;
    return stat;
  }
};

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

}  // namespace

Process Process::This() {
  Process process;
  process.host = HostName();
  process.pid = getpid();
  process.started = Stat::Of(process.pid).started;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> process.boot_id;
  std::error_code error;
  process.pid_namespace =
      std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
  return process;
}

bool Process::IsLocal() const {
  const Process here = This();
  return !started.empty() && !boot_id.empty() && !pid_namespace.empty() &&
         host == here.host && boot_id == here.boot_id &&
         pid_namespace == here.pid_namespace;
}

bool Process::IsGone() const {
  const Stat now = Stat::Of(pid);
  // A zombie has ended, and waits for its parent to hear of it.
  return now.started != started || now.state == 'Z' || now.state == 'X';
}

}  // namespace headrace::cache
