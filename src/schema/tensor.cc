#include "schema/tensor.h"

#include <arrow/buffer.h>

#include <string_view>
#include <utility>
#include <variant>

namespace headrace {

int TensorBatch::Find(std::string_view name) const {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<int>(i);
  }
  return -1;
}

TensorBatch BatchPart::Batch() const {
  if (is_whole()) return *whole;
  TensorBatch part;
  part.rows = rows;
  part.names = whole->names;
  part.columns.reserve(whole->columns.size());
  for (const BatchColumn& column : whole->columns) {
    Tensor tensor = std::get<Tensor>(column);
    const int64_t row_bytes = tensor.size() / tensor.shape[0] * ByteWidth(tensor.dtype);
    tensor.shape[0] = rows;
    tensor.buffer =
        arrow::SliceMutableBuffer(tensor.buffer, first * row_bytes, rows * row_bytes);
    part.columns.emplace_back(std::move(tensor));
  }
  return part;
}

}  // namespace headrace

namespace headrace::schema {

Result<Tensor> AllocateTensor(DType dtype, std::vector<int64_t> shape,
                              arrow::MemoryPool* pool) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  ARROW_ASSIGN_OR_RAISE(tensor.buffer,
                        arrow::AllocateBuffer(tensor.size() * ByteWidth(dtype), pool));
  return tensor;
}

Status NullError(const std::string& column, const std::string& location) {
  return Error(
      ErrorKind::kInvalidArgument,
      "column \"" + column + "\" is null" + location +
          ", expected a value: filter such rows out, or say what nulls become, as in "
          "nulls({\"" +
          column + "\": hr.fill(0)}) or nulls({\"" + column + "\": \"mask\"})");
}

}  // namespace headrace::schema
