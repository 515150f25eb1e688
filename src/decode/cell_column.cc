#include "decode/cell_column.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "decode/padding.h"
#include "schema/convert.h"
#include "schema/field.h"

namespace headrace::decode {
namespace {

using Shape = std::vector<int64_t>;

// Bytes of cells that a thread decodes before it looks for more.
constexpr int64_t kBytesTogether = 32 << 10;
constexpr int64_t kRowsTogetherMax = 256;

int64_t ElementsOf(std::span<const int64_t> shape) {
  int64_t elements = 1;
  for (const int64_t dimension : shape) elements *= dimension;
  return elements;
}

/// One call of DecodeCells.
class CellColumn {
 public:
  CellColumn(const schema::ColumnPlan& plan, const codec::CellDecoder& decoder,
             const Cells& cells, const schema::Locate& locate, arrow::MemoryPool* pool)
      : plan_(plan), decoder_(decoder), cells_(cells), locate_(locate), pool_(pool) {}

  Status CheckNulls() const {
    if (plan_.nulls.kind != NullPolicy::Kind::kError) return Status::OK();
    for (int64_t i = 0; i < rows(); ++i) {
      if (IsNull(i)) return schema::NullError(plan_.name, locate_(i));
    }
    return Status::OK();
  }

  // Values of one shape, which the first of them says where the field does not.
  Result<Tensor> Dense() {
    std::optional<Shape> shape;
    int64_t first = 0;  // of that shape
    const auto& declared = decoder_.shape();
    if (std::ranges::count(declared, codec::kVaries) == 0) shape = declared;
    Tensor tensor;
    if (shape) {
      ARROW_ASSIGN_OR_RAISE(tensor, Allocated(*shape));
    }
    int64_t next = 0;
    if (!shape) {
      while (first < rows() && IsNull(first)) ++first;
      next = first + 1;
    }
    if (!shape && first < rows()) {
      auto place = [&](std::span<const int64_t> found, bool*) -> Result<uint8_t*> {
        shape.emplace(found.begin(), found.end());
        ARROW_ASSIGN_OR_RAISE(tensor, Allocated(*shape));
        return RowOf(&tensor, first);
      };
      std::unique_ptr<arrow::Buffer> scratch;
      ARROW_RETURN_NOT_OK(DecodeOne(first, place, &scratch));
    }
    ARROW_RETURN_NOT_OK(DecodeFrom(
        next,
        [&](int64_t i, std::span<const int64_t> found, bool* told) -> Result<uint8_t*> {
          if (!std::ranges::equal(found, *shape)) {
            *told = true;
            return Unequal(first, *shape, i, {found.begin(), found.end()});
          }
          return RowOf(&tensor, i);
        }));
    if (!shape) {  // no value at all
      shape = declared;
      std::ranges::replace(*shape, codec::kVaries, 0);
      ARROW_ASSIGN_OR_RAISE(tensor, Allocated(*shape));
    }
    for (int64_t i = 0; i < rows(); ++i) {
      if (IsNull(i)) ARROW_RETURN_NOT_OK(FillRow(&tensor, i));
    }
    return tensor;
  }

  // Each value in memory of its own.
  Status DecodeApart() {
    const auto count = static_cast<size_t>(rows());
    values_.resize(count);
    shapes_.assign(count, Shape(decoder_.shape().size(), 0));
    return DecodeFrom(
        0, [&](int64_t i, std::span<const int64_t> found, bool*) -> Result<uint8_t*> {
          const auto at = static_cast<size_t>(i);
          shapes_[at].assign(found.begin(), found.end());
          ARROW_ASSIGN_OR_RAISE(
              values_[at], arrow::AllocateBuffer(ElementsOf(found) * width(), pool_));
          return values_[at]->mutable_data();
        });
  }

  // REQUIRES: DecodeApart.
  Result<Tensor> Padded() {
    Shape largest(decoder_.shape().size(), 0);
    for (const Shape& shape : shapes_) {
      for (size_t d = 0; d < shape.size(); ++d) {
        largest[d] = std::max(largest[d], shape[d]);
      }
    }
    Shape batch_shape = {rows()};
    batch_shape.insert(batch_shape.end(), largest.begin(), largest.end());
    ARROW_ASSIGN_OR_RAISE(Tensor tensor, Background(plan_.dtype, std::move(batch_shape),
                                                    plan_.ragged.pad, true, pool_));
    for (int64_t i = 0; i < rows(); ++i) {
      const auto at = static_cast<size_t>(i);
      if (values_[at] == nullptr) {
        ARROW_RETURN_NOT_OK(FillRow(&tensor, i));
        continue;
      }
      CopyPadded(values_[at]->data(), shapes_[at], largest, width(), RowOf(&tensor, i));
      values_[at].reset();
    }
    return tensor;
  }

