#include "decode/list_decoder.h"

#include <arrow/extension_type.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "decode/padding.h"
#include "schema/convert.h"
#include "schema/dtype.h"
#include "schema/field.h"

namespace headrace::decode {
namespace {

using schema::ColumnPlan;
using schema::Form;

/// The primitive values below lists, as elements.
class Elements {
 public:
  static Result<Elements> Make(const arrow::Array& leaf, arrow::MemoryPool* pool) {
    Elements elements;
    const auto dtype = schema::DTypeOf(*leaf.type());
    if (!dtype) {
      return Error(ErrorKind::kInternal,
                   leaf.type()->ToString() + " is no tensor element");
    }
    elements.leaf_ = &leaf;
    elements.width_ = ByteWidth(*dtype);
    const arrow::ArrayData& data = *leaf.data();
    if (*dtype != DType::kBool) {
      elements.data_ = data.length == 0
                           ? nullptr
                           : data.buffers[1]->data() + data.offset * elements.width_;
      return elements;
    }
    ARROW_ASSIGN_OR_RAISE(elements.bytes_, arrow::AllocateBuffer(data.length, pool));
    for (int64_t i = 0; i < data.length; ++i) {
      elements.bytes_->mutable_data()[i] =
          arrow::bit_util::GetBit(data.buffers[1]->data(), data.offset + i) ? 1 : 0;
    }
    elements.data_ = elements.bytes_->data();
    return elements;
  }

  const uint8_t* at(int64_t i) const { return data_ + i * width_; }
  bool any_null() const { return leaf_->null_count() > 0; }
  bool IsNull(int64_t i) const { return leaf_->IsNull(i); }

 private:
  const arrow::Array* leaf_ = nullptr;
  std::shared_ptr<arrow::Buffer> bytes_;
  const uint8_t* data_ = nullptr;
  int64_t width_ = 0;
};

/// Lists flattened: sample i has elements [begin[i], begin[i] + length[i]).
struct Flat {
  std::shared_ptr<arrow::Array> leaf;
  std::vector<int64_t> begin;
  std::vector<int64_t> length;
};

/// What one call works on.
struct Lists {
  const ColumnPlan& plan;
  const arrow::Array& rows;
  const Flat& flat;
  const Elements& elements;
  const schema::Locate& locate;

  std::string Name() const { return "column \"" + plan.name + "\""; }

  // Converts sample i's elements to `out`; null elements by the policy.
  Status Copy(int64_t i, uint8_t* out) const {
    const int64_t begin = flat.begin[static_cast<size_t>(i)];
    const int64_t count = flat.length[static_cast<size_t>(i)];
    if (count == 0) return Status::OK();
    if (elements.any_null()) return CopyWithNulls(i, out);
    schema::ConvertSpan span;
    span.in = elements.at(begin);
    span.out = out;
    span.count = count;
    if (auto bad = schema::Convert(plan.stored_dtype, plan.dtype, span)) {
      return BadElement(i, begin + *bad);
    }
    return Status::OK();
  }

 private:
  Status CopyWithNulls(int64_t i, uint8_t* out) const {
    const int64_t width = ByteWidth(plan.dtype);
    for (int64_t e = 0; e < flat.length[static_cast<size_t>(i)]; ++e, out += width) {
      const int64_t at = flat.begin[static_cast<size_t>(i)] + e;
      if (elements.IsNull(at)) {
        if (plan.nulls.kind != NullPolicy::Kind::kFill) {
          return Error(ErrorKind::kInvalidArgument,
                       Name() + ": element " + std::to_string(e) + locate(i) +
                           " is null, expected a value: fill it, as in nulls({\"" +
                           plan.name + "\": hr.fill(0)})");
        }
        ARROW_RETURN_NOT_OK(schema::StoreNumber(plan.nulls.fill, plan.dtype, out));
        continue;
      }
      schema::ConvertSpan span;
      span.in = elements.at(at);
      span.out = out;
      span.count = 1;
      if (schema::Convert(plan.stored_dtype, plan.dtype, span)) return BadElement(i, at);
    }
    return Status::OK();
  }

