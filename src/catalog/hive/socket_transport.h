/// \file
/// A TCP connection as a transport of Thrift, none of whose waits lasts longer than told.
#pragma once

#include <thrift/transport/TVirtualTransport.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

struct addrinfo;

namespace headrace::catalog {

/// Throws TTransportException, as Thrift's code expects. Reads ahead, and sends by
/// `flush`. For one thread.
class SocketTransport
    : public apache::thrift::transport::TVirtualTransport<SocketTransport> {
 public:
  /// Milliseconds until an attempt to connect is given up, and until a silent server is.
  struct Timeouts {
    int connect_ms;
    int silence_ms;
  };

  SocketTransport(std::string host, int port, Timeouts timeouts,
                  const std::shared_ptr<apache::thrift::TConfiguration>& limits)
      : TVirtualTransport(limits),
        host_(std::move(host)),
        port_(port),
        timeouts_(timeouts) {}
  ~SocketTransport() override { close(); }

  bool isOpen() const override { return socket_ >= 0; }
  bool peek() override { return isOpen(); }
  void open() override;
  void close() override;
  uint32_t read(uint8_t* bytes, uint32_t size);
  void write(const uint8_t* bytes, uint32_t size) {
    unsent_.append(reinterpret_cast<const char*>(bytes), size);
  }
  void flush() override;

 private:
  // Waits until the socket can be read from (POLLIN) or written to (POLLOUT).
  void Wait(int16_t event, int timeout_ms) const;
  bool Connect(const addrinfo& address);
  // Fills the buffer with what is there, at least a byte; how many.
  size_t Receive();

  std::string host_;
  int port_;
  Timeouts timeouts_;
  int socket_ = -1;
  std::string unsent_;
  std::array<uint8_t, 16 << 10> buffer_;
  size_t taken_ = 0;  // of the bytes received
  size_t received_ = 0;
};

}  // namespace headrace::catalog
