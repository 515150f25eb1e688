#include "codec/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

namespace headrace::codec {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kHeaderBytesMax = 1 << 20;
constexpr size_t kAlignment = 64;

Status Damaged(const std::string& what) {
  return Error(ErrorKind::kCorrupt, "a damaged npy array: " + what);
}

struct Named {
  std::string_view name;
  DType dtype;
};

// Kind and width, after the byte order.
constexpr Named kTypes[] = {
    {"b1", DType::kBool},    {"i1", DType::kInt8},    {"i2", DType::kInt16},
    {"i4", DType::kInt32},   {"i8", DType::kInt64},   {"u1", DType::kUInt8},
    {"u2", DType::kUInt16},  {"u4", DType::kUInt32},  {"u8", DType::kUInt64},
    {"f2", DType::kFloat16}, {"f4", DType::kFloat32}, {"f8", DType::kFloat64},
};

/// Reads the Python literal of a header: {'descr': '<f4', 'fortran_order': False,
/// 'shape': (3, 4), }.
class Literal {
 public:
  explicit Literal(std::string_view text) : left_(text) {}

  bool Take(char c) {
    SkipSpace();
    if (left_.empty() || left_[0] != c) return false;
    left_.remove_prefix(1);
    return true;
  }
  std::optional<std::string_view> Text() {
    SkipSpace();
    if (left_.empty() || (left_[0] != '\'' && left_[0] != '"')) return std::nullopt;
    const size_t end = left_.find(left_[0], 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view text = left_.substr(1, end - 1);
    left_.remove_prefix(end + 1);
    return text;
  }
  std::optional<bool> Boolean() {
    SkipSpace();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!left_.starts_with(word)) continue;
      left_.remove_prefix(word.size());
      return value;
    }
    return std::nullopt;
  }
  std::optional<std::vector<int64_t>> Shape() {
    if (!Take('(')) return std::nullopt;
    std::vector<int64_t> shape;
    while (!Take(')')) {
      SkipSpace();
      int64_t dimension = -1;
      const auto [end, error] =
          std::from_chars(left_.data(), left_.data() + left_.size(), dimension);
      if (error != std::errc() || dimension < 0) return std::nullopt;
      left_.remove_prefix(static_cast<size_t>(end - left_.data()));
      Take('L');  // Python 2's
      shape.push_back(dimension);
      if (!Take(',') && !left_.starts_with(')')) return std::nullopt;
    }
    return shape;
  }

 private:
  void SkipSpace() {
    while (!left_.empty() && (left_[0] == ' ' || left_[0] == '\n'))
      left_.remove_prefix(1);
  }
  std::string_view left_;
};

Status ReadType(std::string_view text, NpyHeader* header) {
  auto unsupported = [&] {
    return Error(ErrorKind::kUnsupported,
                 "its elements are '" + std::string(text) +
                     "', expected numbers, booleans, or dates: no tensor holds others");
  };
  if (text.size() < 3) return unsupported();
  header->swapped = text[0] == '>';
  std::string_view type = text.substr(1);
  if (type.starts_with("M8") || type.starts_with("m8")) type = "i8";
  const auto* found = std::ranges::find(kTypes, type, &Named::name);
  if (found == std::end(kTypes)) return unsupported();
  header->dtype = found->dtype;
  return Status::OK();
}

Status ReadLiteral(std::string_view text, NpyHeader* header) {
  Literal literal(text);
  std::optional<std::string_view> descr;
  std::optional<bool> order;
  std::optional<std::vector<int64_t>> shape;
  if (!literal.Take('{')) return Damaged("its header is no dict");
  while (!literal.Take('}')) {
    const auto key = literal.Text();
    if (!key || !literal.Take(':')) return Damaged("its header is no dict");
    if (*key == "descr") {
      descr = literal.Text();
      if (!descr) {
        return Error(ErrorKind::kUnsupported,
                     "it is a structured array, expected an array of numbers");
      }
    } else if (*key == "fortran_order") {
      order = literal.Boolean();
    } else if (*key == "shape") {
      shape = literal.Shape();
    } else {
      return Damaged("its header has the key '" + std::string(*key) + "'");
    }
    literal.Take(',');
  }
  if (!descr || !order || !shape) {
    return Damaged("its header lacks one of descr, fortran_order and shape");
  }
  header->column_major = *order;
  header->shape = std::move(*shape);
  return ReadType(*descr, header);
}

template <int kBytes>
void CopyElement(const uint8_t* in, bool swapped, uint8_t* out) {
  if (!swapped) {
    std::memcpy(out, in, kBytes);
    return;
  }
  for (int b = 0; b < kBytes; ++b) out[b] = in[kBytes - 1 - b];
}

