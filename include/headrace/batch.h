/// \file
/// TensorBatch: what a training step sees. Thread-safety: values; share by const
/// reference.
#pragma once

#include <arrow/buffer.h>
#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace headrace {

/// Element types of tensors. Dates, times, timestamps and durations are the integers that
/// are stored, in the stored unit.
enum class DType : uint8_t {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUInt8,
  kUInt16,
  kUInt32,
  kUInt64,
  kFloat16,
  kBFloat16,
  kFloat32,
  kFloat64,
};

/// Bytes of one element.
int64_t ByteWidth(DType dtype);

/// The name that `cast` takes and schemas print, for example "float32".
std::string_view DTypeName(DType dtype);

/// A dense, C-contiguous, 64-byte aligned tensor. The first dimension is the batch,
/// except for offsets (`<name>_offsets`), which have one element more than the batch.
struct Tensor {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  /// Owns the values, perhaps as a slice of memory that it shares with other tensors of
  /// the batch and, where batches are small, of the next ones. Memory of a batch that was
  /// handed out is the caller's and no longer counts against the loader's memory budget.
  std::shared_ptr<arrow::Buffer> buffer;

  int64_t size() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
  const uint8_t* data() const { return buffer->data(); }
};

/// A column is a tensor, or an Arrow array where no tensor can hold it (strings, binary
/// and, for `to="arrow"`, any stored type).
using BatchColumn = std::variant<Tensor, std::shared_ptr<arrow::Array>>;

/// The samples of one step on one rank.
struct TensorBatch {
  /// Samples in the batch: the leading dimension of every column.
  int64_t rows = 0;
  std::vector<std::string> names;
  /// Parallel to `names`.
  std::vector<BatchColumn> columns;

  /// Index of a column, or -1.
  int Find(std::string_view name) const;
};

/// One step's rows of a batch that may hold several steps': small ones are assembled
/// together.
struct BatchPart {
  std::shared_ptr<const TensorBatch> whole;
  int64_t first = 0;
  int64_t rows = 0;

  bool is_whole() const { return rows == whole->rows; }
  /// The part as a batch, whose tensors share the whole's memory.
  TensorBatch Batch() const;
};

}  // namespace headrace
