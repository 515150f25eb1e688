#include "gang/local_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace headrace::gang {
namespace {

Status SocketError(ErrorKind kind, const std::string& what) {
  return Error(kind, what + ": " + std::strerror(errno));
}

struct LocalAddress {
  sockaddr_un address = {};
  socklen_t length = 0;

  explicit LocalAddress(const std::string& name) {
    address.sun_family = AF_UNIX;
    const size_t bytes = std::min(name.size(), sizeof(address.sun_path) - 1);
    std::memcpy(address.sun_path + 1, name.data(), bytes);  // after a zero: abstract
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + bytes);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

}  // namespace

Result<Descriptor> ListenLocal(const std::string& name) {
  Descriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const LocalAddress address(name);
  if (!listener.open() || bind(listener.get(), address.get(), address.length) != 0 ||
      listen(listener.get(), SOMAXCONN) != 0) {
    return SocketError(ErrorKind::kInternal, "the gang's socket");
  }
  return listener;
}

Result<Descriptor> ConnectLocal(const std::string& name) {
  Descriptor connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const LocalAddress address(name);
  if (!connection.open() ||
      connect(connection.get(), address.get(), address.length) != 0) {
    return SocketError(ErrorKind::kPeerFailed,
                       "the launcher of this gang does not answer, it may have ended");
  }
  return connection;
}

Result<std::vector<uint16_t>> FreePorts(size_t count) {
  // All are held until the last is found, so that they differ.
  std::vector<Descriptor> held;
  std::vector<uint16_t> ports;
  for (size_t i = 0; i < count; ++i) {
    Descriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (!probe.open() || bind(probe.get(), any, length) != 0 ||
        getsockname(probe.get(), any, &length) != 0) {
      return SocketError(ErrorKind::kResourceExhausted, "no free port of 127.0.0.1");
    }
    ports.push_back(ntohs(address.sin_port));
    held.push_back(std::move(probe));
  }
  return ports;
}

bool SecretsEqual(const std::string& a, const std::string& b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i] ^ b[i % std::max<size_t>(1, b.size())]);
  }
  return difference == 0;
}

}  // namespace headrace::gang
