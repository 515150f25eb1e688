// The few functions of Thrift's library that the client needs and its headers do not
// hold. The library itself is not linked: cmake/HeadraceThrift.cmake says why.
#include <thrift/TApplicationException.h>
#include <thrift/TOutput.h>
#include <thrift/protocol/TProtocol.h>
#include <thrift/transport/TTransportException.h>

#include <string>

namespace apache::thrift {

// What Thrift prints goes nowhere: it throws the same.
TOutput::TOutput() : f_(nullptr) {}
void TOutput::printf(const char* /*message*/, ...) {}
void TOutput::perror(const char* /*message*/, int /*error*/) {}
TOutput GlobalOutput;

// An answer in place of a result: 1 is the message, 2 the type.
uint32_t TApplicationException::read(protocol::TProtocol* in) {
  std::string name;
  uint32_t bytes = in->readStructBegin(name);
  while (true) {
    protocol::TType type = protocol::T_STOP;
    int16_t id = 0;
    bytes += in->readFieldBegin(name, type, id);
    if (type == protocol::T_STOP) break;
    if (id == 1 && type == protocol::T_STRING) {
      bytes += in->readString(message_);
    } else if (id == 2 && type == protocol::T_I32) {
      int32_t number = 0;
      bytes += in->readI32(number);
      type_ = static_cast<TApplicationExceptionType>(number);
    } else {
      bytes += in->skip(type);
    }
    bytes += in->readFieldEnd();
  }
  return bytes + in->readStructEnd();
}

// Servers' work: the generated code of one is not used.
uint32_t TApplicationException::write(protocol::TProtocol* /*out*/) const { return 0; }

namespace protocol {

TProtocol::~TProtocol() = default;
uint32_t TProtocol::skip_virt(TType type) {
  return ::apache::thrift::protocol::skip(*this, type);
}

}  // namespace protocol

namespace transport {

const char* TTransportException::what() const noexcept {
  return message_.empty() ? "the connection failed" : message_.c_str();
}

}  // namespace transport

}  // namespace apache::thrift
