#include "codec/npz.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace headrace::codec {
namespace {

// The ZIP format: APPNOTE.TXT 6.3, sections 4.3.7 (local header), 4.3.12 (directory),
// 4.3.16 (end of directory) and 4.5.3 (sizes of 64 bits).
constexpr uint32_t kLocal = 0x04034b50;
constexpr uint32_t kEntry = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr size_t kLocalBytes = 30;
constexpr size_t kEntryBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kCommentMax = 65535;
constexpr uint32_t kIn64Bits = 0xFFFFFFFF;
constexpr int kDeflated = 8;
// Deflate shrinks at most about this much: what claims more is damaged.
constexpr int64_t kRatioMax = 1032;
constexpr std::string_view kName = "arr.npy";

Status DamagedZip(const std::string& what) {
  return Error(ErrorKind::kCorrupt, "a damaged npz archive: " + what);
}

uint64_t Number(const uint8_t* at, int width) {
  uint64_t value = 0;
  for (int i = width; i-- > 0;) value = value << 8 | at[i];
  return value;
}

struct Member {
  std::string name;
  int flags = 0;
  int method = 0;
  uint32_t checksum = 0;
  uint64_t packed = 0;
  uint64_t bytes = 0;
  uint64_t offset = 0;
};

// Sizes that need 64 bits are in an extra field, those alone, in this order.
void ReadExtra(std::span<const uint8_t> extra, Member* member) {
  while (extra.size() >= 4) {
    const size_t length = Number(extra.data() + 2, 2);
    if (extra.size() - 4 < length) return;
    std::span<const uint8_t> field = extra.subspan(4, length);
    if (Number(extra.data(), 2) == 1) {
      for (uint64_t* value : {&member->bytes, &member->packed, &member->offset}) {
        if (*value != kIn64Bits || field.size() < 8) continue;
        *value = Number(field.data(), 8);
        field = field.subspan(8);
      }
    }
    extra = extra.subspan(4 + length);
  }
}

Result<std::vector<Member>> ReadDirectory(std::span<const uint8_t> zip) {
  if (zip.size() < kEndBytes) return DamagedZip("it is cut off");
  size_t end = zip.size() - kEndBytes;
  const size_t first = end - std::min(end, kCommentMax);
  while (Number(zip.data() + end, 4) != kEnd) {
    if (end == first) return DamagedZip("it has no directory");
    --end;
  }
  const size_t count = Number(zip.data() + end + 10, 2);
  size_t at = Number(zip.data() + end + 16, 4);
  std::vector<Member> members;
  for (size_t i = 0; i < count; ++i) {
    if (at > end || end - at < kEntryBytes || Number(zip.data() + at, 4) != kEntry) {
      return DamagedZip("its directory is cut off");
    }
    const uint8_t* const entry = zip.data() + at;
    const size_t name = Number(entry + 28, 2);
    const size_t extra = Number(entry + 30, 2);
    const size_t whole = kEntryBytes + name + extra + Number(entry + 32, 2);
    if (end - at < whole) return DamagedZip("its directory is cut off");
    Member member;
    member.name.assign(reinterpret_cast<const char*>(entry) + kEntryBytes, name);
    member.flags = static_cast<int>(Number(entry + 8, 2));
    member.method = static_cast<int>(Number(entry + 10, 2));
    member.checksum = static_cast<uint32_t>(Number(entry + 16, 4));
    member.packed = Number(entry + 20, 4);
    member.bytes = Number(entry + 24, 4);
    member.offset = Number(entry + 42, 4);
    ReadExtra(zip.subspan(at + kEntryBytes + name, extra), &member);
    members.push_back(std::move(member));
    at += whole;
  }
  return members;
}

Result<std::span<const uint8_t>> PackedBytes(std::span<const uint8_t> zip,
                                             const Member& member) {
  if (member.offset > zip.size() || zip.size() - member.offset < kLocalBytes ||
      Number(zip.data() + member.offset, 4) != kLocal) {
    return DamagedZip("its member is cut off");
  }
  const uint8_t* const local = zip.data() + member.offset;
  const size_t begin =
      member.offset + kLocalBytes + Number(local + 26, 2) + Number(local + 28, 2);
  if (begin > zip.size() || zip.size() - begin < member.packed) {
    return DamagedZip("its member is cut off");
  }
  return zip.subspan(begin, member.packed);
}

// zlib counts in 32 bits.
bool FitsZlib(uint64_t bytes) { return bytes <= std::numeric_limits<uInt>::max(); }

Status Inflate(std::span<const uint8_t> packed, arrow::Buffer* out) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
    return Error(ErrorKind::kInternal, "zlib could not be started");
  }
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = out->mutable_data();
  stream.avail_out = static_cast<uInt>(out->size());
  const int code = inflate(&stream, Z_FINISH);
  const bool whole = code == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  return whole ? Status::OK() : DamagedZip("its member does not inflate to its size");
}

void Append(std::string* out, uint64_t value, int width) {
  for (int i = 0; i < width; ++i) *out += static_cast<char>(value >> (8 * i) & 0xFF);
}

