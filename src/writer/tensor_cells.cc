#include "writer/tensor_cells.h"

#include <arrow/array/builder_binary.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/extension/variable_shape_tensor.h>
#include <arrow/util/bit_util.h>

#include <string>
#include <utility>
#include <vector>

#include "schema/dtype.h"

namespace headrace::writer {
namespace {

// Where the elements of a value lie.
struct Range {
  const arrow::Array* leaf = nullptr;
  int64_t begin = 0;
  int64_t count = 1;
  std::vector<int64_t> shape = {};
};

Status Bad(const std::string& what) { return Error(ErrorKind::kInvalidArgument, what); }

// Goes down lists to the elements below a value.
Status Descend(const arrow::Array& values, int64_t i, Range* range) {
  range->leaf = &values;
  range->begin = i;
  for (;;) {
    const arrow::Array& array = *range->leaf;
    switch (array.type_id()) {
      case arrow::Type::FIXED_SIZE_LIST: {
        const auto& lists = static_cast<const arrow::FixedSizeListArray&>(array);
        const int64_t size = lists.list_type()->list_size();
        range->begin = lists.value_offset(range->begin);
        range->count *= size;
        range->shape.push_back(size);
        range->leaf = lists.values().get();
        break;
      }
      case arrow::Type::LIST:
      case arrow::Type::LARGE_LIST: {
        if (!range->shape.empty()) {
          return Bad("holds lists of lists: give tensors (arrow.variable_shape_tensor)");
        }
        auto enter = [&](const auto& lists) {
          range->count = lists.value_length(range->begin);
          range->begin = lists.value_offset(range->begin);
          range->leaf = lists.values().get();
        };
        if (array.type_id() == arrow::Type::LIST) {
          enter(static_cast<const arrow::ListArray&>(array));
        } else {
          enter(static_cast<const arrow::LargeListArray&>(array));
        }
        range->shape.push_back(range->count);
        break;
      }
      default:
        return Status::OK();
    }
  }
}

Result<Range> RangeOf(const arrow::Array& values, int64_t i) {
  Range range;
  if (values.type_id() != arrow::Type::EXTENSION) {
    ARROW_RETURN_NOT_OK(Descend(values, i, &range));
    return range;
  }
  const auto& extension = static_cast<const arrow::ExtensionArray&>(values);
  const arrow::Array& storage = *extension.storage();
  if (const auto* fixed = dynamic_cast<const arrow::extension::FixedShapeTensorType*>(
          values.type().get())) {
    ARROW_RETURN_NOT_OK(Descend(storage, i, &range));
    range.shape = fixed->shape();
    return range;
  }
  const auto& parts = static_cast<const arrow::StructArray&>(storage);
  const auto data = parts.field(0);
  const auto shapes = parts.field(1);
  ARROW_RETURN_NOT_OK(Descend(*data, i, &range));
  Range sizes;
  ARROW_RETURN_NOT_OK(Descend(*shapes, i, &sizes));
  range.shape.clear();
  int64_t elements = 1;
  for (int64_t d = 0; d < sizes.count; ++d) {
    const auto& leaf = static_cast<const arrow::Int32Array&>(*sizes.leaf);
    range.shape.push_back(leaf.Value(sizes.begin + d));
    if (__builtin_mul_overflow(elements, range.shape.back(), &elements)) elements = -1;
  }
  if (elements != range.count) {
    return Bad("holds a tensor of " + std::to_string(range.count) +
               " elements whose shape says " + std::to_string(elements));
  }
  // Held by the struct: fields of a slice are made anew.
  range.leaf = nullptr;
  return range;
}

const arrow::Array& LeafOf(const arrow::Array& values) {
  const arrow::Array* leaf = &values;
  for (;;) {
    switch (leaf->type_id()) {
      case arrow::Type::FIXED_SIZE_LIST:
        leaf = static_cast<const arrow::FixedSizeListArray*>(leaf)->values().get();
        break;
      case arrow::Type::LIST:
        leaf = static_cast<const arrow::ListArray*>(leaf)->values().get();
        break;
      case arrow::Type::LARGE_LIST:
        leaf = static_cast<const arrow::LargeListArray*>(leaf)->values().get();
        break;
      default:
        return *leaf;
    }
  }
}

}  // namespace

bool HoldsTensors(const arrow::DataType& type) {
  if (type.id() == arrow::Type::EXTENSION) {
    if (const auto* fixed =
            dynamic_cast<const arrow::extension::FixedShapeTensorType*>(&type)) {
      for (size_t d = 0; d < fixed->permutation().size(); ++d) {
        if (fixed->permutation()[d] != static_cast<int64_t>(d)) return false;
      }
      return schema::DTypeOf(*fixed->value_type()).has_value();
    }
    const auto* varying =
        dynamic_cast<const arrow::extension::VariableShapeTensorType*>(&type);
    return varying != nullptr && varying->permutation().empty() &&
           schema::DTypeOf(*varying->value_type()).has_value();
  }
  return schema::DTypeOf(schema::ValueType(type)).has_value();
}

Result<std::shared_ptr<arrow::Array>> EncodeTensors(const Field& field,
                                                    const codec::FieldCodec& codec,
                                                    const arrow::Array& values,
                                                    int64_t first_row,
                                                    arrow::MemoryPool* pool) {
  // What is looked into stays the same array for all rows.
  const arrow::Array* lists = &values;
  std::shared_ptr<arrow::Array> held;
  if (values.type_id() == arrow::Type::EXTENSION) {
    held = static_cast<const arrow::ExtensionArray&>(values).storage();
    if (held->type_id() == arrow::Type::STRUCT) {
      held = static_cast<const arrow::StructArray&>(*held).field(0);
    }
    lists = held.get();
  }
  const arrow::Array& leaf = LeafOf(*lists);
  const DType dtype = *schema::DTypeOf(*leaf.type());
  const int64_t width = ByteWidth(dtype);
  arrow::BinaryBuilder cells(pool);
  std::vector<uint8_t> bools;
  for (int64_t i = 0; i < values.length(); ++i) {
    auto bad = [&](const Status& status) {
      return Error(KindOf(status), "field " + field.name + " " + MessageOf(status) +
                                       " in row " + std::to_string(first_row + i));
    };
    if (values.IsNull(i)) {
      if (!field.nullable) return bad(Bad("must have a value, found null"));
      ARROW_RETURN_NOT_OK(cells.AppendNull());
      continue;
    }
    auto range = RangeOf(values, i);
    if (!range.ok()) return bad(range.status());
    if (leaf.null_count() > 0) {
      for (int64_t e = range->begin; e < range->begin + range->count; ++e) {
        if (leaf.IsNull(e)) return bad(Bad("holds a null element, expected none"));
      }
    }
    TensorView view;
    view.dtype = dtype;
    view.shape = std::move(range->shape);
    const uint8_t* elements =
        leaf.data()->buffers[1] == nullptr ? nullptr : leaf.data()->buffers[1]->data();
    if (dtype == DType::kBool) {
      bools.resize(static_cast<size_t>(range->count));
      for (int64_t e = 0; e < range->count; ++e) {
        bools[static_cast<size_t>(e)] =
            arrow::bit_util::GetBit(elements, leaf.offset() + range->begin + e) ? 1 : 0;
      }
      view.data = bools.data();
    } else {
      view.data = elements + (leaf.offset() + range->begin) * width;
    }
    if (Status right = codec.Check(view); !right.ok()) return bad(right);
    auto encoded = codec.Encode(view);
    if (!encoded.ok()) return bad(encoded.status());
    ARROW_RETURN_NOT_OK(cells.Append((*encoded)->data(), (*encoded)->size()));
  }
  return cells.Finish();
}

}  // namespace headrace::writer
