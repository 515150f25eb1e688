/// \file
/// The launcher's end of a task's socket.
#pragma once

#include <headrace/result.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "gang/descriptor.h"
#include "gang/wire.h"

namespace headrace::gang {

/// Never waits. Not thread-safe.
class Connection {
 public:
  explicit Connection(Descriptor socket) : socket_(std::move(socket)) {}

  /// Reads what is there into `frames`; false where the other side has closed.
  bool Read();
  FrameBuffer& frames() { return frames_; }

  /// Sends when it can; frames may be shared by connections.
  void Send(std::shared_ptr<const std::string> frame);
  /// Goes on sending. What cannot be sent any more is dropped: reading tells of it.
  void Flush();
  bool sending() const { return !unsent_.empty(); }

  int fd() const { return socket_.get(); }

  /// -1 until it has said its secret.
  int rank = -1;
  /// Nothing is read any more; it goes when all is sent.
  bool closing = false;

 private:
  Descriptor socket_;
  FrameBuffer frames_;
  std::deque<std::shared_ptr<const std::string>> unsent_;
  size_t sent_bytes_ = 0;
};

}  // namespace headrace::gang