  Status BadElement(int64_t i, int64_t at) const {
    return Error(ErrorKind::kInvalidArgument,
                 Name() + ": the value " +
                     schema::ElementToString(plan.stored_dtype, elements.at(at)) +
                     locate(i) + " is no " + std::string(DTypeName(plan.dtype)) +
                     ": cast to a wider dtype");
  }
};

void Append(TensorBatch* batch, std::string name, Tensor tensor) {
  batch->names.push_back(std::move(name));
  batch->columns.emplace_back(std::move(tensor));
}

template <typename ListArray>
void FlattenOffsets(const arrow::Array& rows, Flat* flat) {
  const auto& lists = static_cast<const ListArray&>(rows);
  for (int64_t i = 0; i < rows.length(); ++i) {
    flat->begin.push_back(lists.value_offset(i));
    flat->length.push_back(rows.IsNull(i) ? 0 : lists.value_length(i));
  }
  flat->leaf = lists.values();
}

Status Flatten(const std::shared_ptr<arrow::Array>& rows, Flat* flat) {
  switch (rows->type_id()) {
    case arrow::Type::LIST:
      FlattenOffsets<arrow::ListArray>(*rows, flat);
      return Status::OK();
    case arrow::Type::LARGE_LIST:
      FlattenOffsets<arrow::LargeListArray>(*rows, flat);
      return Status::OK();
    case arrow::Type::EXTENSION:
      return Flatten(static_cast<const arrow::ExtensionArray&>(*rows).storage(), flat);
    case arrow::Type::FIXED_SIZE_LIST: {
      int64_t factor = 1;
      int64_t offset = 0;
      std::shared_ptr<arrow::Array> leaf = rows;
      while (leaf->type_id() == arrow::Type::FIXED_SIZE_LIST) {
        const auto& lists = static_cast<const arrow::FixedSizeListArray&>(*leaf);
        if (leaf != rows && leaf->null_count() > 0) {
          return Error(ErrorKind::kInvalidArgument,
                       "a list inside of it is null, expected a value");
        }
        const int64_t size = lists.value_length();
        offset = (offset + lists.offset()) * size;
        factor *= size;
        leaf = lists.values();
      }
      for (int64_t i = 0; i < rows->length(); ++i) {
        flat->begin.push_back(offset + i * factor);
        flat->length.push_back(rows->IsNull(i) ? 0 : factor);
      }
      flat->leaf = std::move(leaf);
      return Status::OK();
    }
    default:
      return Error(ErrorKind::kInternal, rows->type()->ToString() + " is no list");
  }
}

Result<Tensor> FixedShapeTensor(const Lists& lists, arrow::MemoryPool* pool) {
  const ColumnPlan& plan = lists.plan;
  std::vector<int64_t> shape = {lists.rows.length()};
  shape.insert(shape.end(), plan.shape.begin(), plan.shape.end());
  int64_t row_elements = 1;
  for (int64_t d : plan.shape) row_elements *= d;
  const bool any_null_row = lists.rows.null_count() > 0;
  Tensor tensor;
  if (any_null_row) {
    ARROW_ASSIGN_OR_RAISE(tensor,
                          Background(plan.dtype, shape, plan.nulls.fill,
                                     plan.nulls.kind == NullPolicy::Kind::kFill, pool));
  } else {
    ARROW_ASSIGN_OR_RAISE(tensor, schema::AllocateTensor(plan.dtype, shape, pool));
  }
  const int64_t stride = row_elements * ByteWidth(plan.dtype);
  for (int64_t i = 0; i < lists.rows.length(); ++i) {
    ARROW_RETURN_NOT_OK(lists.Copy(i, tensor.buffer->mutable_data() + i * stride));
  }
  return tensor;
}

// Values one after the other, and where each sample's begin.
Status AppendRagged(const Lists& lists, arrow::MemoryPool* pool, TensorBatch* batch) {
  const ColumnPlan& plan = lists.plan;
  const int64_t rows = lists.rows.length();
  ARROW_ASSIGN_OR_RAISE(Tensor offsets,
                        schema::AllocateTensor(DType::kInt64, {rows + 1}, pool));
  auto* offset = reinterpret_cast<int64_t*>(offsets.buffer->mutable_data());
  offset[0] = 0;
  for (int64_t i = 0; i < rows; ++i) {
    offset[i + 1] = offset[i] + lists.flat.length[static_cast<size_t>(i)];
  }
  ARROW_ASSIGN_OR_RAISE(Tensor values,
                        schema::AllocateTensor(plan.dtype, {offset[rows]}, pool));
  for (int64_t i = 0; i < rows; ++i) {
    ARROW_RETURN_NOT_OK(
        lists.Copy(i, values.buffer->mutable_data() + offset[i] * ByteWidth(plan.dtype)));
  }
  Append(batch, plan.name, std::move(values));
  Append(batch, plan.name + "_offsets", std::move(offsets));
  return Status::OK();
}

Result<Tensor> ListTensor(const Lists& lists, arrow::MemoryPool* pool) {
  const ColumnPlan& plan = lists.plan;
  const auto& length = lists.flat.length;
  const int64_t rows = lists.rows.length();
  int64_t width = length.empty() ? 0 : *std::max_element(length.begin(), length.end());
  if (plan.ragged.kind == RaggedPolicy::Kind::kError) {
    for (int64_t i = 0; i < rows; ++i) {
      if (length[static_cast<size_t>(i)] == length[0]) continue;
      return Error(ErrorKind::kInvalidArgument,
                   lists.Name() + ": lists differ in length, found " +
                       std::to_string(length[0]) + lists.locate(0) + " and " +
                       std::to_string(length[static_cast<size_t>(i)]) + lists.locate(i) +
                       ": say what becomes of them, as in ragged({\"" + plan.name +
                       "\": hr.pad(0)}) or ragged({\"" + plan.name + "\": \"ragged\"})");
    }
  } else if (plan.ragged.length) {
    for (int64_t i = 0; i < rows; ++i) {
      if (length[static_cast<size_t>(i)] <= *plan.ragged.length) continue;
      return Error(ErrorKind::kInvalidArgument,
                   lists.Name() + ": a list of " +
                       std::to_string(length[static_cast<size_t>(i)]) + lists.locate(i) +
                       " is longer than the pad length " +
                       std::to_string(*plan.ragged.length) + ": give a larger length");
    }
    width = *plan.ragged.length;
  }
  ARROW_ASSIGN_OR_RAISE(Tensor tensor,
                        Background(plan.dtype, {rows, width}, plan.ragged.pad,
                                   plan.ragged.kind == RaggedPolicy::Kind::kPad, pool));
  for (int64_t i = 0; i < rows; ++i) {
    ARROW_RETURN_NOT_OK(
        lists.Copy(i, tensor.buffer->mutable_data() + i * width * ByteWidth(plan.dtype)));
  }
  return tensor;
}

/// Shapes of arrow.variable_shape_tensor samples, `ndim` numbers each.
struct Shapes {
  int64_t ndim = 0;
  std::vector<int64_t> dims;

