#include "schema/tensor.h"

#include <arrow/buffer.h>

#include <utility>

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
