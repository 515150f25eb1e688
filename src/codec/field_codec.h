/// \file
/// Field codecs: how a field's values are stored as bytes.
#pragma once

#include <arrow/buffer.h>
#include <arrow/memory_pool.h>
#include <headrace/schema.h>

#include <memory>

#include "codec/cell_decoder.h"

namespace headrace::codec {

/// Both ways between a field's values and its cells. Immutable; thread-safe.
class FieldCodec : public CellDecoder {
 public:
  /// REQUIRES: a field of a Schema, with another codec than "arrow". Scratch comes from
  /// the pool, which outlives the codec.
  static std::unique_ptr<FieldCodec> Make(const Field& field, arrow::MemoryPool* pool);
  FieldCodec(const Field& field, arrow::MemoryPool* pool);

  DType dtype() const override { return dtype_; }
  const std::vector<int64_t>& shape() const override { return shape_; }

  /// The cell of a value that `Check` finds right. InvalidArgument for what the format
  /// cannot hold.
  virtual Result<std::shared_ptr<arrow::Buffer>> Encode(
      const TensorView& value) const = 0;
  /// InvalidArgument for a value of another dtype or shape, as in "must be the shape
  /// (224, 224, 3), found (224, 200, 3)".
  Status Check(const TensorView& value) const;

 protected:
  /// SchemaMismatch for a stored value of another dtype or shape.
  Status CheckStored(DType dtype, const std::vector<int64_t>& shape) const;
  arrow::MemoryPool* pool() const { return pool_; }

 private:
  DType dtype_;
  std::vector<int64_t> shape_;
  arrow::MemoryPool* pool_;
};

}  // namespace headrace::codec
