#include "schema/convert.h"

#include <arrow/util/float16.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace headrace::schema {
namespace {

struct BoolTag {
  using Storage = uint8_t;
};
struct Float16Tag {
  using Storage = uint16_t;
};
struct BFloat16Tag {
  using Storage = uint16_t;
};
template <typename T>
struct PlainTag {
  using Storage = T;
};

uint16_t BFloat16FromFloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40);
  // Round to nearest, ties to even.
  bits += 0x7fff + ((bits >> 16) & 1);
  return static_cast<uint16_t>(bits >> 16);
}

float BFloat16ToFloat(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

// The value to compute with: itself, but float for the 16-bit floats.
template <typename Tag>
auto Load(typename Tag::Storage stored) {
  if constexpr (std::is_same_v<Tag, Float16Tag>) {
    return arrow::util::Float16::FromBits(stored).ToFloat();
  } else if constexpr (std::is_same_v<Tag, BFloat16Tag>) {
    return BFloat16ToFloat(stored);
  } else {
    return stored;
  }
}

template <typename To, typename V>
bool FitsInteger(V value) {
  if constexpr (std::is_floating_point_v<V>) {
    // The limits as doubles: the upper one is exclusive, since max() + 1 is a power of
    // two.
    constexpr double kLow = static_cast<double>(std::numeric_limits<To>::min());
    const double high = std::ldexp(1.0, std::numeric_limits<To>::digits);
    return value >= kLow && value < high && std::trunc(value) == value;
  } else {
    return std::in_range<To>(value);
  }
}

// Returns false if the value has no image.
template <typename Tag, typename V>
bool Store(V value, typename Tag::Storage* out) {
  if constexpr (std::is_same_v<Tag, Float16Tag>) {
    if constexpr (std::is_same_v<V, double>) {
      *out = arrow::util::Float16::FromDouble(value).bits();
    } else {
      *out = arrow::util::Float16::FromFloat(static_cast<float>(value)).bits();
    }
    return true;
  } else if constexpr (std::is_same_v<Tag, BFloat16Tag>) {
    *out = BFloat16FromFloat(static_cast<float>(value));
    return true;
  } else if constexpr (std::is_same_v<Tag, BoolTag>) {
    *out = value != 0 ? 1 : 0;
    return true;
  } else if constexpr (std::is_floating_point_v<typename Tag::Storage>) {
    *out = static_cast<typename Tag::Storage>(value);
    return true;
  } else {
    if (!FitsInteger<typename Tag::Storage>(value)) return false;
    *out = static_cast<typename Tag::Storage>(value);
    return true;
  }
}

template <typename From, typename To>
std::optional<int64_t> ConvertTyped(const ConvertSpan& span) {
  using In = typename From::Storage;
  using Out = typename To::Storage;
  const auto* in = reinterpret_cast<const In*>(span.in);
  auto* out = reinterpret_cast<Out*>(span.out);
  if constexpr (std::is_same_v<From, To>) {
    if (span.in_stride == 1 && span.out_stride == 1) {
      if (span.count > 0)
        std::memcpy(out, in, static_cast<size_t>(span.count) * sizeof(In));
      return std::nullopt;
    }
    for (int64_t i = 0; i < span.count; ++i) {
      out[i * span.out_stride] = in[i * span.in_stride];
    }
  } else {
    for (int64_t i = 0; i < span.count; ++i) {
      if (!Store<To>(Load<From>(in[i * span.in_stride]), &out[i * span.out_stride]))
        return i;
    }
  }
  return std::nullopt;
}

template <typename Fn>
auto Visit(DType dtype, Fn&& fn) {
  switch (dtype) {
    case DType::kBool:
      return fn(BoolTag{});
    case DType::kInt8:
      return fn(PlainTag<int8_t>{});
    case DType::kInt16:
      return fn(PlainTag<int16_t>{});
    case DType::kInt32:
      return fn(PlainTag<int32_t>{});
    case DType::kInt64:
      return fn(PlainTag<int64_t>{});
    case DType::kUInt8:
      return fn(PlainTag<uint8_t>{});
    case DType::kUInt16:
      return fn(PlainTag<uint16_t>{});
    case DType::kUInt32:
      return fn(PlainTag<uint32_t>{});
    case DType::kUInt64:
      return fn(PlainTag<uint64_t>{});
    case DType::kFloat16:
      return fn(Float16Tag{});
    case DType::kBFloat16:
      return fn(BFloat16Tag{});
    case DType::kFloat32:
      return fn(PlainTag<float>{});
    case DType::kFloat64:
      break;
  }
  return fn(PlainTag<double>{});
}

template <typename Fn>
void VisitFloating(DType dtype, Fn&& fn) {
  switch (dtype) {
    case DType::kFloat16:
      return fn(Float16Tag{});
    case DType::kBFloat16:
      return fn(BFloat16Tag{});
    case DType::kFloat32:
      return fn(PlainTag<float>{});
    default:
      return fn(PlainTag<double>{});
  }
}

// The shortest text that reads back as the same number.
template <typename V>
std::string Shortest(V value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

}  // namespace

std::optional<int64_t> Convert(DType from, DType to, const ConvertSpan& span) {
  return Visit(from, [&](auto from_tag) {
    return Visit(to, [&](auto to_tag) {
      return ConvertTyped<decltype(from_tag), decltype(to_tag)>(span);
    });
  });
}

void Standardize(const StandardizePolicy& how, DType from, DType to,
                 const ConvertSpan& span) {
  const double scale = how.std == 0 ? 1 : how.std;
  Visit(from, [&](auto from_tag) {
    const auto* in =
        reinterpret_cast<const typename decltype(from_tag)::Storage*>(span.in);
    VisitFloating(to, [&](auto to_tag) {
      using To = decltype(to_tag);
      auto* out = reinterpret_cast<typename To::Storage*>(span.out);
      for (int64_t i = 0; i < span.count; ++i) {
        const auto value =
            static_cast<double>(Load<decltype(from_tag)>(in[i * span.in_stride]));
        Store<To>((value - how.mean) / scale, &out[i * span.out_stride]);
      }
    });
  });
}

std::string ElementToString(DType dtype, const uint8_t* element) {
  return Visit(dtype, [&](auto tag) {
    using Tag = decltype(tag);
    typename Tag::Storage stored;
    std::memcpy(&stored, element, sizeof(stored));
    return Shortest(+Load<Tag>(stored));
  });
}

Status StoreNumber(const Number& number, DType dtype, uint8_t* out) {
  ConvertSpan span;
  span.out = out;
  span.count = 1;
  span.in = number.is_integer ? reinterpret_cast<const uint8_t*>(&number.integer)
                              : reinterpret_cast<const uint8_t*>(&number.real);
  if (Convert(number.is_integer ? DType::kInt64 : DType::kFloat64, dtype, span)) {
    return Error(ErrorKind::kInvalidArgument,
                 NumberToString(number) + " is no " + std::string(DTypeName(dtype)));
  }
  return Status::OK();
}

std::string NumberToString(const Number& number) {
  return number.is_integer ? Shortest(number.integer) : Shortest(number.real);
}

}  // namespace headrace::schema
