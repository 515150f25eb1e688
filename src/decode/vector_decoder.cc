#include "decode/vector_decoder.h"

#include <arrow/type.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "decode/list_decoder.h"
#include "schema/convert.h"

namespace headrace::decode {
namespace {

using schema::ColumnPlan;

constexpr int8_t kSparse = 0;
constexpr int8_t kDense = 1;

/// The children of a vector column.
class Vectors {
 public:
  Vectors(const ColumnPlan& plan, const arrow::Array& values,
          const schema::Locate& locate)
      : plan_(plan),
        locate_(locate),
        rows_(static_cast<const arrow::StructArray&>(values)),
        type_(Child<arrow::Int8Array>(0)),
        size_(Child<arrow::Int32Array>(1)),
        indices_(Child<arrow::ListArray>(2)),
        values_(Child<arrow::ListArray>(3)),
        index_(static_cast<const arrow::Int32Array&>(*indices_.values())),
        value_(static_cast<const arrow::DoubleArray&>(*values_.values())) {}

  int64_t rows() const { return rows_.length(); }
  bool IsNull(int64_t i) const { return rows_.IsNull(i); }
  bool IsSparse(int64_t i) const { return type_.Value(i) == kSparse; }
  /// Elements of the vector.
  int32_t SizeOf(int64_t i) const {
    return IsSparse(i) ? size_.Value(i) : values_.value_length(i);
  }
  /// Those that are stored: all of a dense vector.
  int32_t StoredOf(int64_t i) const { return values_.value_length(i); }
  double ValueAt(int64_t i, int32_t e) const {
    return value_.Value(values_.value_offset(i) + e);
  }
  /// Where the stored element is in the vector.
  int32_t IndexAt(int64_t i, int32_t e) const {
    return IsSparse(i) ? index_.Value(indices_.value_offset(i) + e) : e;
  }

  /// Whether every row is null or a vector, so that the methods above may be called.
  Status Check() const {
    for (int64_t i = 0; i < rows(); ++i) {
      if (IsNull(i)) {
        if (plan_.nulls.kind != NullPolicy::Kind::kError) continue;
        return schema::NullError(plan_.name, locate_(i));
      }
      const std::string wrong = WrongWith(i);
      if (wrong.empty()) continue;
      return Error(ErrorKind::kCorrupt, "column \"" + plan_.name + "\"" + locate_(i) +
                                            " is no Spark ML vector: " + wrong);
    }
    return Status::OK();
  }

 private:
  template <typename T>
  const T& Child(int i) const {
    return static_cast<const T&>(*rows_.field(i));
  }

  std::string WrongWith(int64_t i) const {
    if (type_.IsNull(i) || values_.IsNull(i)) return "its type or values are null";
    if (type_.Value(i) != kDense && type_.Value(i) != kSparse) {
      return "its type is " + std::to_string(type_.Value(i)) +
             ", expected 0 (sparse) or 1 (dense)";
    }
    for (int32_t e = 0; e < StoredOf(i); ++e) {
      if (value_.IsNull(values_.value_offset(i) + e)) {
        return "value " + std::to_string(e) + " is null";
      }
    }
    if (!IsSparse(i)) return "";
    if (size_.IsNull(i) || indices_.IsNull(i)) return "its size or indices are null";
    if (indices_.value_length(i) != StoredOf(i)) {
      return "it has " + std::to_string(indices_.value_length(i)) + " indices and " +
             std::to_string(StoredOf(i)) + " values";
    }
    int32_t last = -1;
    for (int32_t e = 0; e < StoredOf(i); ++e) {
      const int64_t at = indices_.value_offset(i) + e;
      if (index_.IsNull(at)) return "index " + std::to_string(e) + " is null";
      const int32_t index = index_.Value(at);
      if (index <= last || index >= size_.Value(i)) {
        return "index " + std::to_string(e) + " is " + std::to_string(index) +
               ", expected ascending ones below its size, " +
               std::to_string(size_.Value(i));
      }
      last = index;
    }
    return "";
  }

  const ColumnPlan& plan_;
  const schema::Locate& locate_;
  const arrow::StructArray& rows_;
  const arrow::Int8Array& type_;
  const arrow::Int32Array& size_;
  const arrow::ListArray& indices_;
  const arrow::ListArray& values_;
  const arrow::Int32Array& index_;
  const arrow::DoubleArray& value_;
};

/// One call of DecodeVectors.
struct VectorDecoding {
  const ColumnPlan& plan;
  const Vectors& vectors;
  const schema::Locate& locate;
  arrow::MemoryPool* pool;
  TensorBatch* batch;

  void Append(const char* suffix, Tensor tensor) const {
    batch->names.push_back(plan.name + suffix);
    batch->columns.emplace_back(std::move(tensor));
  }

