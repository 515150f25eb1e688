/// \file
/// What is in the data pages of a flat column of fixed width.
#pragma once

#include <arrow/buffer.h>
#include <headrace/result.h>
#include <parquet/column_page.h>
#include <parquet/column_reader.h>
#include <parquet/encoding.h>
#include <parquet/types.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace headrace::reader {

// Values decoded at a time where they cannot be taken from the page: few enough for the
// first-level cache.
inline constexpr int64_t kPageTileRows = 1024;

inline Status BadPage(const std::string& what) {
  return Error(ErrorKind::kCorrupt, "a data page " + what);
}

// Whether `n` levels are one run of `level`, which is what writers leave where nothing is
// null (the RLE/bit-packing hybrid of the Parquet format, encodings page).
inline bool IsOneRun(const uint8_t* levels, int64_t size, int64_t n, int16_t level) {
  uint64_t header = 0;
  int64_t at = 0;
  for (int shift = 0; at < size && shift <= 28; shift += 7) {
    const uint8_t byte = levels[at++];
    header |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) break;
  }
  const bool run = (header & 1) == 0;
  return run && static_cast<int64_t>(header >> 1) >= n && at < size && level < 256 &&
         levels[at] == level;
}

// Whether `n` indices are below `size`, four at a time.
inline bool AllBelow(int32_t size, const int32_t* indices, int64_t n) {
  using Four = uint32_t __attribute__((vector_size(16)));
  // The sign bit is set if any index has it, or is above the last.
  const uint32_t last = static_cast<uint32_t>(size) - 1;
  Four outside{};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    Four four;
    std::memcpy(&four, indices + i, sizeof(four));
    outside |= four | (last - four);
  }
  uint32_t any = outside[0] | outside[1] | outside[2] | outside[3];
  for (; i < n; ++i) {
    const auto index = static_cast<uint32_t>(indices[i]);
    any |= index | (last - index);
  }
  return size > 0 && static_cast<int32_t>(any) >= 0;
}

/// The definition levels of one page.
class PageLevels {
 public:
  explicit PageLevels(int16_t max) : max_(max), decoder_(max) {}

  bool all_there() const { return all_there_; }

  /// Returns the bytes that levels take at the start of a page of format 1.
  int64_t Start(const parquet::DataPageV1& page) {
    if (max_ == 0) return 0;
    const bool rle = page.definition_level_encoding() == parquet::Encoding::RLE;
    const int64_t bytes = decoder_.SetData(page.definition_level_encoding(), max_,
                                           page.num_values(), page.data(), page.size());
    all_there_ =
        rle && bytes > 4 && IsOneRun(page.data() + 4, bytes - 4, page.num_values(), max_);
    return bytes;
  }

  Result<int64_t> Start(const parquet::DataPageV2& page) {
    const int64_t before = page.repetition_levels_byte_length();
    const int64_t bytes = page.definition_levels_byte_length();
    if (before < 0 || bytes < 0 || before + bytes > page.size()) {
      return BadPage("says that its levels take " + std::to_string(before + bytes) +
                     " of its " + std::to_string(page.size()) + " bytes");
    }
    if (max_ > 0) {
      const uint8_t* levels = page.data() + before;
      decoder_.SetDataV2(static_cast<int32_t>(bytes), max_, page.num_values(), levels);
      all_there_ = IsOneRun(levels, bytes, page.num_values(), max_);
    }
    return before + bytes;
  }

  /// Decodes whether each of `n` <= kPageTileRows values is there; returns how many are.
  Result<int64_t> Next(int64_t n, bool* there) {
    std::array<int16_t, kPageTileRows> levels;
    if (decoder_.Decode(static_cast<int>(n), levels.data()) != n) {
      return BadPage("has fewer definition levels than values");
    }
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
      there[i] = levels[i] == max_;
      count += there[i] ? 1 : 0;
    }
    return count;
  }

 private:
  int16_t max_;
  parquet::LevelDecoder decoder_;
  bool all_there_ = true;
};

