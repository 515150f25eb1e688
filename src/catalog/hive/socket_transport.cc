#include "catalog/hive/socket_transport.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <thrift/transport/TTransportException.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace headrace::catalog {
namespace {

using apache::thrift::transport::TTransportException;

[[noreturn]] void Throw(TTransportException::TTransportExceptionType type,
                        const std::string& what, int error) {
  throw TTransportException(type, error == 0 ? what : what + ": " + std::strerror(error));
}

}  // namespace

void SocketTransport::Wait(int16_t event, int timeout_ms) const {
  pollfd waited{socket_, event, 0};
  int ready = 0;
  do {
    ready = poll(&waited, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  if (ready > 0) return;
  if (ready < 0) Throw(TTransportException::UNKNOWN, "poll", errno);
  Throw(TTransportException::TIMED_OUT,
        "nothing came for " + std::to_string(timeout_ms) + " ms", 0);
}

bool SocketTransport::Connect(const addrinfo& address) {
  socket_ = socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                   address.ai_protocol);
  if (socket_ < 0) return false;
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(socket_, address.ai_addr, address.ai_addrlen) == 0) return true;
  int error = errno;
  if (error == EINPROGRESS) {
    pollfd waited{socket_, POLLOUT, 0};
    socklen_t size = sizeof(error);
    error = ETIMEDOUT;
    if (poll(&waited, 1, timeouts_.connect_ms) > 0) {
      getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error == 0) return true;
  }
  close();
  errno = error;
  return false;
}

void SocketTransport::open() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code =
      getaddrinfo(host_.c_str(), std::to_string(port_).c_str(), &hints, &found);
  if (code != 0) {
    Throw(TTransportException::NOT_OPEN, host_ + ": " + gai_strerror(code), 0);
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (Connect(*each)) return;
  }
  Throw(TTransportException::NOT_OPEN, host_ + ":" + std::to_string(port_), errno);
}

void SocketTransport::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

uint32_t SocketTransport::read(uint8_t* bytes, uint32_t size) {
  if (taken_ == received_) {
    received_ = Receive();
    taken_ = 0;
  }
  const size_t count = std::min<size_t>(size, received_ - taken_);
  std::memcpy(bytes, buffer_.data() + taken_, count);
  taken_ += count;
  return static_cast<uint32_t>(count);
}

size_t SocketTransport::Receive() {
  while (true) {
    const ssize_t got = recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (got > 0) return static_cast<size_t>(got);
    if (got == 0) Throw(TTransportException::END_OF_FILE, "the server hung up", 0);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) Throw(TTransportException::UNKNOWN, "recv", errno);
    Wait(POLLIN, timeouts_.silence_ms);
  }
}

void SocketTransport::flush() {
  size_t done = 0;
  while (done < unsent_.size()) {
    const ssize_t sent =
        send(socket_, unsent_.data() + done, unsent_.size() - done, MSG_NOSIGNAL);
    if (sent >= 0) {
      done += static_cast<size_t>(sent);
    } else if (errno == EAGAIN) {
      Wait(POLLOUT, timeouts_.silence_ms);
    } else if (errno != EINTR) {
      Throw(TTransportException::UNKNOWN, "send", errno);
    }
  }
  unsent_.clear();
}

}  // namespace headrace::catalog
