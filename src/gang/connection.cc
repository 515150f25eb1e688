#include "gang/connection.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace headrace::gang {

bool Connection::Read() {
  std::array<char, size_t{64} << 10> buffer;
  for (;;) {
    const ssize_t n = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n > 0) {
      frames_.Append({buffer.data(), static_cast<size_t>(n)});
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    }
  }
}

void Connection::Send(std::shared_ptr<const std::string> frame) {
  unsent_.push_back(std::move(frame));
  Flush();
}

void Connection::Flush() {
  while (!unsent_.empty()) {
    const std::string& frame = *unsent_.front();
    const ssize_t n = send(socket_.get(), frame.data() + sent_bytes_,
                           frame.size() - sent_bytes_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0) {
      unsent_.clear();
      return;
    }
    sent_bytes_ += static_cast<size_t>(n);
    if (sent_bytes_ == frame.size()) {
      unsent_.pop_front();
      sent_bytes_ = 0;
    }
  }
}

}  // namespace headrace::gang
