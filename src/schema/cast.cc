#include "schema/cast.h"

#include <arrow/array/concatenate.h>
#include <arrow/compute/api.h>
#include <arrow/extension_type.h>
#include <arrow/util/bit_util.h>

#include <cstring>
#include <string>
#include <utility>

#include "schema/convert.h"
#include "schema/dtype.h"

namespace headrace::schema {
namespace {

using arrow::bit_util::GetBit;

// The elements of a primitive array, booleans as bytes, nulls as 0.
Result<std::shared_ptr<arrow::Buffer>> Elements(const arrow::Array& values, DType dtype,
                                                arrow::MemoryPool* pool) {
  const arrow::ArrayData& data = *values.data();
  const int64_t width = ByteWidth(dtype);
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> elements,
                        arrow::AllocateBuffer(data.length * width, pool));
  uint8_t* out = elements->mutable_data();
  if (dtype == DType::kBool) {
    for (int64_t i = 0; i < data.length; ++i) {
      out[i] = GetBit(data.buffers[1]->data(), data.offset + i) ? 1 : 0;
    }
  } else if (data.length > 0) {
    std::memcpy(out, data.buffers[1]->data() + data.offset * width,
                static_cast<size_t>(data.length * width));
  }
  if (values.null_count() == 0) return elements;
  for (int64_t i = 0; i < data.length; ++i) {
    if (values.IsNull(i)) std::memset(out + i * width, 0, static_cast<size_t>(width));
  }
  return elements;
}

Result<std::shared_ptr<arrow::Array>> CastNumbers(
    const std::shared_ptr<arrow::Array>& values,
    const std::shared_ptr<arrow::DataType>& type, arrow::MemoryPool* pool) {
  if (arrow::is_decimal(values->type_id())) {
    arrow::compute::ExecContext exec(pool);
    const DType to = DTypeOf(*type).value_or(DType::kFloat64);
    ARROW_ASSIGN_OR_RAISE(
        auto numbers,
        arrow::compute::Cast(values, ArrowTypeOf(DecimalVia(*values->type(), to)),
                             arrow::compute::CastOptions::Safe(), &exec));
    return CastArray(numbers.make_array(), type, pool);
  }
  const auto from = DTypeOf(*values->type());
  const auto to = DTypeOf(*type);
  if (!from || !to) {
    return Error(ErrorKind::kUnsupported, "a cast of " + values->type()->ToString() +
                                              " to " + type->ToString() +
                                              " is not defined");
  }
  const int64_t rows = values->length();
  ARROW_ASSIGN_OR_RAISE(auto in, Elements(*values, *from, pool));
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> out,
                        arrow::AllocateBuffer(rows * ByteWidth(*to), pool));
  ConvertSpan span;
  span.in = in->data();
  span.out = out->mutable_data();
  span.count = rows;
  if (auto bad = Convert(*from, *to, span)) {
    return Error(ErrorKind::kInvalidArgument,
                 "the value " +
                     ElementToString(*from, in->data() + *bad * ByteWidth(*from)) +
                     " is no " + std::string(DTypeName(*to)) + ": cast to a wider dtype");
  }
  if (*to == DType::kBool) {
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> bits,
                          arrow::AllocateEmptyBitmap(rows, pool));
    for (int64_t i = 0; i < rows; ++i) {
      arrow::bit_util::SetBitTo(bits->mutable_data(), i, out->data()[i] != 0);
    }
    out = std::move(bits);
  }
  std::shared_ptr<arrow::Buffer> valid;
  if (values->null_count() > 0) {
    ARROW_ASSIGN_OR_RAISE(valid, arrow::AllocateEmptyBitmap(rows, pool));
    for (int64_t i = 0; i < rows; ++i) {
      arrow::bit_util::SetBitTo(valid->mutable_data(), i, values->IsValid(i));
    }
  }
  return arrow::MakeArray(arrow::ArrayData::Make(
      type, rows, {std::move(valid), std::move(out)}, values->null_count()));
}

// The same array with its first child, which holds the numbers, cast.
Result<std::shared_ptr<arrow::Array>> CastChild(
    const std::shared_ptr<arrow::Array>& values,
    const std::shared_ptr<arrow::DataType>& type, arrow::MemoryPool* pool) {
  // A slice's children hold other rows' values, which are not to be judged.
  ARROW_ASSIGN_OR_RAISE(auto compact, arrow::Concatenate({values}, pool));
  auto data = compact->data()->Copy();
  ARROW_ASSIGN_OR_RAISE(auto child, CastArray(arrow::MakeArray(data->child_data[0]),
                                              type->field(0)->type(), pool));
  data->type = type;
  data->child_data[0] = child->data();
  return arrow::MakeArray(data);
}

}  // namespace

DType DecimalVia(const arrow::DataType& decimal, DType to) {
  const bool whole = static_cast<const arrow::DecimalType&>(decimal).scale() == 0;
  return whole && to == DType::kUInt64 ? DType::kUInt64 : DType::kFloat64;
}

Result<std::shared_ptr<arrow::Array>> CastArray(
    const std::shared_ptr<arrow::Array>& values,
    const std::shared_ptr<arrow::DataType>& type, arrow::MemoryPool* pool) {
  if (values->type()->Equals(*type)) return values;
  if (arrow::is_binary_view_like(type->id())) {
    arrow::compute::ExecContext exec(pool);
    ARROW_ASSIGN_OR_RAISE(
        auto text,
        arrow::compute::Cast(values, type, arrow::compute::CastOptions::Safe(), &exec));
    return text.make_array();
  }
  switch (values->type_id()) {
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::FIXED_SIZE_LIST:
    case arrow::Type::STRUCT:  // the storage of tensors of varying shape
      return CastChild(values, type, pool);
    case arrow::Type::EXTENSION: {
      const auto& tensors = static_cast<const arrow::ExtensionArray&>(*values);
      const auto& target = static_cast<const arrow::ExtensionType&>(*type);
      ARROW_ASSIGN_OR_RAISE(auto storage,
                            CastArray(tensors.storage(), target.storage_type(), pool));
      return arrow::ExtensionType::WrapArray(type, storage);
    }
    default:
      return CastNumbers(values, type, pool);
  }
}

int64_t FirstMisfit(const arrow::Array& values,
                    const std::shared_ptr<arrow::DataType>& type) {
  auto fits = [&](int64_t first, int64_t rows) {
    return CastArray(values.Slice(first, rows), type, arrow::default_memory_pool()).ok();
  };
  int64_t first = 0;
  for (int64_t rows = values.length(); rows > 1;) {
    const int64_t half = rows / 2;
    const bool in_second = fits(first, half);
    first += in_second ? half : 0;
    rows = in_second ? rows - half : half;
  }
  return first;
}

}  // namespace headrace::schema
