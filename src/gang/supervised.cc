#include "gang/supervised.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "gang/pointers.h"

namespace headrace::gang {
namespace {

constexpr int kSupervisorFd = 3;

// It lies beside this very library.
std::string SupervisorPath() {
  constexpr const char* kName = "headrace_supervisor";
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&SupervisorPath), &info) == 0) return kName;
  const std::string self = info.dli_fname;
  const size_t slash = self.rfind('/');
  return slash == std::string::npos ? kName : self.substr(0, slash + 1) + kName;
}

Status SystemError(const char* what, int code) {
  const bool exhausted =
      code == EMFILE || code == ENFILE || code == ENOMEM || code == EAGAIN;
  return Error(exhausted ? ErrorKind::kResourceExhausted : ErrorKind::kInternal,
               std::string("a task of the gang could not be started: ") + what + ": " +
                   std::strerror(code));
}

// The child's ends are put to numbers up to kSupervisorFd one after the other: none may
// be there before, as they are where this process has closed its standard output.
Result<Descriptor> Above(int fd) {
  const Descriptor low(fd);
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, kSupervisorFd + 1);
  if (high < 0) return SystemError("dup", errno);
  return Descriptor(high);
}

Status MakePipe(Descriptor* ours, Descriptor* theirs) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return SystemError("pipe", errno);
  *ours = Descriptor(fds[0]);
  ARROW_ASSIGN_OR_RAISE(*theirs, Above(fds[1]));
  fcntl(ours->get(), F_SETFL, O_NONBLOCK);
  return Status::OK();
}

}  // namespace

Result<Supervised> Supervised::Start(const std::vector<std::string>& command,
                                     const std::vector<std::string>& environment) {
  Supervised task;
  Descriptor out;
  Descriptor err;
  ARROW_RETURN_NOT_OK(MakePipe(&task.out_, &out));
  ARROW_RETURN_NOT_OK(MakePipe(&task.err_, &err));
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return SystemError("socketpair", errno);
  }
  task.notices_ = Descriptor(pair[0]);
  ARROW_ASSIGN_OR_RAISE(const Descriptor theirs, Above(pair[1]));

  const std::string path = SupervisorPath();
  std::vector<std::string> arguments = {path, std::to_string(kSupervisorFd),
                                        std::to_string(getpid()), "--"};
  arguments.insert(arguments.end(), command.begin(), command.end());

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err.get(), 2);
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), kSupervisorFd);
  // Tasks begin with signals as a shell's children have them, whatever this process does.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGHUP}) sigaddset(&signals, signal);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int code = posix_spawn(&pid, path.c_str(), &actions, &attributes,
                               Pointers(arguments).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return SystemError(path.c_str(), code);
  task.pid_ = Pid(pid);
  return task;
}

Supervised::~Supervised() { Kill(); }

std::vector<Notice> Supervised::Read() {
  std::vector<Notice> notices;
  while (!ended_ && notices_.open()) {
    Notice notice;
    const ssize_t n = recv(notices_.get(), &notice, sizeof(notice), MSG_DONTWAIT);
    if (n == sizeof(notice)) {
      notices.push_back(notice);
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      break;
    } else {
      ended_ = true;
    }
  }
  return notices;
}

void Supervised::Terminate() {
  if (notices_.open()) send(notices_.get(), "T", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Supervised::Kill() {
  notices_.Close();
  ended_ = true;
  pid_.Reap();
}

void Supervised::Pid::Reap() {
  if (pid_ < 0) return;
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
}

}  // namespace headrace::gang
