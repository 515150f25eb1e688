#include "reader/fixed_source.h"

#include <arrow/array.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "base/with_width.h"
#include "reader/page_walk.h"

namespace headrace::reader {
namespace {

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
        type_(std::move(type)),
        walk_(context, descriptor, std::move(pages), first_row) {}

  bool CanPlace() const override { return true; }

  Status Place(int64_t rows, const window::Slot& slot) override {
    return walk_.TakeRows(rows, [&](int64_t at, int64_t n) {
      return walk_.levels().all_there() ? PlaceAll(at, n, slot) : PlaceSome(at, n, slot);
    });
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

  void Skip(int64_t rows) override { walk_.Skip(rows); }
  DecodePath path() const override { return DecodePath::kArrays; }

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

  Status PlaceAll(int64_t at, int64_t n, const window::Slot& slot) {
    auto* out = reinterpret_cast<Element*>(slot.values) + at;
    if (kAsStored && walk_.values().plain()) {
      ARROW_ASSIGN_OR_RAISE(const uint8_t* values, walk_.values().Plain(n));
      std::memcpy(out, values, static_cast<size_t>(n) * sizeof(Element));
      return Status::OK();
    }
    if (walk_.values().by_index()) return LookUp(n, out);
    std::array<Value, kPageTileRows> tile;
    for (Element* const end = out + n; out < end; out += kPageTileRows) {
      const int64_t count = std::min<int64_t>(end - out, kPageTileRows);
      ARROW_RETURN_NOT_OK(walk_.values().Decode(count, tile.data()));
      for (int64_t i = 0; i < count; ++i) out[i] = ElementOf(tile[i]);
    }
    return Status::OK();
  }

  // Looks up `n` values by their indices. The entries of a large dictionary come from
  // memory, in no order that the processor could foresee: those of a tile are asked for
  // while those of the one before are taken.
  Status LookUp(int64_t n, Element* out) {
    std::array<std::array<int32_t, kPageTileRows>, 2> indices;
    const Value* dictionary = nullptr;
    int64_t count = 0;
    for (int64_t done = 0, turn = 0; count > 0 || done < n; turn = 1 - turn) {
      const int64_t next = std::min(n - done, kPageTileRows);
      const int32_t* const wanted = indices[turn].data();
      if (next > 0) {
        ARROW_ASSIGN_OR_RAISE(dictionary,
                              walk_.values().Indices(next, indices[turn].data()));
      }
      const int32_t* const taken = indices[1 - turn].data();
      const int64_t both = std::min(count, next);
      int64_t i = 0;
      for (; i < both; ++i) {
        __builtin_prefetch(dictionary + wanted[i]);
        out[i] = ElementOf(dictionary[taken[i]]);
      }
      for (; i < count; ++i) out[i] = ElementOf(dictionary[taken[i]]);
      for (; i < next; ++i) __builtin_prefetch(dictionary + wanted[i]);
      out += count;
      done += next;
      count = next;
    }
    return Status::OK();
  }

  Status PlaceSome(int64_t at, int64_t n, const window::Slot& slot) {
    std::array<Value, kPageTileRows> tile;
    std::array<bool, kPageTileRows> there;
    auto* out = reinterpret_cast<Element*>(slot.values);
    for (int64_t end = at + n; at < end; at += kPageTileRows) {
      const int64_t count = std::min(end - at, kPageTileRows);
      ARROW_ASSIGN_OR_RAISE(const int64_t values,
                            walk_.levels().Next(count, there.data()));
      ARROW_RETURN_NOT_OK(walk_.values().Decode(values, tile.data()));
      uint8_t* valid = nullptr;
      if (values < count) {
        ARROW_ASSIGN_OR_RAISE(valid, slot.valid());
      }
      const Value* next = tile.data();
      for (int64_t i = 0; i < count; ++i) {
        if (there[i]) {
          out[at + i] = ElementOf(*next++);
        } else {
          out[at + i] = Element{};
          valid[at + i] = 0;
        }
      }
    }
    return Status::OK();
  }

  arrow::MemoryPool* pool_;
  std::shared_ptr<arrow::DataType> type_;
  PageWalk<Physical> walk_;
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
    return base::WithWidth(type->byte_width(), [&]<typename Element>(Element) {
      return Make<Physical, Element>();
    });
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