/// The values of the pages of one chunk, one after the other.
template <typename Physical>
class PageValues {
 public:
  using Value = typename Physical::c_type;
  using Decoder = parquet::TypedDecoder<Physical>;

  PageValues(const parquet::ColumnDescriptor* descriptor, arrow::MemoryPool* pool)
      : descriptor_(descriptor), pool_(pool) {}

  /// `lasting`: the page's bytes stay as long as the page is held.
  Status SetDictionary(const std::shared_ptr<parquet::DictionaryPage>& page,
                       bool lasting) {
    if (page->encoding() != parquet::Encoding::PLAIN &&
        page->encoding() != parquet::Encoding::PLAIN_DICTIONARY) {
      return Error(ErrorKind::kCorrupt, "the dictionary page is not PLAIN");
    }
    if constexpr (std::is_same_v<Physical, parquet::BooleanType>) {
      return Error(ErrorKind::kCorrupt, "there is a dictionary of booleans");
    } else {
      auto dictionary = parquet::MakeDictDecoder<Physical>(descriptor_, pool_);
      if constexpr (kNumbers) {
        ARROW_RETURN_NOT_OK(SetEntries(page, lasting));
      } else {
        auto plain = parquet::MakeTypedDecoder<Physical>(parquet::Encoding::PLAIN,
                                                         descriptor_, pool_);
        plain->SetData(page->num_values(), page->data(), page->size());
        dictionary->SetDict(plain.get());
        dictionary->GetDictionary(&entries_, &entry_count_);
      }
      dictionary_ = std::move(dictionary);
      return Status::OK();
    }
  }

  /// Starts at a page's values, which must stay until the next call.
  Status Start(parquet::Encoding::type encoding, int64_t values, const uint8_t* data,
               int64_t size) {
    plain_ = plain_end_ = nullptr;
    by_index_ = false;
    if (encoding == parquet::Encoding::PLAIN &&
        !std::is_same_v<Physical, parquet::BooleanType> &&
        !std::is_same_v<Physical, parquet::ByteArrayType>) {
      plain_ = data;
      plain_end_ = data + size;
      return Status::OK();
    }
    if (encoding == parquet::Encoding::PLAIN_DICTIONARY ||
        encoding == parquet::Encoding::RLE_DICTIONARY) {
      if (dictionary_ == nullptr) {
        return BadPage("refers to a dictionary that is missing");
      }
      by_index_ = true;
      dictionary_->SetData(static_cast<int>(values), data, static_cast<int>(size));
      return Status::OK();
    }
    auto& decoder = decoders_[encoding];
    if (decoder == nullptr) {
      decoder = parquet::MakeTypedDecoder<Physical>(encoding, descriptor_, pool_);
    }
    decoder_ = decoder.get();
    decoder_->SetData(static_cast<int>(values), data, static_cast<int>(size));
    return Status::OK();
  }

  /// PLAIN, of fixed width.
  bool plain() const { return plain_ != nullptr; }
  bool by_index() const { return by_index_; }

  /// PLAIN: the next `n` values as they lie in the page.
  Result<const uint8_t*> Plain(int64_t n) {
    const int64_t bytes = n * Width();
    if (plain_end_ - plain_ < bytes) {
      return BadPage("has " + std::to_string(plain_end_ - plain_) +
                     " bytes of values left, expected at least " + std::to_string(bytes));
    }
    const uint8_t* values = plain_;
    plain_ += bytes;
    return values;
  }

  /// Of a dictionary: the next `n` <= kPageTileRows indices, all of them below the size
  /// of the dictionary, which is returned.
  Result<const Value*> Indices(int64_t n, int32_t* out) {
    if constexpr (std::is_same_v<Physical, parquet::BooleanType>) {
      return nullptr;
    } else {
      const int got = dictionary_->DecodeIndices(static_cast<int>(n), out);
      if (got != n) return TooFew(n - got);
      if (n > 0 && !AllBelow(entry_count_, out, n)) {
        return BadPage("refers to values beyond its dictionary of " +
                       std::to_string(entry_count_));
      }
      return entries_;
    }
  }

