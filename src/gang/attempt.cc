#include "gang/attempt.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/uuid.h"
#include "gang/local_socket.h"

namespace headrace::gang {
namespace {

constexpr int kTickMs = 50;
// How long others are listened to after the first failure, so that the cause is told and
// not what it did to others.
constexpr int64_t kSettleMs = 200;

int Cores() {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

// "SIGKILL (out of memory, perhaps)"
std::string SignalText(int signal) {
  const char* name = sigabbrev_np(signal);
  return (name == nullptr ? "signal " + std::to_string(signal)
                          : std::string("SIG") + name) +
         (signal == SIGKILL ? " (by the kernel, perhaps, for want of memory)" : "");
}

}  // namespace

struct Attempt::Polled {
  enum Kind { kListener, kNotices, kOut, kErr, kConnection };

  Kind kind = kListener;
  int rank = 0;
  Connection* connection = nullptr;
};

Attempt::Attempt(const GangOptions& options, const GangCallbacks& callbacks, int number)
    : options_(options),
      callbacks_(callbacks),
      rendezvous_(options.tasks),
      tasks_(options.tasks) {
  meeting_.address = "headrace-gang-" + base::RandomUuid();
  meeting_.secret = base::RandomUuid() + base::RandomUuid();
  meeting_.attempt = number;
  meeting_.cores = Cores();
}

Result<Outcome> Attempt::Run(const arrow::StopToken& stop) {
  ARROW_RETURN_NOT_OK(Start());
  while (!AllEnded()) ARROW_RETURN_NOT_OK(Poll(stop));

  Outcome outcome;
  if (!failures_.empty()) {
    outcome.failure = *std::min_element(
        failures_.begin(), failures_.end(),
        [](const Failure& a, const Failure& b) { return a.cause < b.cause; });
    if (!outcome.failure->exception) {
      outcome.failure->text += tasks_[outcome.failure->rank].tail.Text();
    }
  } else if (options_.payload) {
    for (Task& task : tasks_) outcome.results.push_back(std::move(*task.result));
  }
  return outcome;
}

Status Attempt::Start() {
  ARROW_ASSIGN_OR_RAISE(listener_, ListenLocal(meeting_.address));
  ARROW_ASSIGN_OR_RAISE(meeting_.ports, FreePorts(Meeting::PortsOf(options_.tasks)));
  for (int rank = 0; rank < options_.tasks; ++rank) {
    ARROW_ASSIGN_OR_RAISE(
        tasks_[rank].process,
        Supervised::Start(options_.command, TaskEnvironment(options_, meeting_, rank)));
  }
  return Status::OK();
}

Status Attempt::Poll(const arrow::StopToken& stop) {
  std::vector<pollfd> fds;
  std::vector<Polled> polled;
  const auto add = [&](int fd, int events, Polled what) {
    fds.push_back({fd, static_cast<int16_t>(events), 0});
    polled.push_back(what);
  };
  add(listener_.get(), POLLIN, {Polled::kListener});
  for (int rank = 0; rank < options_.tasks; ++rank) {
    Supervised& process = *tasks_[rank].process;
    if (!process.ended()) add(process.notices().get(), POLLIN, {Polled::kNotices, rank});
    if (process.out().open()) add(process.out().get(), POLLIN, {Polled::kOut, rank});
    if (process.err().open()) add(process.err().get(), POLLIN, {Polled::kErr, rank});
  }
  for (const auto& connection : connections_) {
    add(connection->fd(), POLLIN | (connection->sending() ? POLLOUT : 0),
        {Polled::kConnection, connection->rank, connection.get()});
  }
  if (poll(fds.data(), fds.size(), kTickMs) < 0 && errno != EINTR) {
    return Error(ErrorKind::kInternal, std::string("poll: ") + std::strerror(errno));
  }
  for (size_t i = 0; i < fds.size(); ++i) {
    if (fds[i].revents == 0) continue;
    switch (polled[i].kind) {
      case Polled::kListener:
        ARROW_RETURN_NOT_OK(Accept());
        break;
      case Polled::kNotices:
        ARROW_RETURN_NOT_OK(OnNotices(polled[i].rank));
        break;
      case Polled::kOut:
        ARROW_RETURN_NOT_OK(OnOutput(polled[i].rank, GangStream::kOut));
        break;
      case Polled::kErr:
        ARROW_RETURN_NOT_OK(OnOutput(polled[i].rank, GangStream::kErr));
        break;
      case Polled::kConnection:
        ARROW_RETURN_NOT_OK(OnConnection(polled[i].connection));
        break;
    }
  }
  std::erase_if(connections_,
                [](const auto& each) { return each->closing && !each->sending(); });
  ARROW_RETURN_NOT_OK(OnTime());
  if (callbacks_.on_tick) ARROW_RETURN_NOT_OK(callbacks_.on_tick());
  return stop.Poll();
}

Status Attempt::Accept() {
  for (;;) {
    Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.open()) return Status::OK();
    connections_.push_back(std::make_unique<Connection>(std::move(socket)));
  }
}

Status Attempt::OnNotices(int rank) {
  for (const Notice& notice : tasks_[rank].process->Read()) {
    ARROW_RETURN_NOT_OK(OnNotice(rank, notice));
  }
  return tasks_[rank].process->ended() ? OnEnd(rank) : Status::OK();
}

Status Attempt::OnNotice(int rank, const Notice& notice) {
  Task& task = tasks_[rank];
  switch (notice.event) {
    case Notice::kStarted:
      task.pid = notice.value;
      return Status::OK();
    case Notice::kNotStarted: {
      const bool missing = notice.value == ENOENT || notice.value == ENOTDIR;
      return Error(missing ? ErrorKind::kNotFound : ErrorKind::kInvalidArgument,
                   "the program of the gang cannot be run: " + options_.command[0] +
                       ": " + std::strerror(notice.value));
    }
    case Notice::kStopped:
      task.stopped_ms = NowMs();
      return Status::OK();
    case Notice::kContinued:
      task.stopped_ms.reset();
      return Status::OK();
    case Notice::kExited:
    case Notice::kSignalled:
      task.end = notice;
      // The others learn of it from what it last said, which came before.
      if (Connection* connection = ConnectionOf(rank)) {
        ARROW_RETURN_NOT_OK(OnConnection(connection));
      }
      break;
  }
  if (task.end->event == Notice::kSignalled) {
    Fail(Failure::kSignalled, rank, "was killed by " + SignalText(task.end->value));
  } else if (task.end->value != 0) {
    Fail(Failure::kExited, rank,
         "ended with exit code " + std::to_string(task.end->value));
  } else if (options_.payload && !task.result) {
    Fail(Failure::kEarlyEnd, rank, "ended, with exit code 0, before it returned");
  }
  Send(rendezvous_.Leave(rank));
  return Status::OK();
}

Status Attempt::OnEnd(int rank) {
  Task& task = tasks_[rank];
  if (!task.end) {
    // It was killed, and its task with it, but not what that may have started.
    if (task.pid > 0) kill(-task.pid, SIGKILL);
    task.end = Notice{Notice::kSignalled, SIGKILL};
    Fail(Failure::kSignalled, rank, "was lost: its supervisor was killed");
    Send(rendezvous_.Leave(rank));
  }
  // All that wrote into them is gone, so what is there is all.
  for (const GangStream stream : {GangStream::kOut, GangStream::kErr}) {
    Descriptor& pipe =
        stream == GangStream::kOut ? task.process->out() : task.process->err();
    if (pipe.open()) ARROW_RETURN_NOT_OK(OnOutput(rank, stream));
    LineCutter& cutter = stream == GangStream::kOut ? task.out : task.err;
    ARROW_RETURN_NOT_OK(Hand(rank, stream, cutter.Flush()));
    pipe.Close();
  }
  task.process->Kill();
  return Status::OK();
}

Status Attempt::OnOutput(int rank, GangStream stream) {
  Task& task = tasks_[rank];
  const bool is_out = stream == GangStream::kOut;
  Descriptor& pipe = is_out ? task.process->out() : task.process->err();
  std::array<char, size_t{64} << 10> buffer;
  while (pipe.open()) {
    const ssize_t n = read(pipe.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status::OK();
    if (n == 0) {
      pipe.Close();
      return Status::OK();
    }
    ARROW_RETURN_NOT_OK(Hand(
        rank, stream,
        (is_out ? task.out : task.err).Append({buffer.data(), static_cast<size_t>(n)})));
  }
  return Status::OK();
}

Status Attempt::Hand(int rank, GangStream stream, const std::string& lines) {
  if (lines.empty()) return Status::OK();
  tasks_[rank].tail.Add(lines);
  if (!callbacks_.on_output) return Status::OK();
  return callbacks_.on_output(meeting_.attempt, rank, stream, lines);
}

Status Attempt::OnConnection(Connection* connection) {
  connection->Flush();
  if (connection->closing) return Status::OK();
  const bool open = connection->Read();
  for (;;) {
    auto next =
        connection->frames().Next(connection->rank < 0 ? kHelloBytesMax : kFrameBytesMax);
    if (!next.ok()) {
      connection->closing = true;
      return Status::OK();
    }
    if (!next->has_value()) break;
    ARROW_RETURN_NOT_OK(OnFrame(connection, **next));
    if (connection->closing) return Status::OK();
  }
  if (connection->rank >= 0) tasks_[connection->rank].heard_ms = NowMs();
  if (!open) connection->closing = true;
  return Status::OK();
}

Status Attempt::OnFrame(Connection* connection, const Frame& frame) {
  if (connection->rank < 0) return OnHello(connection, frame);
  const int rank = connection->rank;
  Task& task = tasks_[rank];
  FrameReader reader(frame.body);
  switch (frame.type) {
    case FrameType::kCollect: {
      Arrival arrival;
      arrival.sequence = reader.Number();
      arrival.operation = static_cast<Operation>(reader.Number());
      arrival.root = static_cast<int>(reader.Number());
      arrival.timeout_ms = static_cast<int64_t>(reader.Number());
      arrival.deadline_ms = NowMs() + arrival.timeout_ms;
      arrival.value = reader.Bytes();
      Send(rendezvous_.Arrive(rank, std::move(arrival)));
      return Status::OK();
    }
    case FrameType::kReport:
      return callbacks_.on_report
                 ? callbacks_.on_report(rank, std::string(reader.Bytes()))
                 : Status::OK();
    case FrameType::kReturn:
      task.result = std::string(reader.Bytes());
      return Status::OK();
    case FrameType::kRaise: {
      const bool by_peer = reader.Number() != 0;
      const std::string line(reader.Bytes());
      Fail(by_peer ? Failure::kPeerFailed : Failure::kRaised, rank, "raised " + line,
           GangException{rank, std::string(reader.Bytes())});
      task.raised = true;
      return Status::OK();
    }
    case FrameType::kHung:
      Fail(Failure::kSilent, rank,
           "has run no Python for " + Seconds(static_cast<int64_t>(reader.Number())) +
               ", as if a call held the GIL for ever");
      return Status::OK();
    default:
      return Status::OK();
  }
}

Status Attempt::OnHello(Connection* connection, const Frame& frame) {
  FrameReader reader(frame.body);
  const std::string secret(reader.Bytes());
  const uint64_t rank = reader.Number();
  const auto refuse = [&](ErrorKind kind, const std::string& why) {
    connection->Send(
        std::make_shared<const std::string>(FrameWriter(FrameType::kRefused)
                                                .Number(static_cast<uint64_t>(kind))
                                                .Bytes(why)
                                                .Finish()));
    connection->closing = true;
    return Status::OK();
  };
  if (frame.type != FrameType::kHello || !reader.ok() ||
      !SecretsEqual(secret, meeting_.secret)) {
    return refuse(ErrorKind::kDenied,
                  "this is not the secret of the gang, or of this attempt of it");
  }
  if (rank >= tasks_.size()) {
    return refuse(ErrorKind::kInvalidArgument, "rank " + std::to_string(rank) +
                                                   " of a gang of " +
                                                   std::to_string(tasks_.size()));
  }
  Task& task = tasks_[rank];
  if (task.joined) {
    return refuse(ErrorKind::kConflict, "rank " + std::to_string(rank) +
                                            " has joined its gang already, in " +
                                            "another process or by another context");
  }
  task.joined = true;
  connection->rank = static_cast<int>(rank);
  connection->Send(std::make_shared<const std::string>(
      FrameWriter(FrameType::kWelcome)
          .Number(options_.payload ? 1 : 0)
          .Bytes(options_.payload ? *options_.payload : std::string())
          .Finish()));
  return Status::OK();
}

Status Attempt::OnTime() {
  const int64_t now = NowMs();
  Send(rendezvous_.Expire(now));
  for (int rank = 0; rank < options_.tasks; ++rank) {
    const Task& task = tasks_[rank];
    if (task.end || over_ms_) continue;
    if (task.stopped_ms && now - *task.stopped_ms > options_.heartbeat_timeout_ms) {
      Fail(Failure::kSilent, rank,
           "has been stopped (SIGSTOP) for " + Seconds(now - *task.stopped_ms));
    } else if (task.joined && ConnectionOf(rank) != nullptr &&
               now - task.heard_ms > options_.heartbeat_timeout_ms) {
      Fail(Failure::kSilent, rank,
           "has not been heard of for " + Seconds(now - task.heard_ms));
    } else if (options_.payload && !task.joined && now > options_.timeout_ms) {
      Fail(Failure::kSilent, rank,
           "has not joined its gang within " + Seconds(options_.timeout_ms));
    }
  }
  if (!over_ms_) {
    const bool returned = options_.payload &&
                          std::all_of(tasks_.begin(), tasks_.end(),
                                      [](const Task& t) { return t.result.has_value(); });
    // Threads that do not end, say, are no reason to wait for ever.
    if (returned || !failures_.empty()) over_ms_ = now;
    return Status::OK();
  }
  const int64_t waited = now - *over_ms_;
  if (!asked_ms_ && waited > (failures_.empty() ? options_.grace_ms : kSettleMs)) {
    for (Task& task : tasks_) task.process->Terminate();
    asked_ms_ = now;
  }
  if (asked_ms_ && now - *asked_ms_ > options_.grace_ms) {
    for (int rank = 0; rank < options_.tasks; ++rank) {
      Task& task = tasks_[rank];
      if (task.process->ended()) continue;
      if (!task.end) task.end = Notice{Notice::kSignalled, SIGKILL};
      task.process->Kill();
      ARROW_RETURN_NOT_OK(OnEnd(rank));
    }
  }
  return Status::OK();
}

void Attempt::Send(const std::vector<Reply>& replies) {
  for (const Reply& reply : replies) {
    if (Connection* connection = ConnectionOf(reply.rank)) connection->Send(reply.frame);
  }
}

void Attempt::Fail(Failure::Cause cause, int rank, const std::string& text,
                   std::optional<GangException> exception) {
  // What happens to tasks that are being ended is no failure of theirs, nor is how a task
  // ends that has returned its value, or said why it fails.
  if (asked_ms_ || tasks_[rank].result || tasks_[rank].raised) return;
  failures_.push_back({cause, rank,
                       "rank " + std::to_string(rank) + " of " +
                           std::to_string(options_.tasks) + " " + text,
                       std::move(exception)});
}

Connection* Attempt::ConnectionOf(int rank) {
  for (const auto& connection : connections_) {
    if (connection->rank == rank && !connection->closing) return connection.get();
  }
  return nullptr;
}

bool Attempt::AllEnded() const {
  return std::all_of(tasks_.begin(), tasks_.end(),
                     [](const Task& task) { return task.process->ended(); });
}

int64_t Attempt::NowMs() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin_)
      .count();
}

}  // namespace headrace::gang
