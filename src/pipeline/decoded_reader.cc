#include "pipeline/decoded_reader.h"

#include <arrow/array/builder_primitive.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/extension/variable_shape_tensor.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "codec/field_codec.h"
#include "decode/cell_column.h"
#include "schema/dtype.h"
#include "schema/field.h"
#include "schema/text.h"

namespace headrace::pipeline {
namespace {

// Few enough for decoded images to be held, many enough for a batch to cost little.
constexpr int64_t kRows = 256;

std::shared_ptr<arrow::DataType> TypeOf(const schema::ColumnPlan& plan) {
  auto value = schema::ArrowTypeOf(plan.dtype);
  if (plan.shape.empty()) return value;
  const auto varying = std::ranges::count(plan.shape, Field::kVaries);
  if (varying == 0) return arrow::extension::fixed_shape_tensor(value, plan.shape);
  if (plan.shape.size() == 1) return arrow::list(value);
  return arrow::extension::variable_shape_tensor(value,
                                                 static_cast<int32_t>(plan.shape.size()));
}

// The elements of a tensor as a flat array, which shares their memory; bools are packed.
Result<std::shared_ptr<arrow::Array>> Elements(const Tensor& tensor) {
  if (tensor.dtype == DType::kBool) {
    arrow::BooleanBuilder builder;
    ARROW_RETURN_NOT_OK(builder.AppendValues(tensor.data(), tensor.size()));
    return builder.Finish();
  }
  return arrow::MakeArray(arrow::ArrayData::Make(
      schema::ArrowTypeOf(tensor.dtype), tensor.size(), {nullptr, tensor.buffer}, 0));
}

// Offsets of 64 bits as those of a list.
Result<std::shared_ptr<arrow::Buffer>> ListOffsets(const Tensor& offsets,
                                                   const std::string& column) {
  const auto* in = reinterpret_cast<const int64_t*>(offsets.data());
  const int64_t count = offsets.size();
  if (in[count - 1] > std::numeric_limits<int32_t>::max()) {
    return Error(ErrorKind::kUnsupported,
                 "column \"" + column + "\": " + std::to_string(count - 1) +
                     " rows decode to " + std::to_string(in[count - 1]) +
                     " elements, Arrow's lists hold 2^31 - 1: use a loader");
  }
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> out,
                        arrow::AllocateBuffer(count * 4));
  std::copy_n(in, count, reinterpret_cast<int32_t*>(out->mutable_data()));
  return out;
}

Result<std::shared_ptr<arrow::Buffer>> Validity(const Tensor& mask) {
  ARROW_ASSIGN_OR_RAISE(auto bits, arrow::AllocateEmptyBitmap(mask.size()));
  for (int64_t i = 0; i < mask.size(); ++i) {
    if (mask.data()[i] != 0) arrow::bit_util::SetBit(bits->mutable_data(), i);
  }
  return bits;
}

const Tensor& Find(const TensorBatch& batch, const std::string& name) {
  return std::get<Tensor>(batch.columns[static_cast<size_t>(batch.Find(name))]);
}

std::shared_ptr<arrow::Array> Extended(const std::shared_ptr<arrow::DataType>& type,
                                       const std::shared_ptr<arrow::ArrayData>& storage) {
  auto data = storage->Copy();
  data->type = type;
  return arrow::MakeArray(data);
}

Result<std::shared_ptr<arrow::Array>> ToArray(const schema::ColumnPlan& plan,
                                              const TensorBatch& batch) {
  const auto type = TypeOf(plan);
  const Tensor& values = Find(batch, plan.name);
  ARROW_ASSIGN_OR_RAISE(auto valid, Validity(Find(batch, plan.name + "_mask")));
  ARROW_ASSIGN_OR_RAISE(auto elements, Elements(values));
  if (plan.shape.empty()) {
    auto data = elements->data()->Copy();
    data->buffers[0] = valid;
    data->null_count = arrow::kUnknownNullCount;
    return arrow::MakeArray(data);
  }
  if (plan.form == schema::Form::kFixedShape) {
    const auto& storage = static_cast<const arrow::ExtensionType&>(*type).storage_type();
    return Extended(
        type, arrow::ArrayData::Make(storage, batch.rows, {valid}, {elements->data()}));
  }
  ARROW_ASSIGN_OR_RAISE(auto offsets,
                        ListOffsets(Find(batch, plan.name + "_offsets"), plan.name));
  if (plan.shape.size() == 1) {
    return arrow::MakeArray(
        arrow::ArrayData::Make(type, batch.rows, {valid, offsets}, {elements->data()}));
  }
  const auto& storage = static_cast<const arrow::ExtensionType&>(*type).storage_type();
  auto data = arrow::ArrayData::Make(storage->field(0)->type(), batch.rows,
                                     {nullptr, offsets}, {elements->data()});
  const Tensor& shapes = Find(batch, plan.name + "_shape");
  arrow::Int32Builder sizes;
  for (int64_t i = 0; i < shapes.size(); ++i) {
    // A dimension below the number of elements, which fits.
    ARROW_RETURN_NOT_OK(sizes.Append(
        static_cast<int32_t>(reinterpret_cast<const int64_t*>(shapes.data())[i])));
  }
  ARROW_ASSIGN_OR_RAISE(auto flat, sizes.Finish());
  auto shape = arrow::ArrayData::Make(storage->field(1)->type(), batch.rows, {nullptr},
                                      {flat->data()});
  return Extended(type,
                  arrow::ArrayData::Make(storage, batch.rows, {valid}, {data, shape}));
}

}  // namespace

