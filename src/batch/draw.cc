#include "batch/draw.h"

#include <arrow/array/concatenate.h>
#include <arrow/compute/api.h>
#include <arrow/device.h>

#include <cstring>
#include <numeric>
#include <utility>

#include "schema/convert.h"

namespace headrace::batch {
namespace {

bool SharesMemory(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::DICTIONARY:
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW:
      return true;
    case arrow::Type::EXTENSION:
      return SharesMemory(*static_cast<const arrow::ExtensionType&>(type).storage_type());
    default:
      for (const auto& field : type.fields()) {
        if (SharesMemory(*field->type())) return true;
      }
      return false;
  }
}

// Handles the nulls of one segment, whose values were drawn as 0.
Status ApplyNulls(const Drawing& drawing, const Segment& segment, const uint8_t* valid,
                  const schema::ColumnPlan& plan, uint8_t* out, int64_t out_stride,
                  uint8_t* mask) {
  const int64_t width = ByteWidth(plan.dtype);
  uint8_t fill[8] = {};
  if (plan.nulls.kind == NullPolicy::Kind::kFill) {
    ARROW_RETURN_NOT_OK(schema::StoreNumber(plan.nulls.fill, plan.dtype, fill));
  }
  for (int64_t i = 0; i < segment.rows; ++i) {
    if (valid[segment.from + i] != 0) continue;
    const int64_t sample = segment.out + i * segment.out_stride;
    switch (plan.nulls.kind) {
      case NullPolicy::Kind::kError:
        return schema::NullError(plan.name, drawing.locate(sample));
      case NullPolicy::Kind::kFill:
        std::memcpy(out + sample * out_stride * width, fill, static_cast<size_t>(width));
        break;
      case NullPolicy::Kind::kMask:
        mask[sample] = 0;
        break;
    }
  }
  return Status::OK();
}

}  // namespace

Status DrawFixed(const Drawing& drawing, size_t column, const schema::ColumnPlan& plan,
                 uint8_t* out, int64_t out_stride, Tensor* mask) {
  uint8_t* mask_out = nullptr;
  if (plan.nulls.kind == NullPolicy::Kind::kMask) {
    ARROW_ASSIGN_OR_RAISE(
        *mask, schema::AllocateTensor(DType::kBool, {drawing.rows}, drawing.pool));
    mask_out = mask->buffer->mutable_data();
    std::memset(mask_out, 1, static_cast<size_t>(drawing.rows));
  }
  const int64_t in_width = ByteWidth(plan.stored_dtype);
  const int64_t out_width = ByteWidth(plan.dtype);
  for (const Segment& segment : drawing.segments) {
    const uint8_t* values = segment.window->values(column) + segment.from * in_width;
    schema::ConvertSpan span;
    span.in = values;
    span.out = out + segment.out * out_stride * out_width;
    span.out_stride = segment.out_stride * out_stride;
    span.count = segment.rows;
    if (auto bad = schema::Convert(plan.stored_dtype, plan.dtype, span)) {
      return Error(
          ErrorKind::kInvalidArgument,
          "column \"" + plan.name + "\": the value " +
              schema::ElementToString(plan.stored_dtype, values + *bad * in_width) +
              drawing.locate(segment.out + *bad * segment.out_stride) + " is no " +
              std::string(DTypeName(plan.dtype)) + ": cast to a wider dtype");
    }
    if (const uint8_t* valid = segment.window->valid(column)) {
      ARROW_RETURN_NOT_OK(
          ApplyNulls(drawing, segment, valid, plan, out, out_stride, mask_out));
    }
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::Array>> Gather(const Drawing& drawing, size_t column) {
  arrow::ArrayVector parts;
  for (const Segment& segment : drawing.segments) {
    ARROW_ASSIGN_OR_RAISE(auto part, segment.window->Gather(column, segment.from,
                                                            segment.rows, drawing.pool));
    parts.push_back(std::move(part));
  }
  std::shared_ptr<arrow::Array> values = parts[0];
  const bool in_order = parts.size() == 1 && drawing.segments[0].out_stride == 1;
  if (!in_order) {
    ARROW_ASSIGN_OR_RAISE(auto joined, arrow::Concatenate(parts, drawing.pool));
    ARROW_ASSIGN_OR_RAISE(auto indices,
                          arrow::AllocateBuffer(drawing.rows * 8, drawing.pool));
    auto* index = reinterpret_cast<int64_t*>(indices->mutable_data());
    int64_t next = 0;
    for (const Segment& segment : drawing.segments) {
      for (int64_t i = 0; i < segment.rows; ++i) {
        index[segment.out + i * segment.out_stride] = next++;
      }
    }
    arrow::compute::ExecContext exec(drawing.pool);
    auto order = arrow::ArrayData::Make(arrow::int64(), drawing.rows,
                                        {nullptr, std::move(indices)}, 0);
    ARROW_ASSIGN_OR_RAISE(
        auto taken,
        arrow::compute::Take(arrow::Datum(joined), arrow::Datum(std::move(order)),
                             arrow::compute::TakeOptions::NoBoundsCheck(), &exec));
    values = taken.make_array();
  }
  if (!SharesMemory(*values->type())) return values;
  // Dictionaries and views still point into the window, which goes away before the batch.
  return values->CopyTo(arrow::CPUDevice::memory_manager(drawing.pool));
}

}  // namespace headrace::batch
