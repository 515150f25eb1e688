// Real processes: tasks are shell scripts.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <headrace/gang.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/cpp/lake.h"

namespace headrace {
namespace {

GangOptions Shell(const std::string& script, int tasks) {
  return {.command = {"/bin/sh", "-c", script},
          .tasks = tasks,
          .environment = {{"PATH", "/usr/bin:/bin"}}};
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A process that ended and that nobody has reaped is gone, too.
bool IsGone(const std::string& pid) {
  const std::string stat = ReadFile("/proc/" + pid + "/stat");
  return stat.empty() || stat[stat.rfind(')') + 2] == 'Z';
}

TEST(Gang, EveryTaskRunsOnce) {
  std::map<int, std::string> out;
  std::map<int, std::string> err;
  GangCallbacks callbacks;
  callbacks.on_output = [&](int attempt, int rank, GangStream stream,
                            std::string_view lines) {
    EXPECT_EQ(attempt, 0);
    (stream == GangStream::kOut ? out : err)[rank] += lines;
    return Status::OK();
  };
  const auto report =
      RunGang(Shell("echo $RANK of $WORLD_SIZE; printf end >&2", 3), callbacks);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->results.empty());
  EXPECT_TRUE(report->restarts.empty());
  EXPECT_EQ(out, (std::map<int, std::string>{
                     {0, "0 of 3\n"}, {1, "1 of 3\n"}, {2, "2 of 3\n"}}));
  EXPECT_EQ(err, (std::map<int, std::string>{{0, "end"}, {1, "end"}, {2, "end"}}));
}

TEST(Gang, TheFirstFailureEndsAll) {
  const struct {
    std::string failing;
    std::string told;
  } cases[] = {{"echo why >&2; exit 7", "rank 1 of 3 ended with exit code 7\n  why"},
               {"kill -9 $$", "rank 1 of 3 was killed by SIGKILL"},
               {"kill -SEGV $$", "rank 1 of 3 was killed by SIGSEGV"}};
  for (const auto& [failing, told] : cases) {
    // The others would run for ever, also when asked to end: by then they are killed.
    GangOptions options =
        Shell("if [ $RANK = 1 ]; then " + failing + "; fi; trap '' TERM; sleep 1000", 3);
    options.grace_ms = 100;
    const Status failed = RunGang(options, {}).status();
    EXPECT_EQ(KindOf(failed), ErrorKind::kPeerFailed) << failed;
    EXPECT_NE(failed.message().find(told), std::string::npos) << failed;
  }
}

TEST(Gang, TasksAreAskedToEndFirst) {
  const testing::TempDir dir;
  const Status failed =
      RunGang(Shell("trap 'echo asked >" + (dir / "asked") +
                        "; exit 0' TERM\n"
                        "if [ $RANK = 0 ]; then while ! [ -e " +
                        (dir / "ready") + " ]; do sleep 0.01; done; exit 1; fi\n" +
                        "touch " + (dir / "ready") + "; while :; do sleep 0.01; done",
                    2),
              {})
          .status();
  EXPECT_NE(failed.message().find("rank 0 of 2 ended with exit code 1"),
            std::string::npos)
      << failed;
  EXPECT_EQ(ReadFile(dir / "asked"), "asked\n");
}

TEST(Gang, StartsAgainAllTogether) {
  const testing::TempDir dir;
  GangOptions options = Shell("echo $RANK >> " + (dir / "ran") +
                                  "; if [ $HEADRACE_GANG_ATTEMPT = 2 ]; then exit 0; fi; "
                                  "if [ $RANK = 0 ]; then exit 1; fi; sleep 1000",
                              2);
  options.max_restarts = 5;
  std::vector<int> attempts;
  GangCallbacks callbacks;
  callbacks.on_restart = [&](int attempt, const std::string& why) {
    attempts.push_back(attempt);
    return Status::OK();
  };
  const auto report = RunGang(options, callbacks);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(attempts, (std::vector<int>{1, 2}));
  ASSERT_EQ(report->restarts.size(), 2);
  EXPECT_NE(report->restarts[0].find("rank 0 of 2"), std::string::npos);
  std::string ran = ReadFile(dir / "ran");
  std::erase(ran, '\n');
  std::sort(ran.begin(), ran.end());
  EXPECT_EQ(ran, "000111");
}

TEST(Gang, NothingThatATaskStartedOutlivesIt) {
  const testing::TempDir dir;
  // In a session of its own, and without a parent.
  const std::string escape = "setsid sh -c 'sleep 1000 & echo $! > " + (dir / "$RANK") +
                             "; mv " + (dir / "$RANK") + " " + (dir / "pid-$RANK") +
                             "' & while ! [ -e " + (dir / "pid-$RANK") +
                             " ]; do sleep 0.01; done; ";
  for (const char* end : {"exit 0", "exit 1"}) {
    ARROW_UNUSED(RunGang(Shell(escape + end, 2), {}));
    for (const char* name : {"pid-0", "pid-1"}) {
      std::string pid = ReadFile(dir / name);
      ASSERT_FALSE(pid.empty());
      pid.pop_back();
      EXPECT_TRUE(IsGone(pid)) << pid;
      std::filesystem::remove(dir / name);
    }
  }
}

TEST(Gang, StopsWhenAsked) {
  arrow::StopSource source;
  GangCallbacks callbacks;
  callbacks.on_output = [&](int, int, GangStream, std::string_view) {
    source.RequestStop();
    return Status::OK();
  };
  const Status stopped =
      RunGang(Shell("echo here; sleep 1000", 2), callbacks, source.token()).status();
  EXPECT_EQ(KindOf(stopped), ErrorKind::kCancelled) << stopped;
  callbacks.on_output = [](int, int, GangStream, std::string_view) {
    return Error(ErrorKind::kDenied, "by the callback");
  };
  EXPECT_EQ(KindOf(RunGang(Shell("echo here; sleep 1000", 2), callbacks).status()),
            ErrorKind::kDenied);
}

TEST(Gang, ATaskThatStaysStoppedHasFailed) {
  GangOptions options = Shell("if [ $RANK = 1 ]; then kill -STOP $$; fi; sleep 1000", 2);
  options.heartbeat_timeout_ms = 50;
  const Status failed = RunGang(options, {}).status();
  EXPECT_NE(failed.message().find("rank 1 of 2 has been stopped (SIGSTOP)"),
            std::string::npos)
      << failed;
}

TEST(Gang, ProgramsThatAreNotThereAreNotFound) {
  GangOptions options = Shell("", 2);
  options.command = {"/no/such/program"};
  const Status failed = RunGang(options, {}).status();
  EXPECT_EQ(KindOf(failed), ErrorKind::kNotFound) << failed;
  EXPECT_NE(failed.message().find("/no/such/program"), std::string::npos);
  options.command = {"/"};
  EXPECT_EQ(KindOf(RunGang(options, {}).status()), ErrorKind::kInvalidArgument);
}

TEST(Gang, OptionsAreChecked) {
  const auto kind = [](const auto& change) {
    GangOptions options = Shell("exit 0", 1);
    change(&options);
    return KindOf(RunGang(options, {}).status());
  };
  EXPECT_EQ(kind([](GangOptions* o) { o->command.clear(); }),
            ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind([](GangOptions* o) { o->tasks = 0; }), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind([](GangOptions* o) { o->max_restarts = -1; }),
            ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind([](GangOptions* o) { o->timeout_ms = 0; }), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind([](GangOptions* o) { o->accelerators = {{"0"}, {"1"}}; }),
            ErrorKind::kInvalidArgument);
}

// A task of this process' own: the places of a gang whose tasks wait until told to end.
class Joined : public ::testing::Test {
 protected:
  void Launch(int tasks, std::optional<std::string> payload = {},
              int64_t heartbeat_timeout_ms = 60'000) {
    ASSERT_EQ(mkfifo((dir_ / "end").c_str(), 0600), 0);
    GangOptions options =
        Shell("env > " + (dir_ / "new-$RANK") + "; mv " + (dir_ / "new-$RANK") + " " +
                  (dir_ / "env-$RANK") + "; read line < " + (dir_ / "end"),
              tasks);
    options.timeout_ms = 60'000;
    options.heartbeat_timeout_ms = heartbeat_timeout_ms;
    options.payload = std::move(payload);
    launcher_ = std::thread([this, options] { report_ = RunGang(options, callbacks_); });
    tasks_ = tasks;
  }
  GangPlace Place(int rank) {
    const std::string path = dir_ / ("env-" + std::to_string(rank));
    while (!std::filesystem::exists(path)) std::this_thread::yield();
    std::map<std::string, std::string> variables;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      const size_t equals = line.find('=');
      if (equals != std::string::npos) {
        variables[line.substr(0, equals)] = line.substr(equals + 1);
      }
    }
    return **GangPlace::Read([&](const char* name) {
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    });
  }
  // Every task's shell reads one line, or sees the end of the file.
  Result<GangReport> End() {
    for (int rank = 0; rank < tasks_; ++rank) Place(rank);
    const int fd = open((dir_ / "end").c_str(), O_RDWR);  // which does not wait
    const std::string lines(static_cast<size_t>(tasks_) * 2, '\n');
    EXPECT_GT(write(fd, lines.data(), lines.size()), 0);
    launcher_.join();
    close(fd);
    return report_;
  }

