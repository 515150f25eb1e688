// headrace_supervisor FD LAUNCHER_PID -- PROGRAM ARGUMENTS...
//
// Stands between a launcher and a task of a gang, so that nothing that the task starts
// outlives the launcher or the task, even if those are killed. src/gang/supervised.h is
// the other end of FD, a socket:
//   to the supervisor    'T': ask the task to end (SIGTERM to its process group);
//                        end of file: kill everything, at once.
//   to the launcher      one Notice an event, below.
// It links nothing of Headrace, so that it starts in a millisecond.
//
// A process group alone misses what leaves it (setsid), and PR_SET_PDEATHSIG misses
// grandchildren. So the supervisor is also their subreaper: whatever loses its parent
// becomes its child, until it has none.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "gang/notice.h"

namespace {

using headrace::gang::Notice;

// Kills the children of this process. False if there are none, or the kernel does not
// say.
bool KillChildren() {
  const std::string path = "/proc/self/task/" + std::to_string(getpid()) + "/children";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) text.append(buffer, n);
  close(fd);
  bool any = false;
  const char* at = text.c_str();
  char* end = nullptr;
  for (long pid; (pid = std::strtol(at, &end, 10)) > 0; at = end) {
    kill(static_cast<pid_t>(pid), SIGKILL);
    any = true;
  }
  return any;
}

// Kills and reaps all there is below this process. What a child leaves behind comes to
// this process, so that each round goes one level down.
void KillAll(pid_t group) {
  kill(-group, SIGKILL);
  while (KillChildren()) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) continue;
    usleep(1000);
  }
}

void Tell(int fd, Notice notice) {
  // A launcher that is gone is seen by the poll.
  [[maybe_unused]] const ssize_t sent = send(fd, &notice, sizeof(notice), MSG_NOSIGNAL);
}

[[noreturn]] void RunTask(int fd, pid_t supervisor, const sigset_t& mask,
                          char** command) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != supervisor) _exit(127);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  execvp(command[0], command);
  Tell(fd, {Notice::kNotStarted, errno});
  _exit(127);
}

// Reaps what ended. Returns whether the task is among it.
bool Reap(int fd, pid_t task) {
  bool ended = false;
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0;) {
    if (pid != task) continue;
    if (WIFSTOPPED(status)) {
      Tell(fd, {Notice::kStopped, WSTOPSIG(status)});
    } else if (WIFCONTINUED(status)) {
      Tell(fd, {Notice::kContinued, 0});
    } else if (WIFSIGNALED(status)) {
      Tell(fd, {Notice::kSignalled, WTERMSIG(status)});
      ended = true;
    } else {
      Tell(fd, {Notice::kExited, WEXITSTATUS(status)});
      ended = true;
    }
  }
  return ended;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5 || std::strcmp(argv[3], "--") != 0) return 2;
  const int fd = std::atoi(argv[1]);
  const auto launcher = static_cast<pid_t>(std::atol(argv[2]));
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return 2;

  setsid();  // a terminal's Ctrl-C is the launcher's
  sigset_t watched;
  sigset_t before;
  sigemptyset(&watched);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&watched, signal);
  sigprocmask(SIG_BLOCK, &watched, &before);
  sigemptyset(&before);
  const int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  // A second way to learn of the launcher's death, for when some process that it forked
  // holds its end of the socket.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (signals < 0 || getppid() != launcher) return 2;

  const pid_t self = getpid();
  const pid_t task = fork();
  if (task < 0) {
    Tell(fd, {Notice::kNotStarted, errno});
    return 1;
  }
  if (task == 0) RunTask(fd, self, before, argv + 4);
  setpgid(task, task);  // whichever of the two comes first
  Tell(fd, {Notice::kStarted, task});

  for (bool ended = false; !ended;) {
    pollfd fds[2] = {{fd, POLLIN, 0}, {signals, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents != 0) {
      char order = 0;
      const ssize_t n = recv(fd, &order, 1, MSG_DONTWAIT);
      if (n == 1 && order == 'T') {
        kill(-task, SIGTERM);
        kill(-task, SIGCONT);  // one that is stopped hears nothing else
      }
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) break;
    }
    signalfd_siginfo info;
    while (read(signals, &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGCHLD) ended = true;
    }
    ended = Reap(fd, task) || ended;
  }
  KillAll(task);
  return 0;
}