  /// The next `n` <= kPageTileRows values, decoded.
  Status Decode(int64_t n, Value* out) {
    if (plain()) {
      ARROW_ASSIGN_OR_RAISE(const uint8_t* values, Plain(n));
      if constexpr (std::is_same_v<Physical, parquet::FLBAType>) {
        for (int64_t i = 0; i < n; ++i) out[i].ptr = values + i * Width();
      } else {
        std::memcpy(out, values, static_cast<size_t>(n * Width()));
      }
      return Status::OK();
    }
    if (by_index()) {
      std::array<int32_t, kPageTileRows> indices;
      ARROW_ASSIGN_OR_RAISE(const Value* dictionary, Indices(n, indices.data()));
      for (int64_t i = 0; i < n; ++i) out[i] = dictionary[indices[i]];
      return Status::OK();
    }
    const int got = decoder_->Decode(out, static_cast<int>(n));
    return got == n ? Status::OK() : TooFew(n - got);
  }

  /// Passes over the next `n` <= kPageTileRows values: where they have indices, without
  /// fetching them from the dictionary, which may be far from the caches.
  Status Pass(int64_t n) {
    if (plain()) return Plain(n).status();
    if (by_index()) {
      std::array<int32_t, kPageTileRows> indices;
      return Indices(n, indices.data()).status();
    }
    std::array<Value, kPageTileRows> tile;
    return Decode(n, tile.data());
  }

 private:
  // A dictionary's page is the values themselves.
  static constexpr bool kNumbers = std::is_arithmetic_v<Value>;

  // Takes a page of numbers for the dictionary, and copies it only where it must.
  Status SetEntries(const std::shared_ptr<parquet::DictionaryPage>& page, bool lasting) {
    const int64_t bytes = page->num_values() * int64_t{sizeof(Value)};
    if (bytes < 0 || page->size() < bytes) {
      return Error(ErrorKind::kCorrupt, "the dictionary page has " +
                                            std::to_string(page->size()) +
                                            " bytes, expected " + std::to_string(bytes));
    }
    entry_count_ = page->num_values();
    const bool aligned = reinterpret_cast<uintptr_t>(page->data()) % alignof(Value) == 0;
    if (lasting && aligned) {
      dictionary_page_ = page;
      entries_ = reinterpret_cast<const Value*>(page->data());
      return Status::OK();
    }
    ARROW_ASSIGN_OR_RAISE(copied_, arrow::AllocateBuffer(bytes, pool_));
    if (bytes > 0) {
      std::memcpy(copied_->mutable_data(), page->data(), static_cast<size_t>(bytes));
    }
    entries_ = reinterpret_cast<const Value*>(copied_->data());
    return Status::OK();
  }

  static Status TooFew(int64_t missing) {
    return BadPage("has " + std::to_string(missing) + " values less than it says");
  }
  int64_t Width() const {
    if constexpr (std::is_same_v<Physical, parquet::FLBAType>) {
      return descriptor_->type_length();
    } else {
      return sizeof(Value);
    }
  }

  const parquet::ColumnDescriptor* descriptor_;
  arrow::MemoryPool* pool_;
  // Booleans have none, but the type needs some other.
  using Dictionary = parquet::DictDecoder<std::conditional_t<
      std::is_same_v<Physical, parquet::BooleanType>, parquet::Int32Type, Physical>>;
  std::unique_ptr<Dictionary> dictionary_;  // decodes indices
  // What they refer to, which lies in dictionary_, in the page, or in a copy of it.
  const Value* entries_ = nullptr;
  int32_t entry_count_ = 0;
  std::shared_ptr<parquet::DictionaryPage> dictionary_page_;
  std::shared_ptr<arrow::Buffer> copied_;
  bool by_index_ = false;  // the open page refers to it
  std::map<parquet::Encoding::type, std::unique_ptr<Decoder>> decoders_;
  Decoder* decoder_ = nullptr;
  const uint8_t* plain_ = nullptr;
  const uint8_t* plain_end_ = nullptr;
};

}  // namespace headrace::reader
