#include "expression/functions.h"

#include <arrow/array/util.h>
#include <arrow/compute/function.h>
#include <arrow/compute/kernel.h>
#include <arrow/compute/registry.h>
#include <arrow/type_traits.h>
#include <arrow/util/bit_util.h>

#include <bit>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using arrow::ArraySpan;
using arrow::Type;

// What a null's key is the hash of.
constexpr std::string_view kNull("\0null", 5);

/// Hashes to [0, 1), evenly: a double has 53 bits.
double ToUnit(uint64_t hash) { return static_cast<double>(hash >> 11) * 0x1p-53; }

double KeyOf(std::string_view bytes, uint64_t seed) {
  return ToUnit(base::Hash64(bytes, seed));
}

double KeyOf(int64_t number, uint64_t seed) {
  static_assert(std::endian::native == std::endian::little);
  char bytes[sizeof(number)];
  std::memcpy(bytes, &number, sizeof(number));
  return KeyOf(std::string_view(bytes, sizeof(bytes)), seed);
}

/// The keys of an array whose value i, where there is one, is `value(i)`.
template <typename Value>
void Fill(const ArraySpan& values, uint64_t seed, const Value& value, double* out) {
  const double null = KeyOf(kNull, seed);
  for (int64_t i = 0; i < values.length; ++i) {
    out[i] = values.IsValid(i) ? KeyOf(value(i), seed) : null;
  }
}

template <typename T>
void FillNumbers(const ArraySpan& values, uint64_t seed, double* out) {
  const T* numbers = values.GetValues<T>(1);
  Fill(values, seed, [&](int64_t i) { return static_cast<int64_t>(numbers[i]); }, out);
}

template <typename Offset>
void FillBytes(const ArraySpan& values, uint64_t seed, double* out) {
  const Offset* offsets = values.GetValues<Offset>(1);
  const auto* bytes = reinterpret_cast<const char*>(values.buffers[2].data);
  Fill(
      values, seed,
      [&](int64_t i) {
        const auto size = static_cast<size_t>(offsets[i + 1] - offsets[i]);
        return size == 0 ? std::string_view()
                         : std::string_view(bytes + offsets[i], size);
      },
      out);
}

void FillFixedBytes(const ArraySpan& values, uint64_t seed, double* out) {
  const int64_t width = values.type->byte_width();
  const auto* bytes =
      reinterpret_cast<const char*>(values.buffers[1].data) + values.offset * width;
  Fill(
      values, seed,
      [&](int64_t i) {
        return std::string_view(bytes + i * width, static_cast<size_t>(width));
      },
      out);
}

void FillFlags(const ArraySpan& values, uint64_t seed, double* out) {
  const uint8_t* bits = values.buffers[1].data;
  Fill(
      values, seed,
      [&](int64_t i) -> int64_t {
        return arrow::bit_util::GetBit(bits, values.offset + i) ? 1 : 0;
      },
      out);
}

using Filler = void (*)(const ArraySpan& values, uint64_t seed, double* out);

/// How keys are made of a type; null: they are not.
Filler FillerOf(Type::type type) {
  switch (type) {
    case Type::BOOL:
      return FillFlags;
    case Type::INT8:
      return FillNumbers<int8_t>;
    case Type::UINT8:
      return FillNumbers<uint8_t>;
    case Type::INT16:
      return FillNumbers<int16_t>;
    case Type::UINT16:
      return FillNumbers<uint16_t>;
    case Type::UINT32:
      return FillNumbers<uint32_t>;
    case Type::UINT64:
      return FillNumbers<uint64_t>;
    case Type::INT32:
    case Type::DATE32:
    case Type::TIME32:
      return FillNumbers<int32_t>;
    case Type::INT64:
    case Type::DATE64:
    case Type::TIME64:
    case Type::TIMESTAMP:
    case Type::DURATION:
      return FillNumbers<int64_t>;
    case Type::STRING:
    case Type::BINARY:
      return FillBytes<int32_t>;
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
      return FillBytes<int64_t>;
    case Type::FIXED_SIZE_BINARY:
      return FillFixedBytes;
    default:
      return nullptr;
  }
}

Result<Filler> CheckedFillerOf(const arrow::DataType& type) {
  if (const Filler filler = FillerOf(type.id())) return filler;
  return Status::TypeError("keys are made of integers, booleans, text, bytes, dates and ",
                           "times, not of ", type.ToString());
}

Result<arrow::TypeHolder> KeyType(cp::KernelContext*,
                                  const std::vector<arrow::TypeHolder>& types) {
  ARROW_RETURN_NOT_OK(CheckedFillerOf(*types[0].type).status());
  return arrow::float64();
}

Status MakeKeys(cp::KernelContext*, const cp::ExecSpan& batch, cp::ExecResult* out) {
  ARROW_ASSIGN_OR_RAISE(const Filler fill, CheckedFillerOf(*batch[0].type()));
  // A literal, of which Arrow makes an array where the value is one as well.
  const uint64_t seed = batch[1].is_scalar()
                            ? batch[1].scalar_as<arrow::UInt64Scalar>().value
                            : batch[1].array.GetValues<uint64_t>(1)[0];
  fill(batch[0].array, seed, out->array_span_mutable()->GetValues<double>(1));
  return Status::OK();
}

Result<std::shared_ptr<cp::ScalarFunction>> MakeSplitKey() {
  auto function = std::make_shared<cp::ScalarFunction>(
      kSplitKey, cp::Arity::Binary(),
      cp::FunctionDoc("A keyed hash of a value, in [0, 1)", "", {"value", "seed"}));
  cp::ScalarKernel kernel({cp::InputType(), cp::InputType(arrow::uint64())},
                          cp::OutputType(KeyType), MakeKeys);
  kernel.null_handling = cp::NullHandling::OUTPUT_NOT_NULL;
  kernel.mem_allocation = cp::MemAllocation::PREALLOCATE;
  ARROW_RETURN_NOT_OK(function->AddKernel(std::move(kernel)));
  return function;
}

}  // namespace

Status RegisterFunctions() {
  static const Status status = []() -> Status {
    ARROW_ASSIGN_OR_RAISE(auto split_key, MakeSplitKey());
    return cp::GetFunctionRegistry()->AddFunction(std::move(split_key),
                                                  /*allow_overwrite=*/true);
  }();
  return status;
}

bool HasSplitKey(const arrow::DataType& type) { return FillerOf(type.id()) != nullptr; }

Result<double> SplitKeyOf(const arrow::Scalar& value, uint64_t seed) {
  ARROW_ASSIGN_OR_RAISE(const Filler fill, CheckedFillerOf(*value.type));
  ARROW_ASSIGN_OR_RAISE(auto array, arrow::MakeArrayFromScalar(value, 1));
  double key = 0;
  fill(ArraySpan(*array->data()), seed, &key);
  return key;
}

}  // namespace headrace::expression
