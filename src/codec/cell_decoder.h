/// \file
/// The seam between stored cells and tensors: one binary cell in, one value out.
#pragma once

#include <headrace/batch.h>
#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace headrace::codec {

/// A dimension that differs from value to value.
inline constexpr int64_t kVaries = -1;

/// What identifies a sample of an epoch, on any world size: what random choices of its
/// value are keyed by.
struct SampleKey {
  uint64_t seed = 0;
  int64_t epoch = 0;
  /// The file's number in the table and the row in the file (Contract "Order").
  int64_t row_id = 0;
};

/// Gives the memory that a value of this shape goes to: as many elements as the shape
/// has, C-contiguous, not initialized. Called once a value, as soon as its shape is
/// known.
using Allocate = std::function<Result<uint8_t*>(std::span<const int64_t> shape)>;

/// Makes values of binary cells. Immutable; thread-safe.
class CellDecoder {
 public:
  virtual ~CellDecoder() = default;
  /// The dtype of every value.
  virtual DType dtype() const = 0;
  /// The shape of every value; kVaries where it differs.
  virtual const std::vector<int64_t>& shape() const = 0;
  /// Whether what `Decode` makes depends on the key.
  virtual bool is_random() const { return false; }
  /// Decodes a cell. Errors: Corrupt, SchemaMismatch (dtype or shape are not the
  /// declared), Unsupported; and what `allocate` returns. They name neither column nor
  /// row.
  virtual Status Decode(std::span<const uint8_t> cell, const SampleKey& key,
                        const Allocate& allocate) const = 0;
};

}  // namespace headrace::codec