// The elements in C order, from either order.
template <int kBytes>
void CopyAll(const NpyHeader& header, const uint8_t* in, uint8_t* out) {
  if (!header.column_major || header.shape.size() < 2) {
    for (int64_t i = 0; i < header.elements; ++i) {
      CopyElement<kBytes>(in + i * kBytes, header.swapped, out + i * kBytes);
    }
    return;
  }
  std::vector<int64_t> strides;
  int64_t stride = 1;
  for (const int64_t dimension : header.shape) {
    strides.push_back(stride);
    stride *= dimension;
  }
  std::vector<int64_t> index(header.shape.size(), 0);
  int64_t at = 0;
  for (int64_t i = 0; i < header.elements; ++i) {
    CopyElement<kBytes>(in + at * kBytes, header.swapped, out + i * kBytes);
    for (size_t d = index.size(); d-- > 0;) {
      at += strides[d];
      if (++index[d] < header.shape[d]) break;
      at -= strides[d] * header.shape[d];
      index[d] = 0;
    }
  }
}

}  // namespace

Result<NpyHeader> ReadNpyHeader(std::span<const uint8_t> npy) {
  const std::string_view text(reinterpret_cast<const char*>(npy.data()), npy.size());
  if (text.size() < kMagic.size() + 4 || !text.starts_with(kMagic)) {
    return Damaged("it does not begin with its magic bytes");
  }
  const int version = npy[kMagic.size()];
  if (version < 1 || version > 3) {
    return Error(ErrorKind::kUnsupported,
                 "an npy array of version " + std::to_string(version) +
                     ", this build reads 1 to 3: use a newer headrace");
  }
  const size_t width = version == 1 ? 2 : 4;
  const size_t begin = kMagic.size() + 2 + width;
  if (npy.size() < begin) return Damaged("its header is cut off");
  size_t length = 0;
  for (size_t i = width; i-- > 0;) length = length << 8 | npy[kMagic.size() + 2 + i];
  if (length > kHeaderBytesMax || npy.size() - begin < length) {
    return Damaged("its header is cut off");
  }
  NpyHeader header;
  ARROW_RETURN_NOT_OK(ReadLiteral(text.substr(begin, length), &header));
  header.bytes = begin + length;
  int64_t bytes = ByteWidth(header.dtype);
  header.elements = 1;
  for (const int64_t dimension : header.shape) {
    if (__builtin_mul_overflow(bytes, dimension, &bytes)) {
      return Damaged("its shape is too large");
    }
    header.elements *= dimension;
  }
  const auto found = static_cast<int64_t>(npy.size() - header.bytes);
  if (found != bytes) {
    return Damaged("found " + std::to_string(found) + " bytes of elements, expected " +
                   std::to_string(bytes));
  }
  return header;
}

void CopyNpyElements(const NpyHeader& header, std::span<const uint8_t> npy,
                     uint8_t* out) {
  const uint8_t* const in = npy.data() + header.bytes;
  const int64_t width = ByteWidth(header.dtype);
  if (header.elements == 0) return;
  const bool turned = header.column_major && header.shape.size() > 1;
  if (!turned && (!header.swapped || width == 1)) {
    std::memcpy(out, in, static_cast<size_t>(header.elements * width));
    return;
  }
  switch (width) {
    case 1:
      return CopyAll<1>(header, in, out);
    case 2:
      return CopyAll<2>(header, in, out);
    case 4:
      return CopyAll<4>(header, in, out);
    default:
      return CopyAll<8>(header, in, out);
  }
}

std::string NpyHeaderOf(DType dtype, const std::vector<int64_t>& shape) {
  const auto* type = std::ranges::find(kTypes, dtype, &Named::dtype);
  std::string text = "{'descr': '";
  text += ByteWidth(dtype) == 1 ? '|' : '<';
  text += std::string(type->name) + "', 'fortran_order': False, 'shape': (";
  for (size_t d = 0; d < shape.size(); ++d) {
    text += (d == 0 ? "" : ", ") + std::to_string(shape[d]);
  }
  text += shape.size() == 1 ? ",), }" : "), }";
  // Spaces and a line end, so that the elements are aligned.
  const size_t before = kMagic.size() + 4;
  const size_t whole =
      (before + text.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  text.append(whole - before - text.size() - 1, ' ');
  text += '\n';
  std::string header(kMagic);
  header +=
      {1, 0, static_cast<char>(text.size() & 0xFF), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace headrace::codec
