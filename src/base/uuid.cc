#include "base/uuid.h"

#include <unistd.h>

#include <array>
#include <cstdint>

namespace headrace::base {

std::string RandomUuid() {
  std::array<uint8_t, 16> bytes{};
  // Fails for more than 256 bytes, or where the system has no generator.
  if (getentropy(bytes.data(), bytes.size()) != 0) return "";
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace headrace::base
