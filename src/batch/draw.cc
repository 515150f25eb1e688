#include "batch/draw.h"

#include <arrow/array/builder_primitive.h>
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

/// One call of DrawFixed.
struct FixedDraw {
  const Drawing& drawing;
  const size_t column;
  const schema::ColumnPlan& plan;
  uint8_t* out;
  int64_t out_stride;
  uint8_t* mask;
  uint8_t fill[8] = {};

  // Converts rows [at, at + rows) of a segment.
  Status Convert(const Segment& segment, int64_t at, int64_t rows) const {
    const int64_t in_width = ByteWidth(plan.stored_dtype);
    const uint8_t* values =
        segment.window->values(column) + (segment.from + at) * in_width;
    schema::ConvertSpan span;
    span.in = values;
    span.out = out + (segment.out + at * segment.out_stride) * out_stride *
                         ByteWidth(plan.dtype);
    span.out_stride = segment.out_stride * out_stride;
    span.count = rows;
    const auto bad = schema::Convert(plan.stored_dtype, plan.dtype, span);
    if (!bad) return Status::OK();
    return Error(
        ErrorKind::kInvalidArgument,
        "column \"" + plan.name + "\": the value " +
            schema::ElementToString(plan.stored_dtype, values + *bad * in_width) +
            drawing.locate(segment.out + (at + *bad) * segment.out_stride) + " is no " +
            std::string(DTypeName(plan.dtype)) + ": cast to a wider dtype");
  }

  Status PutNull(int64_t sample) const {
    const auto width = static_cast<size_t>(ByteWidth(plan.dtype));
    switch (plan.nulls.kind) {
      case NullPolicy::Kind::kError:
        return schema::NullError(plan.name, drawing.locate(sample));
      case NullPolicy::Kind::kMask:
        mask[sample] = 0;
        [[fallthrough]];
      case NullPolicy::Kind::kFill:
        std::memcpy(out + sample * out_stride * static_cast<int64_t>(width), fill, width);
        return Status::OK();
    }
    return Status::OK();
  }

  Status Draw(const Segment& segment) const {
    if (drawing.missing.empty()) {
      ARROW_RETURN_NOT_OK(Convert(segment, 0, segment.rows));
    }
    const uint8_t* valid = segment.window->valid(column);
    if (valid == nullptr && drawing.missing.empty()) return Status::OK();
    for (int64_t i = 0; i < segment.rows; ++i) {
      const int64_t sample = segment.out + i * segment.out_stride;
      const bool missing =
          !drawing.missing.empty() && drawing.missing[static_cast<size_t>(sample)] != 0;
      if (missing || (valid != nullptr && valid[segment.from + i] == 0)) {
        ARROW_RETURN_NOT_OK(PutNull(sample));
      } else if (!drawing.missing.empty()) {
        ARROW_RETURN_NOT_OK(Convert(segment, i, 1));
      }
    }
    return Status::OK();
  }
};

// The values with nulls for those that are missing.
Result<std::shared_ptr<arrow::Array>> WithoutMissing(
    const Drawing& drawing, const std::shared_ptr<arrow::Array>& values) {
  arrow::Int64Builder builder(drawing.pool);
  ARROW_RETURN_NOT_OK(builder.Reserve(values->length()));
  for (int64_t i = 0; i < values->length(); ++i) {
    if (drawing.missing[static_cast<size_t>(i)] != 0) {
      builder.UnsafeAppendNull();
    } else {
      builder.UnsafeAppend(i);
    }
  }
  ARROW_ASSIGN_OR_RAISE(auto order, builder.Finish());
  arrow::compute::ExecContext exec(drawing.pool);
  ARROW_ASSIGN_OR_RAISE(
      auto taken,
      arrow::compute::Take(arrow::Datum(values), arrow::Datum(order),
                           arrow::compute::TakeOptions::NoBoundsCheck(), &exec));
  return taken.make_array();
}

}  // namespace

Status DrawFixed(const Drawing& drawing, size_t column, const schema::ColumnPlan& plan,
                 uint8_t* out, int64_t out_stride, Tensor* mask) {
  FixedDraw draw{drawing, column, plan, out, out_stride, nullptr};
  if (plan.nulls.kind == NullPolicy::Kind::kMask) {
    ARROW_ASSIGN_OR_RAISE(
        *mask, schema::AllocateTensor(DType::kBool, {drawing.rows}, drawing.pool));
    draw.mask = mask->buffer->mutable_data();
    std::memset(draw.mask, 1, static_cast<size_t>(drawing.rows));
  }
  if (plan.nulls.kind == NullPolicy::Kind::kFill) {
    ARROW_RETURN_NOT_OK(schema::StoreNumber(plan.nulls.fill, plan.dtype, draw.fill));
  }
  for (const Segment& segment : drawing.segments) {
    ARROW_RETURN_NOT_OK(draw.Draw(segment));
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
  if (!drawing.missing.empty()) {
    ARROW_ASSIGN_OR_RAISE(values, WithoutMissing(drawing, values));
  }
  if (!SharesMemory(*values->type())) return values;
  // Dictionaries and views still point into the window, which goes away before the batch.
  return values->CopyTo(arrow::CPUDevice::memory_manager(drawing.pool));
}

}  // namespace headrace::batch
