/// \file
/// How a launcher and its tasks talk: frames over a stream socket.
///
///   frame := u8 type, u64 length, length bytes of body
///
/// Numbers are little-endian. A body is made of u64 and of bytes with their length, in
/// the order that FrameType has them. Both sides are of one build, so nothing has a
/// version.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headrace::gang {

enum class FrameType : uint8_t {
  // From a task.
  kHello = 1,  ///< bytes secret, u64 rank
  kHeartbeat,  ///< nothing
  kCollect,    ///< u64 sequence, u64 operation, u64 root, u64 timeout_ms, bytes value
  kReport,     ///< bytes value
  kReturn,     ///< bytes value
  kRaise,      ///< u64 by_peer, bytes line, bytes value
  kHung,       ///< u64 milliseconds since `GangContext::Alive` was called
  // To a task.
  kWelcome,    ///< u64 has a payload, bytes payload
  kRefused,    ///< u64 kind, bytes message
  kCollected,  ///< u64 sequence, u64 count, count times bytes
  kBroken,     ///< u64 sequence, bytes message: a collective operation failed
};

/// Frames longer than this are no frames of ours.
inline constexpr uint64_t kFrameBytesMax = uint64_t{1} << 32;
/// Until a task has said its secret.
inline constexpr uint64_t kHelloBytesMax = 1024;

struct Frame {
  FrameType type = FrameType::kHeartbeat;
  std::string body = {};
};

/// Makes a frame, field by field.
class FrameWriter {
 public:
  explicit FrameWriter(FrameType type);

  FrameWriter& Number(uint64_t value);
  FrameWriter& Bytes(std::string_view value);
  /// The whole frame. To be called once.
  std::string Finish();

 private:
  std::string frame_;
};

/// Takes a body apart. A field that is not there makes all that follow empty, and `ok`
/// false.
class FrameReader {
 public:
  explicit FrameReader(std::string_view body) : rest_(body) {}

  uint64_t Number();
  std::string_view Bytes();
  /// All fields were there, and nothing more.
  bool ok() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

/// Bytes as they come in, cut into frames.
class FrameBuffer {
 public:
  void Append(std::string_view bytes) { bytes_.append(bytes); }
  /// The next whole frame. Corrupt for one longer than `bytes_max`.
  Result<std::optional<Frame>> Next(uint64_t bytes_max = kFrameBytesMax);

 private:
  std::string bytes_;
  size_t begin_ = 0;
};

}  // namespace headrace::gang
