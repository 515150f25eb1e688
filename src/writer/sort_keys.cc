#include "writer/sort_keys.h"

#include <arrow/array.h>
#include <arrow/util/decimal.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>

#include "schema/text.h"

namespace headrace::writer {
namespace {

constexpr uint8_t kValue = 0;
constexpr uint8_t kNull = 1;  // last
// After text: what is longer goes on with a byte that is not 0, or with 0 and kEscape.
constexpr uint8_t kEnd = 0;
constexpr uint8_t kEscape = 0xFF;

// Unsigned, ordered as the values are.
template <typename T>
auto Ordered(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    constexpr Bits kSign = Bits{1} << (sizeof(T) * 8 - 1);
    if (std::isnan(value)) value = std::numeric_limits<T>::quiet_NaN();
    if (value == 0) value = 0;  // -0
    const auto bits = std::bit_cast<Bits>(value);
    return std::isnan(value)     ? std::numeric_limits<Bits>::max()
           : (bits & kSign) != 0 ? static_cast<Bits>(~bits)
                                 : static_cast<Bits>(bits | kSign);
  } else if constexpr (std::is_signed_v<T>) {
    using Bits = std::make_unsigned_t<T>;
    return static_cast<Bits>(static_cast<Bits>(value) ^ (Bits{1} << (sizeof(T) * 8 - 1)));
  } else {
    return value;
  }
}

template <typename Bits>
uint8_t* PutBigEndian(Bits bits, uint8_t* out) {
  for (size_t i = sizeof(Bits); i-- > 0;) {
    *out++ = static_cast<uint8_t>(static_cast<uint64_t>(bits) >> (8 * i));
  }
  return out;
}

// Calls `each(value, width)` with how a column's values are put: one of the classes
// below.
struct NumberPut {
  template <typename Array>
  static uint8_t* Put(const Array& array, int64_t row, uint8_t* out) {
    return PutBigEndian(Ordered(array.Value(row)), out);
  }
  template <typename Array>
  static int64_t Size(const Array&, int64_t) {
    return sizeof(typename Array::value_type);
  }
};

struct BooleanPut {
  static uint8_t* Put(const arrow::BooleanArray& array, int64_t row, uint8_t* out) {
    *out++ = array.Value(row) ? 1 : 0;
    return out;
  }
  static int64_t Size(const arrow::BooleanArray&, int64_t) { return 1; }
};

struct DecimalPut {
  static uint8_t* Put(const arrow::Decimal128Array& array, int64_t row, uint8_t* out) {
    const arrow::Decimal128 value(array.GetValue(row));
    out = PutBigEndian(Ordered(value.high_bits()), out);
    return PutBigEndian(value.low_bits(), out);
  }
  static int64_t Size(const arrow::Decimal128Array&, int64_t) { return 16; }
};

struct TextPut {
  template <typename Array>
  static uint8_t* Put(const Array& array, int64_t row, uint8_t* out) {
    for (const char c : array.GetView(row)) {
      *out++ = static_cast<uint8_t>(c);
      if (c == 0) *out++ = kEscape;
    }
    *out++ = 0;
    *out++ = kEnd;
    return out;
  }
  template <typename Array>
  static int64_t Size(const Array& array, int64_t row) {
    const auto view = array.GetView(row);
    return static_cast<int64_t>(view.size()) + std::ranges::count(view, '\0') + 2;
  }
};

// Calls `visit(array, put)` with the column as what it is; false for what has no order.
template <typename Visit>
bool VisitColumn(const arrow::Array& column, Visit&& visit) {
  switch (column.type_id()) {
#define HEADRACE_CASE(TYPE, ARRAY, PUT)                     \
  case arrow::Type::TYPE:                                   \
    visit(static_cast<const arrow::ARRAY&>(column), PUT()); \
    return true;
    HEADRACE_CASE(BOOL, BooleanArray, BooleanPut)
    HEADRACE_CASE(INT8, Int8Array, NumberPut)
    HEADRACE_CASE(INT16, Int16Array, NumberPut)
    HEADRACE_CASE(INT32, Int32Array, NumberPut)
    HEADRACE_CASE(INT64, Int64Array, NumberPut)
    HEADRACE_CASE(UINT8, UInt8Array, NumberPut)
    HEADRACE_CASE(UINT16, UInt16Array, NumberPut)
    HEADRACE_CASE(UINT32, UInt32Array, NumberPut)
    HEADRACE_CASE(UINT64, UInt64Array, NumberPut)
    HEADRACE_CASE(FLOAT, FloatArray, NumberPut)
    HEADRACE_CASE(DOUBLE, DoubleArray, NumberPut)
    HEADRACE_CASE(DATE32, Date32Array, NumberPut)
    HEADRACE_CASE(DATE64, Date64Array, NumberPut)
    HEADRACE_CASE(TIME32, Time32Array, NumberPut)
    HEADRACE_CASE(TIME64, Time64Array, NumberPut)
    HEADRACE_CASE(TIMESTAMP, TimestampArray, NumberPut)
    HEADRACE_CASE(DURATION, DurationArray, NumberPut)
    HEADRACE_CASE(DECIMAL128, Decimal128Array, DecimalPut)
    HEADRACE_CASE(STRING, StringArray, TextPut)
    HEADRACE_CASE(BINARY, BinaryArray, TextPut)
    HEADRACE_CASE(FIXED_SIZE_BINARY, FixedSizeBinaryArray, TextPut)
#undef HEADRACE_CASE
    default:
      return false;
  }
}

}  // namespace

