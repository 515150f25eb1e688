#include "cache/process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace headrace::cache {
namespace {

TEST(Process, ThisOneIsHereAndNotGone) {
  const Process here = Process::This();
  EXPECT_EQ(here.pid, getpid());
  EXPECT_FALSE(here.host.empty());
  EXPECT_TRUE(here.IsLocal());
  EXPECT_FALSE(here.IsGone());
  EXPECT_EQ(here, Process::This());
}

TEST(Process, AnotherOfTheSameNumberIsGone) {
  Process before = Process::This();
  before.started += "0";
  EXPECT_TRUE(before.IsLocal());
  EXPECT_TRUE(before.IsGone());
}

TEST(Process, AKilledChildIsGoneBeforeAndAfterItsParentHearsOfIt) {
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  const pid_t child = fork();
  if (child == 0) {
    const std::string started = Process::This().started;
    if (write(told[1], started.data(), started.size()) < 0) _exit(1);
    for (;;) pause();
  }
  ASSERT_GT(child, 0);
  char started[64] = {};
  ASSERT_GT(read(told[0], started, sizeof(started) - 1), 0);
  Process process = Process::This();
  process.pid = child;
  process.started = started;
  EXPECT_TRUE(process.IsLocal());
  EXPECT_FALSE(process.IsGone());
  kill(child, SIGKILL);
  siginfo_t ended = {};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(process.IsGone());
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(process.IsGone());
  close(told[0]);
  close(told[1]);
}

TEST(Process, NeedsHostBootAndNamespaceToBeLocal) {
  for (const auto part : {&Process::host, &Process::boot_id, &Process::pid_namespace}) {
    Process other = Process::This();
    other.*part += "x";
    EXPECT_FALSE(other.IsLocal());
  }
}

}  // namespace
}  // namespace headrace::cache
