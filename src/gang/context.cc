#include <headrace/gang.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "gang/local_socket.h"
#include "gang/rendezvous.h"
#include "gang/wire.h"

namespace headrace {
namespace {

using gang::Frame;
using gang::FrameReader;
using gang::FrameType;
using gang::FrameWriter;
using gang::Operation;
using Clock = std::chrono::steady_clock;

constexpr int kSliceMs = 50;
// How long an interpreter may not run at least: calls that hold its lock may take a
// while.
constexpr int64_t kHungMsMin = 30'000;
// The launcher ends a wait that is over. This is how much later a task does so itself.
constexpr std::chrono::seconds kMargin(30);

Status LauncherEnded() {
  return Error(ErrorKind::kPeerFailed, "the launcher of this gang has ended");
}

}  // namespace

struct GangContext::Impl {
  GangPlace place;
  std::optional<std::string> payload = {};
  gang::Descriptor socket = {};
  pid_t pid = getpid();

  // Frames are sent whole, by whichever thread.
  std::mutex send_mutex = {};
  // One operation at a time; it alone reads.
  std::mutex operation_mutex = {};
  gang::FrameBuffer frames = {};
  uint64_t sequence = 0;

  // `Alive` was called since the last heartbeat; and ever.
  std::atomic<bool> alive = false;
  std::atomic<bool> watched = false;

  std::jthread heart = {};

  // The thread and the socket's other users are not in a process that was forked.
  Status CheckProcess() const {
    if (getpid() == pid) return Status::OK();
    return Error(ErrorKind::kUnsupported,
                 "a gang's context of process " + std::to_string(pid) +
                     " was used in process " + std::to_string(getpid()) +
                     ", which was forked from it: use it where it was made");
  }

