/// \file
/// Schema: what the values of a table's columns are, beyond what Parquet can say of them.
/// Values: copy, compare, print, to and from JSON (docs/format/schema.md).
#pragma once

#include <arrow/type.h>
#include <headrace/batch.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace arrow {
class ChunkedArray;
}

namespace headrace {

/// One column: scalars, or tensors that a field codec stores as bytes.
struct Field {
  /// A dimension that differs from value to value.
  static constexpr int64_t kVaries = -1;

  std::string name = {};
  /// A tensor's ("uint8", "float32", ...); scalars may also be "string" or "binary".
  std::string dtype = {};
  /// Of one value; empty for scalars.
  std::vector<int64_t> shape = {};
  /// "raw", "npy", "npz", "zstd", "jpeg", "png", "webp", or "arrow": as Arrow's own type,
  /// which is a scalar, a list or a tensor. Empty: "arrow" for scalars, else "raw", or
  /// "npy" where several dimensions vary.
  std::string codec = {};
  /// "jpeg" and "webp": 1 to 100. Absent: 90.
  std::optional<int> quality = {};
  bool nullable = true;

  bool operator==(const Field&) const = default;
  /// As Python writes it, for example `Field("x", "float32", (128,), codec="raw")`.
  std::string ToString() const;
};

/// The fields of a table, in order. Immutable; thread-safe.
class Schema {
 public:
  Schema() = default;
  /// Fills in codecs that are left open. InvalidArgument, naming the field, for names
  /// that occur twice, dtypes and codecs that are not known, and codecs that cannot hold
  /// the dtype or shape.
  static Result<Schema> Make(std::vector<Field> fields);
  /// Fields by their metadata (docs/format/schema.md), else by their Arrow types: lists
  /// are shaped, and bytes are bytes. Columns that no tensor holds and that are neither
  /// strings nor bytes are left out. Unsupported for metadata of a later format.
  static Result<Schema> FromArrow(const arrow::Schema& schema);
  static Result<Schema> FromJson(const std::string& json);

  const std::vector<Field>& fields() const { return fields_; }
  /// Null if there is none of the name.
  const Field* Find(std::string_view name) const;
  /// How the fields are stored, with their metadata.
  Result<std::shared_ptr<arrow::Schema>> ToArrow() const;
  std::string ToJson() const;
  std::string ToString() const;

  bool operator==(const Schema&) const = default;

 private:
  std::vector<Field> fields_;
};

/// A value to be encoded: C-contiguous elements, or a null.
struct TensorView {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;
  const uint8_t* data = nullptr;
  /// There is no value; the others say nothing.
  bool is_null = false;
};

/// Encodes values by the field's codec, on `num_threads` threads; at most 2 GiB in a
/// chunk. REQUIRES: the codec is not "arrow". InvalidArgument for a value that is not of
/// the field's dtype or shape, and for a null where the field is not nullable, naming the
/// field and the row: `first_row` and on.
Result<std::shared_ptr<arrow::ChunkedArray>> Encode(const Field& field,
                                                    std::span<const TensorView> values,
                                                    int64_t first_row = 0,
                                                    int num_threads = 2);

}  // namespace headrace