// What local header and directory entry share: from the version that reads it on.
std::string CommonFields(const Member& member) {
  std::string out;
  Append(&out, 20, 2);  // version 2.0
  Append(&out, 0, 2);
  Append(&out, kDeflated, 2);
  Append(&out, 0x00210000, 4);  // 1980-01-01 00:00: the same bytes whenever it is written
  Append(&out, member.checksum, 4);
  Append(&out, member.packed, 4);
  Append(&out, member.bytes, 4);
  Append(&out, kName.size(), 2);
  Append(&out, 0, 2);
  return out;
}

}  // namespace

Result<std::shared_ptr<arrow::Buffer>> ReadNpz(std::span<const uint8_t> npz,
                                               arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(const auto members, ReadDirectory(npz));
  auto found = std::ranges::find_if(members, [&](const Member& member) {
    return members.size() == 1 || member.name == kName || member.name == "arr_0.npy";
  });
  if (found == members.end()) {
    return Error(ErrorKind::kUnsupported,
                 "an npz archive of " + std::to_string(members.size()) +
                     " members, expected one, or one of the name arr.npy");
  }
  const Member& member = *found;
  if ((member.flags & 1) != 0 || (member.method != 0 && member.method != kDeflated)) {
    return Error(ErrorKind::kUnsupported,
                 "an npz archive that is encrypted or of method " +
                     std::to_string(member.method) + ", expected stored or deflate");
  }
  ARROW_ASSIGN_OR_RAISE(const auto packed, PackedBytes(npz, member));
  const uint64_t bytes_max = member.method == 0
                                 ? packed.size()
                                 : (packed.size() + 1) * static_cast<uint64_t>(kRatioMax);
  if (member.bytes > bytes_max || (member.method == 0 && member.bytes != packed.size())) {
    return DamagedZip("its member claims " + std::to_string(member.bytes) +
                      " bytes, found " + std::to_string(packed.size()) + " packed");
  }
  if (!FitsZlib(member.bytes) || !FitsZlib(packed.size())) {
    return Error(ErrorKind::kUnsupported, "an npz archive of 4 GiB or more");
  }
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> array,
                        arrow::AllocateBuffer(static_cast<int64_t>(member.bytes), pool));
  if (member.method == 0) {
    if (!packed.empty()) std::memcpy(array->mutable_data(), packed.data(), packed.size());
  } else {
    ARROW_RETURN_NOT_OK(Inflate(packed, array.get()));
  }
  if (crc32(0, array->data(), static_cast<uInt>(array->size())) != member.checksum) {
    return DamagedZip("its checksum does not fit");
  }
  return array;
}

Result<std::shared_ptr<arrow::Buffer>> WriteNpz(std::string_view header,
                                                std::span<const uint8_t> elements,
                                                arrow::MemoryPool* pool) {
  if (!FitsZlib(header.size() + elements.size())) {
    return Error(ErrorKind::kInvalidArgument,
                 "found " + std::to_string(elements.size()) +
                     " bytes, npz holds less than 4 GiB: use codec zstd");
  }
  Member member;
  member.bytes = header.size() + elements.size();
  const auto* const first = reinterpret_cast<const Bytef*>(header.data());
  member.checksum =
      static_cast<uint32_t>(crc32(crc32(0, first, static_cast<uInt>(header.size())),
                                  elements.data(), static_cast<uInt>(elements.size())));
  z_stream stream = {};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return Error(ErrorKind::kInternal, "zlib could not be started");
  }
  std::string packed(deflateBound(&stream, member.bytes), '\0');
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  stream.next_in = const_cast<Bytef*>(first);
  stream.avail_in = static_cast<uInt>(header.size());
  int code = deflate(&stream, Z_NO_FLUSH);
  if (code == Z_OK) {
    stream.next_in = const_cast<Bytef*>(elements.data());
    stream.avail_in = static_cast<uInt>(elements.size());
    code = deflate(&stream, Z_FINISH);
  }
  member.packed = stream.total_out;
  deflateEnd(&stream);
  if (code != Z_STREAM_END) return Error(ErrorKind::kInternal, "zlib did not finish");
  packed.resize(member.packed);

  std::string zip;
  Append(&zip, kLocal, 4);
  zip += CommonFields(member);
  zip += kName;
  zip += packed;
  const size_t directory = zip.size();
  Append(&zip, kEntry, 4);
  Append(&zip, 3 << 8 | 20, 2);  // made on Unix
  zip += CommonFields(member);
  Append(&zip, 0, 6);           // no comment, disk 0, bytes
  Append(&zip, 0x01800000, 4);  // rw-------
  Append(&zip, 0, 4);
  zip += kName;
  const size_t directory_bytes = zip.size() - directory;
  Append(&zip, kEnd, 4);
  Append(&zip, 0, 4);
  Append(&zip, 1, 2);
  Append(&zip, 1, 2);
  Append(&zip, directory_bytes, 4);
  Append(&zip, directory, 4);
  Append(&zip, 0, 2);
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> out,
                        arrow::AllocateBuffer(static_cast<int64_t>(zip.size()), pool));
  std::memcpy(out->mutable_data(), zip.data(), zip.size());
  return out;
}

}  // namespace headrace::codec