Status SortKeys::Check(const arrow::Schema& schema, const std::vector<int>& columns) {
  for (const int column : columns) {
    const auto& field = *schema.field(column);
    ARROW_ASSIGN_OR_RAISE(const auto none, arrow::MakeEmptyArray(field.type()));
    if (VisitColumn(*none, [](const auto&, const auto&) {})) continue;
    return Error(ErrorKind::kUnsupported, "column \"" + field.name() + "\" is " +
                                              field.type()->ToString() +
                                              ", which rows cannot be sorted by");
  }
  return Status::OK();
}

Result<SortKeys> SortKeys::Make(const arrow::RecordBatch& batch,
                                const std::vector<int>& columns,
                                arrow::MemoryPool* pool) {
  SortKeys keys;
  keys.rows_ = batch.num_rows();
  ARROW_ASSIGN_OR_RAISE(keys.offsets_, arrow::AllocateBuffer((keys.rows_ + 1) * 8, pool));
  auto* offsets = reinterpret_cast<int64_t*>(keys.offsets_->mutable_data());
  std::fill_n(offsets, keys.rows_ + 1, 0);
  // Sizes, then where each key begins, then, as columns are put, where it goes on.
  for (const int c : columns) {
    VisitColumn(*batch.column(c), [&](const auto& array, const auto& put) {
      for (int64_t row = 0; row < keys.rows_; ++row) {
        offsets[row + 1] += 1 + (array.IsNull(row) ? 0 : put.Size(array, row));
      }
    });
  }
  for (int64_t row = 0; row < keys.rows_; ++row) offsets[row + 1] += offsets[row];
  ARROW_ASSIGN_OR_RAISE(keys.bytes_, arrow::AllocateBuffer(offsets[keys.rows_], pool));
  uint8_t* bytes = keys.bytes_->mutable_data();
  for (const int c : columns) {
    VisitColumn(*batch.column(c), [&](const auto& array, const auto& put) {
      for (int64_t row = 0; row < keys.rows_; ++row) {
        uint8_t* out = bytes + offsets[row];
        const bool null = array.IsNull(row);
        *out++ = null ? kNull : kValue;
        if (!null) out = put.Put(array, row, out);
        offsets[row] = out - bytes;
      }
    });
  }
  // Each now stands where the next key begins.
  std::copy_backward(offsets, offsets + keys.rows_, offsets + keys.rows_ + 1);
  offsets[0] = 0;
  return keys;
}

Result<std::shared_ptr<arrow::Buffer>> SortKeys::Sorted(arrow::MemoryPool* pool) const {
  struct Entry {
    uint64_t prefix;  // the first eight bytes, which mostly decide
    int64_t row;
  };
  ARROW_ASSIGN_OR_RAISE(
      auto held,
      arrow::AllocateBuffer(rows_ * static_cast<int64_t>(sizeof(Entry)), pool));
  const std::span<Entry> entries(reinterpret_cast<Entry*>(held->mutable_data()),
                                 static_cast<size_t>(rows_));
  for (int64_t row = 0; row < rows_; ++row) {
    const std::string_view key = At(row);
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; ++i) {
      prefix = prefix << 8 | (i < key.size() ? static_cast<uint8_t>(key[i]) : 0);
    }
    entries[static_cast<size_t>(row)] = {prefix, row};
  }
  std::ranges::sort(entries, [&](const Entry& a, const Entry& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    const int order = At(a.row).compare(At(b.row));
    return order != 0 ? order < 0 : a.row < b.row;
  });
  ARROW_ASSIGN_OR_RAISE(auto rows, arrow::AllocateBuffer(rows_ * 8, pool));
  auto* out = reinterpret_cast<int64_t*>(rows->mutable_data());
  for (const Entry& entry : entries) *out++ = entry.row;
  return std::shared_ptr<arrow::Buffer>(std::move(rows));
}

}  // namespace headrace::writer