  testing::TempDir dir_;
  GangCallbacks callbacks_;
  std::thread launcher_;
  int tasks_ = 0;
  Result<GangReport> report_ = Status::UnknownError("not run");
};

TEST_F(Joined, MeetsAndReturns) {
  std::vector<std::string> reports;
  callbacks_.on_report = [&](int rank, std::string value) {
    reports.push_back(std::to_string(rank) + value);
    return Status::OK();
  };
  Launch(2, "the payload");
  auto zero = *GangContext::Join(Place(0));
  auto one = *GangContext::Join(Place(1));
  EXPECT_EQ(zero->payload(), "the payload");
  std::thread other([&] {
    EXPECT_TRUE(one->Barrier().ok());
    EXPECT_EQ(one->AllGather("b")->at(0), "a");
    EXPECT_EQ(*one->Broadcast("not asked", 0), "root's");
    EXPECT_TRUE(one->Return("one").ok());
  });
  EXPECT_TRUE(zero->Barrier().ok());
  EXPECT_EQ(*zero->AllGather("a"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*zero->Broadcast("root's", 0), "root's");
  EXPECT_EQ(KindOf(zero->Broadcast("", 2).status()), ErrorKind::kInvalidArgument);
  EXPECT_TRUE(zero->Report("!").ok());
  EXPECT_TRUE(zero->Return("zero").ok());
  other.join();
  const auto report = End();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->results, (std::vector<std::string>{"zero", "one"}));
  EXPECT_EQ(reports, std::vector<std::string>{"0!"});
}

TEST_F(Joined, ValuesMayBeLarge) {
  Launch(2);
  auto zero = *GangContext::Join(Place(0));
  auto one = *GangContext::Join(Place(1));
  const std::string large(size_t{20} << 20, 'x');
  std::thread other([&] { EXPECT_EQ(one->AllGather("")->at(0), large); });
  EXPECT_EQ(zero->AllGather(large)->at(0), large);
  other.join();
  EXPECT_TRUE(End().ok());
}

TEST_F(Joined, IsInterrupted) {
  Launch(2);
  auto zero = *GangContext::Join(Place(0));
  auto one = *GangContext::Join(Place(1));
  const Status stopped =
      zero->Barrier({}, [] { return Error(ErrorKind::kCancelled, "by the caller"); });
  EXPECT_EQ(KindOf(stopped), ErrorKind::kCancelled);
  // It has come all the same: what the other gets is complete, and the next one too.
  EXPECT_TRUE(one->Barrier().ok());
  std::thread other([&] { EXPECT_TRUE(one->Barrier().ok()); });
  EXPECT_TRUE(zero->Barrier().ok());
  other.join();
  EXPECT_TRUE(End().ok());
}

TEST_F(Joined, IsHeardOfOrHasFailed) {
  Launch(1, {}, /*heartbeat_timeout_ms=*/200);
  GangPlace place = Place(0);
  place.heartbeat_ms = 1'000'000;  // as of a task that the kernel has frozen
  const auto silent = *GangContext::Join(place);
  launcher_.join();
  EXPECT_EQ(KindOf(report_.status()), ErrorKind::kPeerFailed);
  EXPECT_NE(report_.status().message().find("rank 0 of 1 has not been heard of for"),
            std::string::npos)
      << report_.status();
}

TEST_F(Joined, NeedsItsSecret) {
  Launch(1);
  GangPlace place = Place(0);
  GangPlace wrong = place;
  for (const std::string& secret :
       {std::string(), std::string("x"), std::string(place.secret.size(), 'x'),
        std::string(5000, 'x')}) {
    wrong.secret = secret;
    const Status refused = GangContext::Join(wrong).status();
    // One that is too long for any secret is not even read.
    const ErrorKind kind =
        secret.size() < 1000 ? ErrorKind::kDenied : ErrorKind::kPeerFailed;
    EXPECT_EQ(KindOf(refused), kind) << secret.size() << ": " << refused;
  }
  const auto joined = *GangContext::Join(place);
  EXPECT_EQ(KindOf(GangContext::Join(place).status()), ErrorKind::kConflict);
  place.rank = 7;
  EXPECT_EQ(KindOf(GangContext::Join(place).status()), ErrorKind::kInvalidArgument);
  EXPECT_TRUE(End().ok());
  place.rank = 0;
  EXPECT_EQ(KindOf(GangContext::Join(place).status()), ErrorKind::kPeerFailed);
}

}  // namespace
}  // namespace headrace
