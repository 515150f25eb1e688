#include "table/delta/deletion_vector.h"

#include <arrow/buffer.h>
#include <zlib.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "table/delta/paths.h"
#include "table/percent.h"

namespace headrace::table::delta {
namespace {

constexpr uint32_t kMagic = 1681511377;
constexpr size_t kUuidChars = 20;

uint32_t BigEndian(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
         static_cast<uint32_t>(bytes[2]) << 8 | static_cast<uint32_t>(bytes[3]);
}

Status Corrupt(const std::string& where, const std::string& what) {
  return Error(ErrorKind::kCorrupt, where + ": the deletion vector " + what +
                                        ": restore it, or open a version before it");
}

// In a file: the size (big-endian), the bytes, their CRC-32 (big-endian).
Result<std::string> ReadFromFile(const storage::Storage& storage, const std::string& path,
                                 const DeletionVector& vector, const std::string& where) {
  ARROW_ASSIGN_OR_RAISE(auto file, storage.OpenPath(path));
  const int64_t framed = vector.size + 8;
  auto read = file->ReadAt(vector.offset.value_or(0), framed);
  if (!read.ok()) return storage.Translate(read.status(), path);
  const auto& bytes = **read;
  if (bytes.size() != framed || BigEndian(bytes.data()) != vector.size) {
    return Corrupt(where, "is not at its place in " + storage.Display(path));
  }
  const uint8_t* begin = bytes.data() + 4;
  const auto sum = crc32(0, begin, static_cast<uInt>(vector.size));
  if (sum != BigEndian(begin + vector.size)) {
    return Corrupt(where, "in " + storage.Display(path) + " has another checksum");
  }
  return std::string(reinterpret_cast<const char*>(begin),
                     static_cast<size_t>(vector.size));
}

Result<std::string> BytesOf(const storage::Storage& storage, const std::string& root,
                            const DeletionVector& vector, const std::string& where) {
  constexpr int64_t kBytesMax = int64_t{1} << 31;
  if (vector.size < 0 || vector.size > kBytesMax || vector.offset.value_or(0) < 0) {
    return Corrupt(where, "has " + std::to_string(vector.size) + " bytes at " +
                              std::to_string(vector.offset.value_or(0)));
  }
  switch (vector.storage) {
    case 'i':
      return DecodeZ85(vector.path_or_bytes);
    case 'u': {
      const std::string path = PathOfUuid(vector.path_or_bytes);
      if (path.empty()) {
        return Corrupt(where,
                       "lies at \"" + vector.path_or_bytes + "\", which is no UUID");
      }
      return ReadFromFile(storage, root + "/" + path, vector, where);
    }
    case 'p': {
      ARROW_ASSIGN_OR_RAISE(
          auto path, ResolvePath(storage, root, PercentDecoded(vector.path_or_bytes)));
      return ReadFromFile(storage, path, vector, where);
    }
    default:
      return Error(ErrorKind::kUnsupported,
                   where + ": the deletion vector is stored as '" +
                       std::string(1, vector.storage) +
                       "', which this build does not know: use a newer headrace");
  }
}

}  // namespace

std::string DecodeZ85(std::string_view text) {
  constexpr std::string_view kDigits =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@"
      "%$#";
  constexpr size_t kChars = 5;
  if (text.size() % kChars != 0) return "";
  std::string bytes;
  for (size_t at = 0; at < text.size(); at += kChars) {
    uint64_t value = 0;
    for (const char c : text.substr(at, kChars)) {
      const size_t digit = kDigits.find(c);
      if (digit == std::string_view::npos) return "";
      value = value * 85 + digit;
    }
    if (value > 0xffffffff) return "";
    for (const int shift : {24, 16, 8, 0}) {
      bytes += static_cast<char>(value >> shift & 0xff);
    }
  }
  return bytes;
}

std::string PathOfUuid(const std::string& text) {
  if (text.size() < kUuidChars) return "";
  const std::string prefix = text.substr(0, text.size() - kUuidChars);
  const std::string uuid = DecodeZ85(std::string_view(text).substr(prefix.size()));
  if (uuid.size() != 16) return "";
  constexpr char kHex[] = "0123456789abcdef";
  std::string name;
  for (size_t i = 0; i < uuid.size(); ++i) {
    const auto byte = static_cast<unsigned char>(uuid[i]);
    if (i == 4 || i == 6 || i == 8 || i == 10) name += '-';
    name += {kHex[byte >> 4], kHex[byte & 15]};
  }
  return (prefix.empty() ? "" : prefix + "/") + "deletion_vector_" + name + ".bin";
}

std::shared_ptr<const DeletedRows> ParseDeletionVector(std::span<const uint8_t> bytes) {
  uint32_t magic = 0;
  if (bytes.size() < sizeof(magic)) return nullptr;
  std::memcpy(&magic, bytes.data(), sizeof(magic));
  if (magic != kMagic) return nullptr;
  return DeletedRows::FromPortable(bytes.subspan(sizeof(magic)));
}

Result<std::shared_ptr<const DeletedRows>> ReadDeletionVector(
    const storage::Storage& storage, const std::string& root,
    const DeletionVector& vector, const std::string& where) {
  ARROW_ASSIGN_OR_RAISE(const std::string bytes, BytesOf(storage, root, vector, where));
  // Z85 comes in groups of four bytes: what is beyond the size is padding.
  const size_t size = std::min(bytes.size(), static_cast<size_t>(vector.size));
  auto rows = ParseDeletionVector({reinterpret_cast<const uint8_t*>(bytes.data()), size});
  if (rows == nullptr) return Corrupt(where, "does not parse");
  if (rows->count() != vector.cardinality) {
    return Corrupt(where, "holds " + std::to_string(rows->count()) +
                              " rows, expected the " +
                              std::to_string(vector.cardinality) + " of the log");
  }
  return rows;
}

}  // namespace headrace::table::delta