  // Values one after the other, where each begins, and their shapes. REQUIRES:
  // DecodeApart.
  Status AppendRagged(TensorBatch* batch) {
    const auto ndim = static_cast<int64_t>(decoder_.shape().size());
    ARROW_ASSIGN_OR_RAISE(Tensor offsets,
                          schema::AllocateTensor(DType::kInt64, {rows() + 1}, pool_));
    ARROW_ASSIGN_OR_RAISE(Tensor shapes,
                          schema::AllocateTensor(DType::kInt64, {rows(), ndim}, pool_));
    auto* offset = reinterpret_cast<int64_t*>(offsets.buffer->mutable_data());
    auto* shape = reinterpret_cast<int64_t*>(shapes.buffer->mutable_data());
    offset[0] = 0;
    for (int64_t i = 0; i < rows(); ++i) {
      const auto at = static_cast<size_t>(i);
      const bool there = values_[at] != nullptr;
      offset[i + 1] = offset[i] + (there ? ElementsOf(shapes_[at]) : 0);
      std::ranges::copy(shapes_[at], shape + i * ndim);
    }
    ARROW_ASSIGN_OR_RAISE(Tensor values,
                          schema::AllocateTensor(plan_.dtype, {offset[rows()]}, pool_));
    for (int64_t i = 0; i < rows(); ++i) {
      const auto at = static_cast<size_t>(i);
      if (values_[at] == nullptr || offset[i] == offset[i + 1]) continue;
      std::memcpy(values.buffer->mutable_data() + offset[i] * width(),
                  values_[at]->data(),
                  static_cast<size_t>((offset[i + 1] - offset[i]) * width()));
      values_[at].reset();
    }
    Append(batch, "", std::move(values));
    Append(batch, "_offsets", std::move(offsets));
    Append(batch, "_shape", std::move(shapes));
    return Status::OK();
  }

  Result<Tensor> Mask() const {
    ARROW_ASSIGN_OR_RAISE(Tensor mask,
                          schema::AllocateTensor(DType::kBool, {rows()}, pool_));
    for (int64_t i = 0; i < rows(); ++i) {
      mask.buffer->mutable_data()[i] = IsNull(i) ? 0 : 1;
    }
    return mask;
  }

  void Append(TensorBatch* batch, const char* suffix, Tensor tensor) const {
    batch->names.push_back(plan_.name + suffix);
    batch->columns.emplace_back(std::move(tensor));
  }

 private:
  int64_t rows() const { return std::ssize(cells_.bytes); }
  int64_t width() const { return ByteWidth(plan_.dtype); }
  bool IsNull(int64_t i) const { return !cells_.bytes[static_cast<size_t>(i)]; }

  Result<Tensor> Allocated(const Shape& shape) const {
    Shape batch_shape = {rows()};
    batch_shape.insert(batch_shape.end(), shape.begin(), shape.end());
    return schema::AllocateTensor(plan_.dtype, std::move(batch_shape), pool_);
  }

  uint8_t* RowOf(Tensor* tensor, int64_t i) const {
    return tensor->buffer->mutable_data() + i * (tensor->size() / rows()) * width();
  }

  Status FillRow(Tensor* tensor, int64_t i) const {
    const int64_t elements = tensor->size() / rows();
    uint8_t* const out = RowOf(tensor, i);
    if (elements > 0) std::memset(out, 0, static_cast<size_t>(elements * width()));
    if (plan_.nulls.kind != NullPolicy::Kind::kFill) return Status::OK();
    for (int64_t e = 0; e < elements; ++e) {
      ARROW_RETURN_NOT_OK(
          schema::StoreNumber(plan_.nulls.fill, plan_.dtype, out + e * width()));
    }
    return Status::OK();
  }

  // Decodes the rows from one on, several at once where there are threads.
  // `place(row, shape, told)` is called by any of them.
  template <typename Place>
  Status DecodeFrom(int64_t first, const Place& place) {
    int64_t bytes = 0;
    for (int64_t i = first; i < rows(); ++i) {
      if (!IsNull(i)) bytes += std::ssize(*cells_.bytes[static_cast<size_t>(i)]);
    }
    const int64_t count = std::max<int64_t>(0, rows() - first);
    const int64_t together = std::clamp<int64_t>(
        kBytesTogether * count / std::max<int64_t>(bytes, 1), 1, kRowsTogetherMax);
    base::InlineExecutor alone;
    base::Executor& executor = cells_.executor == nullptr ? alone : *cells_.executor;
    return executor.ForEach((count + together - 1) / together, [&](int64_t part) {
      const int64_t from = first + part * together;
      std::unique_ptr<arrow::Buffer> scratch;
      for (int64_t i = from; i < std::min(from + together, rows()); ++i) {
        if (IsNull(i)) continue;
        auto place_one = [&](std::span<const int64_t> found, bool* told) {
          return place(i, found, told);
        };
        ARROW_RETURN_NOT_OK(DecodeOne(i, place_one, &scratch));
      }
      return Status::OK();
    });
  }

