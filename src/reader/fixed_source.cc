#include "reader/fixed_source.h"

#include <arrow/array.h>
#include <arrow/util/bit_util.h>
#include <parquet/column_page.h>
#include <parquet/encoding.h>
#include <parquet/types.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

namespace headrace::reader {
namespace {

// Values decoded at a time where they cannot be taken from the page: few enough for the
// first-level cache.
constexpr int64_t kTileRows = 1024;

Status BadPage(const std::string& what) {
  return Error(ErrorKind::kCorrupt, "a data page " + what);
}

// Whether `n` levels are one run of `level`, which is what writers leave where nothing is
// null (the RLE/bit-packing hybrid of the Parquet format, encodings page).
bool IsOneRun(const uint8_t* levels, int64_t size, int64_t n, int16_t level) {
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

  /// Decodes whether each of `n` <= kTileRows values is there; returns how many are.
  Result<int64_t> Next(int64_t n, bool* there) {
    std::array<int16_t, kTileRows> levels;
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

  Status SetDictionary(const std::shared_ptr<parquet::DictionaryPage>& page) {
    if (page->encoding() != parquet::Encoding::PLAIN &&
        page->encoding() != parquet::Encoding::PLAIN_DICTIONARY) {
      return Error(ErrorKind::kCorrupt, "the dictionary page is not PLAIN");
    }
    if constexpr (std::is_same_v<Physical, parquet::BooleanType>) {
      return Error(ErrorKind::kCorrupt, "there is a dictionary of booleans");
    } else {
      auto plain = parquet::MakeTypedDecoder<Physical>(parquet::Encoding::PLAIN,
                                                       descriptor_, pool_);
      plain->SetData(page->num_values(), page->data(), page->size());
      auto dictionary = parquet::MakeDictDecoder<Physical>(descriptor_, pool_);
      dictionary->SetDict(plain.get());
      dictionary_page_ = page;  // byte arrays of fixed length point into it
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
        !std::is_same_v<Physical, parquet::BooleanType>) {
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

  /// Of a dictionary: the next `n` <= kTileRows indices, all of them below the size of
  /// the dictionary, which is returned.
  Result<const Value*> Indices(int64_t n, int32_t* out) {
    if constexpr (std::is_same_v<Physical, parquet::BooleanType>) {
      return nullptr;
    } else {
      const int got = dictionary_->DecodeIndices(static_cast<int>(n), out);
      if (got != n) return TooFew(n - got);
      const Value* values = nullptr;
      int32_t size = 0;
      dictionary_->GetDictionary(&values, &size);
      // The sign bit is set if any index has it, or is above the last.
      uint32_t outside = 0;
      const auto last = static_cast<uint32_t>(size) - 1;
      for (int64_t i = 0; i < n; ++i) {
        const auto index = static_cast<uint32_t>(out[i]);
        outside |= index | (last - index);
      }
      if (n > 0 && (static_cast<int32_t>(outside) < 0 || size == 0)) {
        return BadPage("refers to values beyond its dictionary of " +
                       std::to_string(size));
      }
      return values;
    }
  }

  /// The next `n` <= kTileRows values, decoded.
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
      std::array<int32_t, kTileRows> indices;
      ARROW_ASSIGN_OR_RAISE(const Value* dictionary, Indices(n, indices.data()));
      for (int64_t i = 0; i < n; ++i) out[i] = dictionary[indices[i]];
      return Status::OK();
    }
    const int got = decoder_->Decode(out, static_cast<int>(n));
    return got == n ? Status::OK() : TooFew(n - got);
  }

 private:
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
  std::shared_ptr<parquet::DictionaryPage> dictionary_page_;
  // Booleans have none, but the type needs some other.
  using Dictionary = parquet::DictDecoder<std::conditional_t<
      std::is_same_v<Physical, parquet::BooleanType>, parquet::Int32Type, Physical>>;
  std::unique_ptr<Dictionary> dictionary_;
  bool by_index_ = false;  // the open page refers to it
  std::map<parquet::Encoding::type, std::unique_ptr<Decoder>> decoders_;
  Decoder* decoder_ = nullptr;
  const uint8_t* plain_ = nullptr;
  const uint8_t* plain_end_ = nullptr;
};

/// A column of `Physical` values that are kept as `Element`s, which are as wide or
/// narrower.
template <typename Physical, typename Element>
class FixedSource : public ColumnSource {
 public:
  using Value = typename Physical::c_type;
  // A page's values are elements, byte for byte.
  static constexpr bool kAsStored =
      std::is_same_v<Physical, parquet::FLBAType> || sizeof(Value) == sizeof(Element);

  FixedSource(const ReadContext& context, const parquet::ColumnDescriptor* descriptor,
              ChunkPages pages, int64_t first_row, std::shared_ptr<arrow::DataType> type)
      : pool_(context.pool),
        counters_(context.counters),
        type_(std::move(type)),
        pager_(std::move(pages.pager)),
        levels_(descriptor->max_definition_level()),
        values_(descriptor, pool_),
        pending_skip_(first_row - pages.passed) {
    counters_->values_skipped += pages.passed;
    pager_->set_data_page_filter([this](const parquet::DataPageStats& page) {
      if (page.num_values > pending_skip_) return false;
      pending_skip_ -= page.num_values;
      counters_->values_skipped += page.num_values;
      return true;
    });
  }

  bool CanPlace() const override { return true; }

  Status Place(int64_t rows, const window::Slot& slot) override {
    for (int64_t done = 0; done < rows;) {
      ARROW_ASSIGN_OR_RAISE(const int64_t n, Ready(rows - done));
      if (n == 0) return ChunkEnded(done, rows);
      ARROW_RETURN_NOT_OK(levels_.all_there() ? PlaceAll(done, n, slot)
                                              : PlaceSome(done, n, slot));
      page_left_ -= n;
      done += n;
    }
    counters_->values_decoded += rows;
    return Status::OK();
  }

  Result<std::shared_ptr<arrow::Array>> Read(int64_t rows) override {
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> values,
                          arrow::AllocateBuffer(rows * sizeof(Element), pool_));
    std::shared_ptr<arrow::Buffer> valid;
    window::Slot slot;
    slot.values = values->mutable_data();
    slot.valid = [&]() -> Result<uint8_t*> {
      if (valid == nullptr) {
        ARROW_ASSIGN_OR_RAISE(valid, arrow::AllocateBuffer(rows, pool_));
        std::memset(valid->mutable_data(), 1, static_cast<size_t>(rows));
      }
      return valid->mutable_data();
    };
    ARROW_RETURN_NOT_OK(Place(rows, slot));
    int64_t null_count = 0;
    if (valid != nullptr) {
      null_count = std::count(valid->data(), valid->data() + rows, 0);
      ARROW_ASSIGN_OR_RAISE(valid, Bits(*valid, rows));
    }
    if (type_->id() == arrow::Type::BOOL) {
      ARROW_ASSIGN_OR_RAISE(values, Bits(*values, rows));
    }
    return arrow::MakeArray(arrow::ArrayData::Make(
        type_, rows, {std::move(valid), std::move(values)}, null_count));
  }

  void Skip(int64_t rows) override { pending_skip_ += rows; }

 private:
  Result<std::shared_ptr<arrow::Buffer>> Bits(const arrow::Buffer& bytes, int64_t rows) {
    ARROW_ASSIGN_OR_RAISE(auto bits, arrow::AllocateEmptyBitmap(rows, pool_));
    for (int64_t i = 0; i < rows; ++i) {
      arrow::bit_util::SetBitTo(bits->mutable_data(), i, bytes.data()[i] != 0);
    }
    return bits;
  }

  static Element ElementOf(const Value& value) {
    if constexpr (std::is_same_v<Physical, parquet::FLBAType>) {
      Element element;
      std::memcpy(&element, value.ptr, sizeof(element));
      return element;
    } else {
      return static_cast<Element>(value);
    }
  }

  // Opens the page of the next row that is not passed over; how many of its rows can be
  // taken, at most `rows`. 0 at the end of the chunk.
  Result<int64_t> Ready(int64_t rows) {
    while (true) {
      if (page_left_ == 0) {
        ARROW_ASSIGN_OR_RAISE(const bool opened, OpenPage());
        if (!opened) return 0;
        continue;
      }
      if (pending_skip_ == 0) return std::min(rows, page_left_);
      const int64_t passed = std::min(pending_skip_, page_left_);
      ARROW_RETURN_NOT_OK(Pass(passed));
      pending_skip_ -= passed;
      page_left_ -= passed;
      counters_->values_decoded += passed;
    }
  }

  Result<bool> OpenPage() {
    while (true) {
      page_ = pager_->NextPage();
      if (page_ == nullptr) return false;
      switch (page_->type()) {
        case parquet::PageType::DICTIONARY_PAGE:
          ARROW_RETURN_NOT_OK(values_.SetDictionary(
              std::static_pointer_cast<parquet::DictionaryPage>(page_)));
          break;
        case parquet::PageType::DATA_PAGE: {
          const auto& page = static_cast<const parquet::DataPageV1&>(*page_);
          return StartValues(page, levels_.Start(page));
        }
        case parquet::PageType::DATA_PAGE_V2: {
          const auto& page = static_cast<const parquet::DataPageV2&>(*page_);
          ARROW_ASSIGN_OR_RAISE(const int64_t levels, levels_.Start(page));
          return StartValues(page, levels);
        }
        default:
          break;  // index pages and what later formats may add
      }
    }
  }

  Result<bool> StartValues(const parquet::DataPage& page, int64_t levels_bytes) {
    if (page.num_values() < 0 || levels_bytes > page.size()) {
      return BadPage("says that it has " + std::to_string(page.num_values()) +
                     " values in " + std::to_string(page.size()) + " bytes");
    }
    ARROW_RETURN_NOT_OK(values_.Start(page.encoding(), page.num_values(),
                                      page.data() + levels_bytes,
                                      page.size() - levels_bytes));
    page_left_ = page.num_values();
    return true;
  }

  Status Pass(int64_t rows) {
    std::array<Value, kTileRows> tile;
    std::array<bool, kTileRows> there;
    for (int64_t done = 0; done < rows;) {
      const int64_t n = std::min(rows - done, kTileRows);
      int64_t values = n;
      if (!levels_.all_there()) {
        ARROW_ASSIGN_OR_RAISE(values, levels_.Next(n, there.data()));
      }
      if (values_.plain()) {
        ARROW_RETURN_NOT_OK(values_.Plain(values).status());
      } else {
        ARROW_RETURN_NOT_OK(values_.Decode(values, tile.data()));
      }
      done += n;
    }
    return Status::OK();
  }

  static const uint32_t* PlacesAt(const window::Slot& slot, int64_t at) {
    return slot.place == nullptr ? nullptr : slot.place + at;
  }
  static uint8_t* ValuesAt(const window::Slot& slot, int64_t at) {
    return slot.place == nullptr ? slot.values + at * sizeof(Element) : slot.values;
  }

  Status PlaceAll(int64_t at, int64_t n, const window::Slot& slot) {
    if (kAsStored && values_.plain()) {
      ARROW_ASSIGN_OR_RAISE(const uint8_t* values, values_.Plain(n));
      window::Scatter<Element>(values, n, PlacesAt(slot, at), ValuesAt(slot, at));
      return Status::OK();
    }
    if (values_.by_index()) return PlaceByIndex(at, n, slot);
    std::array<Value, kTileRows> tile;
    for (int64_t end = at + n; at < end; at += kTileRows) {
      const int64_t count = std::min(end - at, kTileRows);
      ARROW_RETURN_NOT_OK(values_.Decode(count, tile.data()));
      const uint32_t* place = PlacesAt(slot, at);
      auto* out = reinterpret_cast<Element*>(ValuesAt(slot, at));
      for (int64_t i = 0; i < count; ++i) {
        out[place == nullptr ? i : place[i]] = ElementOf(tile[i]);
      }
    }
    return Status::OK();
  }

  // From the dictionary to the place, without a stop.
  Status PlaceByIndex(int64_t at, int64_t n, const window::Slot& slot) {
    std::array<int32_t, kTileRows> indices;
    for (int64_t end = at + n; at < end; at += kTileRows) {
      const int64_t count = std::min(end - at, kTileRows);
      ARROW_ASSIGN_OR_RAISE(const Value* dictionary,
                            values_.Indices(count, indices.data()));
      const uint32_t* place = PlacesAt(slot, at);
      auto* out = reinterpret_cast<Element*>(ValuesAt(slot, at));
      if (place == nullptr) {
        for (int64_t i = 0; i < count; ++i) out[i] = ElementOf(dictionary[indices[i]]);
      } else {
        for (int64_t i = 0; i < count; ++i) {
          out[place[i]] = ElementOf(dictionary[indices[i]]);
        }
      }
    }
    return Status::OK();
  }

  Status PlaceSome(int64_t at, int64_t n, const window::Slot& slot) {
    std::array<Value, kTileRows> tile;
    std::array<bool, kTileRows> there;
    auto* out = reinterpret_cast<Element*>(slot.values);
    for (int64_t end = at + n; at < end; at += kTileRows) {
      const int64_t count = std::min(end - at, kTileRows);
      ARROW_ASSIGN_OR_RAISE(const int64_t values, levels_.Next(count, there.data()));
      ARROW_RETURN_NOT_OK(values_.Decode(values, tile.data()));
      uint8_t* valid = nullptr;
      if (values < count) {
        ARROW_ASSIGN_OR_RAISE(valid, slot.valid());
      }
      const Value* next = tile.data();
      for (int64_t i = 0; i < count; ++i) {
        const int64_t to = slot.PlaceOf(at + i);
        if (there[i]) {
          out[to] = ElementOf(*next++);
        } else {
          out[to] = Element{};
          valid[to] = 0;
        }
      }
    }
    return Status::OK();
  }

  arrow::MemoryPool* pool_;
  ReadCounters* counters_;
  std::shared_ptr<arrow::DataType> type_;
  std::unique_ptr<parquet::PageReader> pager_;
  std::shared_ptr<parquet::Page> page_;
  PageLevels levels_;
  PageValues<Physical> values_;
  int64_t pending_skip_;
  int64_t page_left_ = 0;  // rows of the open page
};

/// Makes the source for a physical type and an element's width.
struct Making {
  const ReadContext& context;
  const parquet::ColumnDescriptor* descriptor;
  ChunkPages pages;
  int64_t first_row;
  std::shared_ptr<arrow::DataType> type;

