#include "catalog/hive/hive_catalog.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <thread>

#include "tests/cpp/lake.h"

namespace headrace::catalog {
namespace {

using testing::Check;
using ::testing::HasSubstr;

/// A port of the loopback interface, where connections are taken and nothing is said, or
/// what it is told to say.
class Port {
 public:
  explicit Port(std::string says = "") {
    socket_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* base = reinterpret_cast<sockaddr*>(&address);
    if (bind(socket_, base, size) != 0 || listen(socket_, 4) != 0 ||
        getsockname(socket_, base, &size) != 0) {
      throw std::runtime_error("no port");
    }
    port_ = ntohs(address.sin_port);
    if (says.empty()) return;
    speaker_ = std::jthread([this, says] {
      const int client = accept(socket_, nullptr, nullptr);
      if (client < 0) return;
      send(client, says.data(), says.size(), MSG_NOSIGNAL);
      char ignored[256];
      while (recv(client, ignored, sizeof(ignored), 0) > 0) continue;
      close(client);
    });
  }
  ~Port() {
    shutdown(socket_, SHUT_RDWR);
    if (speaker_.joinable()) speaker_.join();
    close(socket_);
  }

  std::string Uri() const { return "thrift://127.0.0.1:" + std::to_string(port_); }

 private:
  int socket_;
  int port_;
  std::jthread speaker_;
};

Status ShowFrom(const Port& port) {
  return Check(MakeHiveCatalog(port.Uri(), /*timeout_s=*/0.2))->Show("a.b").status();
}

TEST(HiveCatalog, GivesUpAServerThatIsSilent) {
  const Port port;
  const Status shown = ShowFrom(port);
  ASSERT_FALSE(shown.ok());
  EXPECT_EQ(KindOf(shown), ErrorKind::kUnavailable);
  EXPECT_THAT(MessageOf(shown), HasSubstr(port.Uri()));
}

TEST(HiveCatalog, RefusesAServerThatSpeaksSomethingElse) {
  const std::string foreign[] = {
      "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
      std::string("\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12),
      // A well-formed answer of another call.
      std::string("\x80\x01\x00\x02\x00\x00\x00\x01x\x00\x00\x00\x00\x00", 14)};
  for (const std::string& says : foreign) {
    const Port port(says);
    const Status shown = ShowFrom(port);
    ASSERT_FALSE(shown.ok());
    EXPECT_EQ(KindOf(shown), ErrorKind::kUnavailable) << MessageOf(shown);
  }
}

TEST(HiveCatalog, RefusesAddressesThatAreNone) {
  for (const char* uri :
       {"thrift://", "thrift://host:0", "thrift://host:x", "thrift://user@host:1",
        "thrift://host:1,http://host:2", "thrift://host:99999", "thrift://host/path"}) {
    const Status made = MakeHiveCatalog(uri).status();
    ASSERT_FALSE(made.ok()) << uri;
    EXPECT_EQ(KindOf(made), ErrorKind::kInvalidArgument);
  }
  EXPECT_TRUE(MakeHiveCatalog("thrift://host,thrift://[::1]:9083/").ok());
}

}  // namespace
}  // namespace headrace::catalog