  Status Send(const std::string& frame) {
    const std::lock_guard lock(send_mutex);
    size_t sent = 0;
    while (sent < frame.size()) {
      const ssize_t n =
          send(socket.get(), frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return LauncherEnded();
      sent += static_cast<size_t>(n);
    }
    return Status::OK();
  }

  // The next frame. REQUIRES: `operation_mutex` is held, or nobody else is there yet.
  Result<Frame> Receive(Clock::time_point deadline, const Interrupted& interrupted) {
    std::array<char, size_t{64} << 10> buffer;
    for (;;) {
      ARROW_ASSIGN_OR_RAISE(std::optional<Frame> frame, frames.Next());
      if (frame) return std::move(*frame);
      if (interrupted) ARROW_RETURN_NOT_OK(interrupted());
      if (Clock::now() > deadline) {
        return Error(ErrorKind::kPeerFailed, "the launcher of this gang does not answer");
      }
      pollfd readable = {socket.get(), POLLIN, 0};
      if (poll(&readable, 1, kSliceMs) <= 0) continue;
      const ssize_t n = recv(socket.get(), buffer.data(), buffer.size(), 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return LauncherEnded();
      frames.Append({buffer.data(), static_cast<size_t>(n)});
    }
  }

  void StartHeart() {
    heart = std::jthread([this](const std::stop_token& stop) {
      std::mutex mutex;
      std::condition_variable_any wake;
      std::unique_lock lock(mutex);
      const std::chrono::milliseconds every(place.heartbeat_ms);
      const std::string beat = FrameWriter(FrameType::kHeartbeat).Finish();
      const int64_t hung_ms = std::max(place.timeout_ms, kHungMsMin);
      // Counted in heartbeats: while this process stands still, nobody is missed.
      int64_t silent_ms = 0;
      while (!wake.wait_for(lock, stop, every, [&] { return stop.stop_requested(); })) {
        silent_ms = !watched || alive.exchange(false) ? 0 : silent_ms + every.count();
        const bool hung = silent_ms >= hung_ms;
        if (!Send(hung ? FrameWriter(FrameType::kHung)
                             .Number(static_cast<uint64_t>(silent_ms))
                             .Finish()
                       : beat)
                 .ok()) {
          return;
        }
      }
    });
  }

  Result<std::vector<std::string>> Collect(Operation operation, int root,
                                           std::string_view value,
                                           std::optional<int64_t> timeout,
                                           const Interrupted& interrupted) {
    ARROW_RETURN_NOT_OK(CheckProcess());
    const int64_t timeout_ms = timeout.value_or(place.timeout_ms);
    if (timeout_ms < 0) {
      return Error(
          ErrorKind::kInvalidArgument,
          "a timeout of " + std::to_string(timeout_ms) + " ms, expected at least 0");
    }
    const std::lock_guard lock(operation_mutex);
    const uint64_t mine = sequence++;
    ARROW_RETURN_NOT_OK(Send(FrameWriter(FrameType::kCollect)
                                 .Number(mine)
                                 .Number(static_cast<uint64_t>(operation))
                                 .Number(static_cast<uint64_t>(root))
                                 .Number(static_cast<uint64_t>(timeout_ms))
                                 .Bytes(value)
                                 .Finish()));
    const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms) + kMargin;
    for (;;) {
      ARROW_ASSIGN_OR_RAISE(const Frame frame, Receive(deadline, interrupted));
      FrameReader reader(frame.body);
      // The answer to an operation that was interrupted may come late.
      if (reader.Number() != mine) continue;
      if (frame.type == FrameType::kBroken) {
        return Error(ErrorKind::kPeerFailed, std::string(reader.Bytes()));
      }
      std::vector<std::string> values(reader.Number());
      for (std::string& each : values) each = reader.Bytes();
      if (!reader.ok()) {
        return Error(ErrorKind::kInternal, "a frame of the gang is damaged");
      }
      return values;
    }
  }
};

GangContext::GangContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

GangContext::~GangContext() {
  if (impl_->pid == getpid()) return;
  // Forked: the thread is not here to be joined.
  if (impl_->heart.joinable()) impl_->heart.detach();
}

Result<std::unique_ptr<GangContext>> GangContext::Join(GangPlace place) {
  auto impl = std::make_unique<Impl>();
  impl->place = std::move(place);
  const GangPlace& there = impl->place;
  ARROW_ASSIGN_OR_RAISE(impl->socket, gang::ConnectLocal(there.address));
  ARROW_RETURN_NOT_OK(impl->Send(FrameWriter(FrameType::kHello)
                                     .Bytes(there.secret)
                                     .Number(static_cast<uint64_t>(there.rank))
                                     .Finish()));
  ARROW_ASSIGN_OR_RAISE(
      const Frame frame,
      impl->Receive(Clock::now() + std::chrono::milliseconds(there.timeout_ms), {}));
  FrameReader reader(frame.body);
  const uint64_t number = reader.Number();
  const std::string bytes(reader.Bytes());
  if (frame.type == FrameType::kRefused) {
    return Error(static_cast<ErrorKind>(number), bytes);
  }
  if (number != 0) impl->payload = bytes;
  impl->StartHeart();
  return std::unique_ptr<GangContext>(new GangContext(std::move(impl)));
}

const GangPlace& GangContext::place() const { return impl_->place; }

const std::optional<std::string>& GangContext::payload() const { return impl_->payload; }

Status GangContext::Barrier(std::optional<int64_t> timeout_ms,
                            const Interrupted& interrupted) {
  return impl_->Collect(Operation::kBarrier, 0, {}, timeout_ms, interrupted).status();
}

Result<std::vector<std::string>> GangContext::AllGather(std::string_view value,
                                                        std::optional<int64_t> timeout_ms,
                                                        const Interrupted& interrupted) {
  return impl_->Collect(Operation::kAllGather, 0, value, timeout_ms, interrupted);
}

Result<std::string> GangContext::Broadcast(std::string_view value, int root,
                                           std::optional<int64_t> timeout_ms,
                                           const Interrupted& interrupted) {
  if (root < 0 || root >= impl_->place.world_size) {
    return Error(ErrorKind::kInvalidArgument,
                 "a broadcast from rank " + std::to_string(root) +
                     ", expected one from 0 to " +
                     std::to_string(impl_->place.world_size - 1));
  }
  ARROW_ASSIGN_OR_RAISE(
      std::vector<std::string> values,
      impl_->Collect(Operation::kBroadcast, root,
                     root == impl_->place.rank ? value : std::string_view(), timeout_ms,
                     interrupted));
  return std::move(values.at(0));
}

Status GangContext::Report(std::string_view value) {
  ARROW_RETURN_NOT_OK(impl_->CheckProcess());
  return impl_->Send(FrameWriter(FrameType::kReport).Bytes(value).Finish());
}

Status GangContext::Return(std::string_view value) {
  ARROW_RETURN_NOT_OK(impl_->CheckProcess());
  return impl_->Send(FrameWriter(FrameType::kReturn).Bytes(value).Finish());
}

Status GangContext::Raise(std::string_view line, std::string_view value, bool by_peer) {
  ARROW_RETURN_NOT_OK(impl_->CheckProcess());
  return impl_->Send(FrameWriter(FrameType::kRaise)
                         .Number(by_peer ? 1 : 0)
                         .Bytes(line)
                         .Bytes(value)
                         .Finish());
}

void GangContext::Alive() {
  impl_->alive = true;
  impl_->watched = true;
}

}  // namespace headrace
