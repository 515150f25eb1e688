/// \file
/// Footers forged for tests: Thrift's compact protocol, with any value at any place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace headrace::table::forged {

/// A Thrift struct being written. Fields go in ascending order of their ids.
class Struct {
 public:
  Struct& I32(int id, int64_t value) { return Field(id, 5).Varint(ZigZag(value)); }
  Struct& I64(int id, int64_t value) { return Field(id, 6).Varint(ZigZag(value)); }
  Struct& Text(int id, const std::string& value) {
    Field(id, 8).Varint(value.size());
    bytes_ += value;
    return *this;
  }
  Struct& Nested(int id, const Struct& value) {
    Field(id, 12);
    bytes_ += value.bytes();
    return *this;
  }
  Struct& I32s(int id, const std::vector<int64_t>& values) {
    List(id, 5, values.size());
    for (int64_t value : values) Varint(ZigZag(value));
    return *this;
  }
  Struct& Texts(int id, const std::vector<std::string>& values) {
    List(id, 8, values.size());
    for (const std::string& value : values) {
      Varint(value.size());
      bytes_ += value;
    }
    return *this;
  }
  Struct& Structs(int id, const std::vector<Struct>& values) {
    return Structs(id, values, values.size());
  }
  /// A list that claims another size.
  Struct& Structs(int id, const std::vector<Struct>& values, uint64_t claimed) {
    List(id, 12, claimed);
    for (const Struct& value : values) bytes_ += value.bytes();
    return *this;
  }
  std::string bytes() const { return bytes_ + '\0'; }

 private:
  static uint64_t ZigZag(int64_t value) {
    return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
  }
  Struct& Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
    return *this;
  }
  Struct& Field(int id, int type) {
    bytes_ += static_cast<char>((id - last_id_) << 4 | type);
    last_id_ = id;
    return *this;
  }
  void List(int id, int type, uint64_t size) {
    Field(id, 9);
    if (size < 15) {
      bytes_ += static_cast<char>(size << 4 | static_cast<uint64_t>(type));
    } else {
      bytes_ += static_cast<char>(0xF0 | type);
      Varint(size);
    }
  }

  std::string bytes_;
  int last_id_ = 0;
};

inline Struct Root(int children) { return Struct().Text(4, "schema").I32(5, children); }
/// A required column of a physical type: 1 is int32, 2 is int64.
inline Struct Column(const std::string& name, int type = 2) {
  return Struct().I32(1, type).I32(3, 0).Text(4, name);
}

/// A column chunk in a row group; what is set is written as it is.
struct Chunk {
  std::string name = "x";
  int type = 2;
  int64_t values = 10;
  int64_t uncompressed_bytes = 80;
  int64_t compressed_bytes = 80;
  int64_t page_offset = 4;
  std::optional<int64_t> dictionary_offset = {};
  std::optional<int64_t> offset_index_offset = {};
  std::optional<int64_t> offset_index_bytes = {};
  bool metadata = true;

  Struct Thrift() const {
    Struct meta;
    meta.I32(1, type).I32s(2, {0}).Texts(3, {name}).I32(4, 0).I64(5, values);
    meta.I64(6, uncompressed_bytes).I64(7, compressed_bytes).I64(9, page_offset);
    if (dictionary_offset) meta.I64(11, *dictionary_offset);
    Struct chunk;
    chunk.I64(2, 0);
    if (metadata) chunk.Nested(3, meta);
    if (offset_index_offset) chunk.I64(4, *offset_index_offset);
    if (offset_index_bytes) chunk.I32(5, *offset_index_bytes);
    return chunk;
  }
};

inline Struct RowGroup(const std::vector<Chunk>& chunks, int64_t rows = 10) {
  std::vector<Struct> columns;
  for (const Chunk& chunk : chunks) columns.push_back(chunk.Thrift());
  return Struct().Structs(1, columns).I64(2, 80).I64(3, rows);
}

inline Struct Footer(const std::vector<Struct>& schema, const std::vector<Struct>& groups,
                     int64_t rows = 10) {
  return Struct().I32(1, 2).Structs(2, schema).I64(3, rows).Structs(4, groups);
}

/// A file of `data_bytes` zeros, a footer, and the length that it claims to have.
inline std::string File(const std::string& footer, size_t data_bytes = 100,
                        std::optional<uint32_t> claimed = std::nullopt) {
  std::string file = "PAR1" + std::string(data_bytes, '\0') + footer;
  const uint32_t length = claimed.value_or(static_cast<uint32_t>(footer.size()));
  for (int shift = 0; shift < 32; shift += 8) file += static_cast<char>(length >> shift);
  return file + "PAR1";
}

/// One int64 column "x" in one row group.
inline std::string FileOf(const Chunk& chunk, int64_t rows = 10) {
  return File(Footer({Root(1), Column("x")}, {RowGroup({chunk}, rows)}, rows).bytes());
}

}  // namespace headrace::table::forged