Result<std::shared_ptr<arrow::RecordBatchReader>> DecodedReader::Make(
    std::shared_ptr<arrow::RecordBatchReader> stored,
    const schema::ColumnChoices& choices) {
  std::shared_ptr<DecodedReader> reader(new DecodedReader());
  arrow::FieldVector fields;
  for (const auto& field : stored->schema()->fields()) {
    Column column;
    ARROW_ASSIGN_OR_RAISE(auto plan, schema::PlanOfCells(*field, choices));
    fields.push_back(field);
    if (plan) {
      column.plan = std::move(*plan);
      if (column.plan.dtype == DType::kBFloat16) column.plan.dtype = DType::kFloat32;
      column.plan.nulls.kind = NullPolicy::Kind::kMask;
      column.plan.ragged.kind = RaggedPolicy::Kind::kRagged;
      column.decoder =
          codec::FieldCodec::Make(*column.plan.field, arrow::default_memory_pool());
      fields.back() = field->WithType(TypeOf(column.plan))->RemoveMetadata();
    }
    reader->columns_.push_back(std::move(column));
  }
  reader->schema_ = arrow::schema(std::move(fields));
  reader->stored_ = std::move(stored);
  return reader;
}

Result<std::shared_ptr<arrow::Array>> DecodedReader::Decode(
    size_t column, const arrow::Array& values) const {
  const Column& c = columns_[column];
  std::vector<std::optional<std::span<const uint8_t>>> cells;
  cells.reserve(static_cast<size_t>(values.length()));
  for (int64_t i = 0; i < values.length(); ++i) {
    cells.push_back(schema::TextAt(values, i));
  }
  TensorBatch batch;
  batch.rows = values.length();
  const int64_t first = rows_read_ + at_;
  ARROW_RETURN_NOT_OK(decode::DecodeCells(
      c.plan, *c.decoder, {cells, {}},
      [first](int64_t i) {
        return " in row " + std::to_string(first + i) + " of those read";
      },
      arrow::default_memory_pool(), &batch));
  return ToArray(c.plan, batch);
}

arrow::Status DecodedReader::ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) {
  while (current_ == nullptr || at_ == current_->num_rows()) {
    if (current_ != nullptr) rows_read_ += current_->num_rows();
    at_ = 0;
    ARROW_RETURN_NOT_OK(stored_->ReadNext(&current_));
    if (current_ == nullptr) {
      *batch = nullptr;
      return Status::OK();
    }
  }
  const auto rows = current_->Slice(at_, kRows);
  arrow::ArrayVector columns;
  for (size_t c = 0; c < columns_.size(); ++c) {
    columns.push_back(rows->column(static_cast<int>(c)));
    if (columns_[c].decoder == nullptr) continue;
    ARROW_ASSIGN_OR_RAISE(auto plain,
                          schema::PlainText(columns[c], arrow::default_memory_pool()));
    ARROW_ASSIGN_OR_RAISE(columns[c], Decode(c, *plain));
  }
  *batch = arrow::RecordBatch::Make(schema_, rows->num_rows(), std::move(columns));
  at_ += rows->num_rows();
  return Status::OK();
}

}  // namespace headrace::pipeline