  Status Unequal(int64_t first, const Shape& expected, int64_t i, const Shape& found) {
    return Error(ErrorKind::kInvalidArgument,
                 "column \"" + plan_.name + "\": tensors differ in shape, found " +
                     schema::ShapeText(expected) + locate_(first) + " and " +
                     schema::ShapeText(found) + locate_(i) +
                     ": say what becomes of them, as in ragged({\"" + plan_.name +
                     "\": hr.pad(0)}) or ragged({\"" + plan_.name + "\": \"ragged\"})");
  }

  // Decodes to where `place(shape, told)` says, in the column's dtype. It sets `told`
  // where its error names column and rows. `scratch` is used where the dtype differs.
  template <typename Place>
  Status DecodeOne(int64_t i, const Place& place,
                   std::unique_ptr<arrow::Buffer>* scratch) const {
    bool told = false;
    const auto at = static_cast<size_t>(i);
    const codec::SampleKey key =
        cells_.keys.empty() ? codec::SampleKey() : cells_.keys[at];
    if (decoder_.dtype() == plan_.dtype) {
      const Status decoded = decoder_.Decode(
          *cells_.bytes[at], key,
          [&](std::span<const int64_t> found) { return place(found, &told); });
      return told ? decoded : Located(i, decoded);
    }
    Shape shape;
    const Status decoded = decoder_.Decode(
        *cells_.bytes[at], key, [&](std::span<const int64_t> found) -> Result<uint8_t*> {
          shape.assign(found.begin(), found.end());
          const int64_t bytes = ElementsOf(found) * ByteWidth(decoder_.dtype());
          if (*scratch == nullptr || (*scratch)->size() < bytes) {
            ARROW_ASSIGN_OR_RAISE(*scratch, arrow::AllocateBuffer(bytes, pool_));
          }
          return (*scratch)->mutable_data();
        });
    ARROW_RETURN_NOT_OK(Located(i, decoded));
    const auto out = place(shape, &told);
    if (!out.ok()) return told ? out.status() : Located(i, out.status());
    schema::ConvertSpan span;
    span.in = (*scratch)->data();
    span.out = *out;
    span.count = ElementsOf(shape);
    if (auto bad = schema::Convert(decoder_.dtype(), plan_.dtype, span)) {
      const int64_t from = *bad * ByteWidth(decoder_.dtype());
      return Located(i, Error(ErrorKind::kInvalidArgument,
                              "the value " +
                                  schema::ElementToString(decoder_.dtype(),
                                                          (*scratch)->data() + from) +
                                  " is no " + std::string(DTypeName(plan_.dtype)) +
                                  ", expected one: cast to a wider dtype"));
    }
    return Status::OK();
  }

  Status Located(int64_t i, const Status& status) const {
    if (status.ok()) return status;
    return Error(KindOf(status),
                 "column \"" + plan_.name + "\"" + locate_(i) + ": " + MessageOf(status));
  }

  const schema::ColumnPlan& plan_;
  const codec::CellDecoder& decoder_;
  const Cells& cells_;
  const schema::Locate& locate_;
  arrow::MemoryPool* pool_;
  // DecodeApart
  std::vector<std::shared_ptr<arrow::Buffer>> values_;  // null: a null
  std::vector<Shape> shapes_;
};

}  // namespace

Status DecodeCells(const schema::ColumnPlan& plan, const codec::CellDecoder& decoder,
                   const Cells& cells, const schema::Locate& locate,
                   arrow::MemoryPool* pool, TensorBatch* batch) {
  CellColumn column(plan, decoder, cells, locate, pool);
  ARROW_RETURN_NOT_OK(column.CheckNulls());
  const auto& shape = decoder.shape();
  const bool varies = std::ranges::count(shape, codec::kVaries) > 0;
  if (varies && plan.ragged.kind != RaggedPolicy::Kind::kError) {
    ARROW_RETURN_NOT_OK(column.DecodeApart());
  }
  if (varies && plan.ragged.kind == RaggedPolicy::Kind::kRagged) {
    ARROW_RETURN_NOT_OK(column.AppendRagged(batch));
  } else if (varies && plan.ragged.kind == RaggedPolicy::Kind::kPad) {
    ARROW_ASSIGN_OR_RAISE(Tensor tensor, column.Padded());
    column.Append(batch, "", std::move(tensor));
  } else {
    ARROW_ASSIGN_OR_RAISE(Tensor tensor, column.Dense());
    column.Append(batch, "", std::move(tensor));
  }
  if (plan.nulls.kind != NullPolicy::Kind::kMask) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(Tensor mask, column.Mask());
  column.Append(batch, "_mask", std::move(mask));
  return Status::OK();
}

}  // namespace headrace::decode