  std::vector<int64_t> of(int64_t i) const {
    return {dims.begin() + i * ndim, dims.begin() + (i + 1) * ndim};
  }
};

Result<Shapes> ReadShapes(const ColumnPlan& plan, const arrow::StructArray& storage,
                          const Flat& flat, const schema::Locate& locate) {
  Shapes shapes;
  shapes.ndim = static_cast<int64_t>(plan.shape.size());
  auto column = storage.GetFieldByName("shape");
  const auto& lists = static_cast<const arrow::FixedSizeListArray&>(*column);
  const auto& dims = static_cast<const arrow::Int32Array&>(*lists.values());
  for (int64_t i = 0; i < storage.length(); ++i) {
    int64_t size = 1;
    for (int64_t d = 0; d < shapes.ndim; ++d) {
      const int64_t dim = storage.IsNull(i) ? 0 : dims.Value(lists.value_offset(i) + d);
      shapes.dims.push_back(dim);
      // Capped, so that hostile dimensions do not overflow.
      const int64_t cap = flat.length[static_cast<size_t>(i)] + 1;
      size = dim < 0 || size < 0 ? -1 : std::min(size * dim, cap);
    }
    if (storage.IsValid(i) && size != flat.length[static_cast<size_t>(i)]) {
      return Error(ErrorKind::kCorrupt,
                   "column \"" + plan.name + "\": a tensor of shape " +
                       schema::ShapeText(shapes.of(i)) + locate(i) + " has " +
                       std::to_string(flat.length[static_cast<size_t>(i)]) + " values");
    }
  }
  return shapes;
}

Result<Tensor> VariableShapeTensor(const Lists& lists, const Shapes& shapes,
                                   arrow::MemoryPool* pool) {
  const ColumnPlan& plan = lists.plan;
  const int64_t rows = lists.rows.length();
  std::vector<int64_t> largest(static_cast<size_t>(shapes.ndim), 0);
  for (int64_t i = 0; i < rows; ++i) {
    const auto shape = shapes.of(i);
    if (plan.ragged.kind == RaggedPolicy::Kind::kError && shape != shapes.of(0)) {
      return Error(ErrorKind::kInvalidArgument,
                   lists.Name() + ": tensors differ in shape, found " +
                       schema::ShapeText(shapes.of(0)) + lists.locate(0) + " and " +
                       schema::ShapeText(shape) + lists.locate(i) +
                       ": say what becomes of them, as in ragged({\"" + plan.name +
                       "\": hr.pad(0)})");
    }
    for (size_t d = 0; d < shape.size(); ++d) largest[d] = std::max(largest[d], shape[d]);
  }
  std::vector<int64_t> batch_shape = {rows};
  batch_shape.insert(batch_shape.end(), largest.begin(), largest.end());
  ARROW_ASSIGN_OR_RAISE(Tensor tensor,
                        Background(plan.dtype, batch_shape, plan.ragged.pad,
                                   plan.ragged.kind == RaggedPolicy::Kind::kPad, pool));
  const int64_t width = ByteWidth(plan.dtype);
  const int64_t stride = rows == 0 ? 0 : tensor.size() / rows * width;
  std::vector<uint8_t> sample;
  for (int64_t i = 0; i < rows; ++i) {
    sample.resize(static_cast<size_t>(lists.flat.length[static_cast<size_t>(i)] * width));
    ARROW_RETURN_NOT_OK(lists.Copy(i, sample.data()));
    CopyPadded(sample.data(), shapes.of(i), largest, width,
               tensor.buffer->mutable_data() + i * stride);
  }
  return tensor;
}

Status AppendVariableShape(const Lists& lists, const arrow::StructArray& storage,
                           arrow::MemoryPool* pool, TensorBatch* batch) {
  const ColumnPlan& plan = lists.plan;
  ARROW_ASSIGN_OR_RAISE(Shapes shapes,
                        ReadShapes(plan, storage, lists.flat, lists.locate));
  if (plan.ragged.kind != RaggedPolicy::Kind::kRagged) {
    ARROW_ASSIGN_OR_RAISE(Tensor tensor, VariableShapeTensor(lists, shapes, pool));
    Append(batch, plan.name, std::move(tensor));
    return Status::OK();
  }
  ARROW_RETURN_NOT_OK(AppendRagged(lists, pool, batch));
  ARROW_ASSIGN_OR_RAISE(
      Tensor shape,
      schema::AllocateTensor(DType::kInt64, {lists.rows.length(), shapes.ndim}, pool));
  if (!shapes.dims.empty()) {
    std::memcpy(shape.buffer->mutable_data(), shapes.dims.data(), shapes.dims.size() * 8);
  }
  Append(batch, plan.name + "_shape", std::move(shape));
  return Status::OK();
}

}  // namespace

Status DecodeLists(const ColumnPlan& plan, const std::shared_ptr<arrow::Array>& values,
                   const schema::Locate& locate, arrow::MemoryPool* pool,
                   TensorBatch* batch) {
  Flat flat;
  std::shared_ptr<arrow::Array> lists_array = values;
  std::shared_ptr<arrow::Array> storage;
  if (plan.form == Form::kVariableShape) {
    storage = static_cast<const arrow::ExtensionArray&>(*values).storage();
    lists_array = static_cast<const arrow::StructArray&>(*storage).GetFieldByName("data");
  }
  Status flattened = Flatten(lists_array, &flat);
  if (!flattened.ok()) return WithContext(flattened, "column \"" + plan.name + "\"");
  ARROW_ASSIGN_OR_RAISE(Elements elements, Elements::Make(*flat.leaf, pool));
  const Lists lists{plan, *values, flat, elements, locate};
  if (plan.form == Form::kVariableShape) {
    return AppendVariableShape(lists, static_cast<const arrow::StructArray&>(*storage),
                               pool, batch);
  }
  if (plan.form == Form::kFixedShape) {
    ARROW_ASSIGN_OR_RAISE(Tensor tensor, FixedShapeTensor(lists, pool));
    Append(batch, plan.name, std::move(tensor));
    return Status::OK();
  }
  if (plan.ragged.kind == RaggedPolicy::Kind::kRagged)
    return AppendRagged(lists, pool, batch);
  ARROW_ASSIGN_OR_RAISE(Tensor tensor, ListTensor(lists, pool));
  Append(batch, plan.name, std::move(tensor));
  return Status::OK();
}

}  // namespace headrace::decode