  template <typename Physical, typename Element>
  std::unique_ptr<ColumnSource> Make() {
    return std::make_unique<FixedSource<Physical, Element>>(
        context, descriptor, std::move(pages), first_row, std::move(type));
  }

  template <typename Physical>
  std::unique_ptr<ColumnSource> MakeInteger() {
    switch (type->byte_width()) {
      case 1:
        return Make<Physical, uint8_t>();
      case 2:
        return Make<Physical, uint16_t>();
      case 4:
        return Make<Physical, uint32_t>();
      default:
        return Make<Physical, uint64_t>();
    }
  }
};

}  // namespace

Result<std::unique_ptr<ColumnSource>> MakeFixedSource(
    const ReadContext& context, const parquet::ColumnDescriptor* descriptor,
    ChunkPages pages, int64_t first_row, std::shared_ptr<arrow::DataType> type) {
  Making making{context, descriptor, std::move(pages), first_row, std::move(type)};
  switch (descriptor->physical_type()) {
    case parquet::Type::BOOLEAN:
      return making.Make<parquet::BooleanType, uint8_t>();
    case parquet::Type::INT32:
      return making.MakeInteger<parquet::Int32Type>();
    case parquet::Type::INT64:
      return making.MakeInteger<parquet::Int64Type>();
    case parquet::Type::FLOAT:
      return making.Make<parquet::FloatType, float>();
    case parquet::Type::DOUBLE:
      return making.Make<parquet::DoubleType, double>();
    default:
      return making.Make<parquet::FLBAType, uint16_t>();
  }
}

}  // namespace headrace::reader