  // Dense elements as lists, none of them null.
  Result<std::shared_ptr<arrow::Array>> ToLists() const {
    int64_t longest = 0;
    for (int64_t i = 0; i < vectors.rows(); ++i) {
      if (!vectors.IsNull(i)) longest = std::max<int64_t>(longest, vectors.SizeOf(i));
    }
    // Rows of unequal length show that nulls are empty.
    const bool ragged = plan.ragged.kind == RaggedPolicy::Kind::kRagged;
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> offsets,
                          arrow::AllocateBuffer((vectors.rows() + 1) * 8, pool));
    auto* offset = reinterpret_cast<int64_t*>(offsets->mutable_data());
    offset[0] = 0;
    for (int64_t i = 0; i < vectors.rows(); ++i) {
      const int64_t size = !vectors.IsNull(i) ? vectors.SizeOf(i) : ragged ? 0 : longest;
      offset[i + 1] = offset[i] + size;
    }
    const int64_t count = offset[vectors.rows()];
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> elements,
                          arrow::AllocateBuffer(count * 8, pool));
    auto* out = reinterpret_cast<double*>(elements->mutable_data());
    std::fill_n(out, count, 0.0);
    for (int64_t i = 0; i < vectors.rows(); ++i) {
      if (vectors.IsNull(i)) {
        if (plan.nulls.kind != NullPolicy::Kind::kFill) continue;
        double fill = 0;
        ARROW_RETURN_NOT_OK(schema::StoreNumber(plan.nulls.fill, DType::kFloat64,
                                                reinterpret_cast<uint8_t*>(&fill)));
        std::fill(out + offset[i], out + offset[i + 1], fill);
        continue;
      }
      for (int32_t e = 0; e < vectors.StoredOf(i); ++e) {
        out[offset[i] + vectors.IndexAt(i, e)] = vectors.ValueAt(i, e);
      }
    }
    auto flat = std::make_shared<arrow::DoubleArray>(count, std::move(elements));
    return std::make_shared<arrow::LargeListArray>(arrow::large_list(arrow::float64()),
                                                   vectors.rows(), std::move(offsets),
                                                   std::move(flat));
  }

  Status AppendDense() const {
    ARROW_ASSIGN_OR_RAISE(const auto lists, ToLists());
    ColumnPlan as_lists = plan;
    as_lists.form = schema::Form::kList;
    as_lists.nulls = NullPolicy();
    return DecodeLists(as_lists, lists, locate, pool, batch);
  }

  Status AppendSparse() const {
    int64_t stored = 0;
    for (int64_t i = 0; i < vectors.rows(); ++i) {
      if (!vectors.IsNull(i)) stored += vectors.StoredOf(i);
    }
    const int64_t rows = vectors.rows();
    ARROW_ASSIGN_OR_RAISE(Tensor indices,
                          schema::AllocateTensor(DType::kInt32, {stored}, pool));
    ARROW_ASSIGN_OR_RAISE(Tensor values,
                          schema::AllocateTensor(plan.dtype, {stored}, pool));
    ARROW_ASSIGN_OR_RAISE(Tensor offsets,
                          schema::AllocateTensor(DType::kInt64, {rows + 1}, pool));
    ARROW_ASSIGN_OR_RAISE(Tensor sizes,
                          schema::AllocateTensor(DType::kInt32, {rows}, pool));
    auto* index = reinterpret_cast<int32_t*>(indices.buffer->mutable_data());
    auto* offset = reinterpret_cast<int64_t*>(offsets.buffer->mutable_data());
    auto* size = reinterpret_cast<int32_t*>(sizes.buffer->mutable_data());
    int64_t at = 0;
    for (int64_t i = 0; i < rows; ++i) {
      offset[i] = at;
      size[i] = vectors.IsNull(i) ? 0 : vectors.SizeOf(i);
      const int32_t count = vectors.IsNull(i) ? 0 : vectors.StoredOf(i);
      for (int32_t e = 0; e < count; ++e, ++at) {
        index[at] = vectors.IndexAt(i, e);
        ARROW_RETURN_NOT_OK(Store(vectors.ValueAt(i, e), i, at, &values));
      }
    }
    offset[rows] = at;
    Append("_indices", std::move(indices));
    Append("_values", std::move(values));
    Append("_offsets", std::move(offsets));
    Append("_size", std::move(sizes));
    return Status::OK();
  }

  Status Store(double value, int64_t row, int64_t at, Tensor* out) const {
    schema::ConvertSpan span;
    span.in = reinterpret_cast<const uint8_t*>(&value);
    span.out = out->buffer->mutable_data() + at * ByteWidth(plan.dtype);
    span.count = 1;
    if (!schema::Convert(DType::kFloat64, plan.dtype, span)) return Status::OK();
    return Error(ErrorKind::kInvalidArgument,
                 "column \"" + plan.name + "\": the value " +
                     schema::ElementToString(DType::kFloat64, span.in) + locate(row) +
                     " is no " + std::string(DTypeName(plan.dtype)) +
                     ": cast to a wider dtype");
  }

  Status AppendMask() const {
    ARROW_ASSIGN_OR_RAISE(Tensor mask,
                          schema::AllocateTensor(DType::kBool, {vectors.rows()}, pool));
    for (int64_t i = 0; i < vectors.rows(); ++i) {
      mask.buffer->mutable_data()[i] = vectors.IsNull(i) ? 0 : 1;
    }
    Append("_mask", std::move(mask));
    return Status::OK();
  }
};

}  // namespace

Status DecodeVectors(const ColumnPlan& plan, const arrow::Array& values,
                     const schema::Locate& locate, arrow::MemoryPool* pool,
                     TensorBatch* batch) {
  const Vectors vectors(plan, values, locate);
  ARROW_RETURN_NOT_OK(vectors.Check());
  const VectorDecoding decoding{plan, vectors, locate, pool, batch};
  ARROW_RETURN_NOT_OK(plan.ragged.kind == RaggedPolicy::Kind::kSparse
                          ? decoding.AppendSparse()
                          : decoding.AppendDense());
  if (plan.nulls.kind != NullPolicy::Kind::kMask) return Status::OK();
  return decoding.AppendMask();
}

}  // namespace headrace::decode
