#include "pipeline/assembler.h"

#include <arrow/array/util.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "codec/field_codec.h"
#include "decode/cell_column.h"
#include "schema/tensor.h"
#include "schema/text.h"
#include "transform/image_decoder.h"

namespace headrace::pipeline {
namespace {

// Bytes: what tensors are promised to be aligned to.
constexpr int64_t kTensorAlignment = 64;

}  // namespace

Result<std::unique_ptr<Assembler>> Assembler::Make(
    std::vector<schema::ColumnPlan> columns, std::vector<PackSpec> packs,
    arrow::MemoryPool* scratch) {
  CellDecoders cell_decoders;
  for (const schema::ColumnPlan& column : columns) {
    std::unique_ptr<codec::CellDecoder> cell_decoder;
    if (column.ops) {
      ARROW_ASSIGN_OR_RAISE(cell_decoder, transform::ImageDecoder::Make(
                                              *column.ops, column.field, scratch));
    } else if (column.field) {
      cell_decoder = codec::FieldCodec::Make(*column.field, scratch);
    }
    cell_decoders.push_back(std::move(cell_decoder));
  }
  return Make(std::move(columns), std::move(packs), std::move(cell_decoders));
}

Result<std::unique_ptr<Assembler>> Assembler::Make(
    std::vector<schema::ColumnPlan> columns, std::vector<PackSpec> packs,
    CellDecoders cell_decoders) {
  std::unique_ptr<Assembler> assembler(new Assembler());
  for (size_t c = 0; c < columns.size(); ++c) {
    std::unique_ptr<decode::ColumnDecoder> decoder;
    if (cell_decoders[c] != nullptr) {
      assembler->needs_row_ids_ |= cell_decoders[c]->is_random();
    } else if (!columns[c].fixed_width()) {
      ARROW_ASSIGN_OR_RAISE(decoder, decode::ColumnDecoder::Make(columns[c]));
    }
    assembler->decoders_.push_back(std::move(decoder));
  }
  assembler->cell_decoders_ = std::move(cell_decoders);
  assembler->packs_as_stored_.assign(packs.size(), true);
  for (const schema::ColumnPlan& column : columns) {
    if (column.pack < 0) {
      if (column.fixed_width()) ++assembler->slab_columns_[column.dtype];
      continue;
    }
    if (!column.fixed_width() || !column.as_stored()) {
      assembler->packs_as_stored_[static_cast<size_t>(column.pack)] = false;
    }
  }
  assembler->columns_ = std::move(columns);
  assembler->packs_ = std::move(packs);
  return assembler;
}

bool Assembler::decodes_cells() const {
  return std::ranges::any_of(cell_decoders_,
                             [](const auto& decoder) { return decoder != nullptr; });
}

std::vector<window::WindowColumn> Assembler::window_columns() const {
  std::vector<window::WindowColumn> columns;
  for (const schema::ColumnPlan& column : columns_) {
    window::WindowColumn kept{column.type, std::nullopt};
    if (column.fixed_width()) kept.fixed = column.stored_dtype;
    kept.cells = column.holds_cells();
    columns.push_back(std::move(kept));
  }
  if (needs_row_ids_) columns.push_back({arrow::int64(), DType::kInt64});
  return columns;
}

std::optional<int64_t> Assembler::PartRows() const {
  int64_t least = 8;
  for (const schema::ColumnPlan& column : columns_) {
    if (!column.fixed_width()) return std::nullopt;
    const bool masked = column.nulls.kind == NullPolicy::Kind::kMask;
    least = std::min(least, masked ? 1 : ByteWidth(column.dtype));
  }
  return kTensorAlignment / least;
}

Result<Assembler::Place> Assembler::PlaceOf(const batch::Drawing& drawing, size_t column,
                                            Making* making) const {
  const schema::ColumnPlan& plan = columns_[column];
  std::string name = plan.name;
  std::vector<int64_t> shape = {drawing.rows};
  int at = -1;
  Place place;
  if (plan.pack >= 0) {
    const PackSpec& pack = packs_[static_cast<size_t>(plan.pack)];
    name = pack.name;
    place.stride = static_cast<int64_t>(pack.columns.size());
    shape.push_back(place.stride);
    at = making->pack_at[static_cast<size_t>(plan.pack)];
  }
  TensorBatch* const batch = &making->batch;
  if (at < 0) {
    ARROW_ASSIGN_OR_RAISE(Tensor tensor,
                          plan.pack >= 0 || decoders_[column] != nullptr
                              ? schema::AllocateTensor(plan.dtype, shape, drawing.pool)
                              : TakeOfSlab(drawing, plan.dtype, making));
    at = static_cast<int>(batch->columns.size());
    batch->names.push_back(std::move(name));
    batch->columns.emplace_back(std::move(tensor));
    if (plan.pack >= 0) making->pack_at[static_cast<size_t>(plan.pack)] = at;
  }
  place.out =
      std::get<Tensor>(batch->columns[static_cast<size_t>(at)]).buffer->mutable_data() +
      plan.pack_position * ByteWidth(plan.dtype);
  return place;
}

Result<Tensor> Assembler::TakeOfSlab(const batch::Drawing& drawing, DType dtype,
                                     Making* making) const {
  Making::Slab& slab = making->slabs[dtype];
  const int64_t bytes = drawing.rows * ByteWidth(dtype);
  const int64_t room =
      (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
  if (slab.memory == nullptr) {
    ARROW_ASSIGN_OR_RAISE(
        slab.memory, arrow::AllocateBuffer(slab_columns_.at(dtype) * room, drawing.pool));
  }
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = {drawing.rows};
  tensor.buffer = arrow::SliceMutableBuffer(slab.memory, slab.used, bytes);
  slab.used += room;
  return tensor;
}

Status Assembler::AppendFixed(const batch::Drawing& drawing, size_t column,
                              Making* making) const {
  const schema::ColumnPlan& plan = columns_[column];
  const bool together = plan.pack >= 0 &&
                        packs_as_stored_[static_cast<size_t>(plan.pack)] &&
                        !drawing.rounds.empty();
  const bool drawn = together && making->pack_at[static_cast<size_t>(plan.pack)] >= 0;
  ARROW_ASSIGN_OR_RAISE(const Place place, PlaceOf(drawing, column, making));
  const batch::Target target{column, &plan, place.out, place.stride};
  if (!together) {
    ARROW_RETURN_NOT_OK(batch::DrawValues(drawing, {&target, 1}));
  } else if (!drawn) {
    ARROW_RETURN_NOT_OK(DrawPack(drawing, target));
  }
  Tensor mask;
  ARROW_RETURN_NOT_OK(batch::DrawNulls(drawing, target, &mask));
  if (mask.buffer != nullptr) {
    making->batch.names.push_back(plan.name + "_mask");
    making->batch.columns.emplace_back(std::move(mask));
  }
  return Status::OK();
}

Status Assembler::DrawPack(const batch::Drawing& drawing,
                           const batch::Target& one) const {
  const int64_t width = ByteWidth(one.plan->dtype);
  uint8_t* const pack = one.out - one.plan->pack_position * width;
  std::vector<batch::Target> targets;
  for (size_t c = 0; c < columns_.size(); ++c) {
    const schema::ColumnPlan& plan = columns_[c];
    if (plan.pack != one.plan->pack) continue;
    targets.push_back({c, &plan, pack + plan.pack_position * width, one.out_stride});
  }
  std::ranges::sort(targets, {}, &batch::Target::out);
  return batch::DrawValues(drawing, targets);
}

std::vector<codec::SampleKey> Assembler::KeysOf(const batch::Drawing& drawing) const {
  std::vector<codec::SampleKey> keys;
  for (const int64_t row_id : batch::Int64sOf(drawing, columns_.size())) {
    keys.push_back({drawing.seed, drawing.epoch, row_id});
  }
  return keys;
}

Status Assembler::AppendCells(const batch::Drawing& drawing, size_t column,
                              Making* making) const {
  const codec::CellDecoder& decoder = *cell_decoders_[column];
  const std::vector<batch::Cell> bytes = batch::CellsOf(drawing, column);
  std::vector<codec::SampleKey> keys;
  if (decoder.is_random()) keys = KeysOf(drawing);
  return decode::DecodeCells(columns_[column], decoder, {bytes, keys, drawing.executor},
                             drawing.locate, drawing.pool, &making->batch);
}

Status Assembler::AppendDecoded(const batch::Drawing& drawing, size_t column,
                                Making* making) const {
  const schema::ColumnPlan& plan = columns_[column];
  auto values = batch::Gather(drawing, column);
  if (!values.ok()) {
    return WithContext(values.status(), "column \"" + plan.name + "\"");
  }
  if (plan.pack < 0) {
    return decoders_[column]->Decode(*values, drawing.locate, drawing.pool,
                                     &making->batch);
  }
  TensorBatch decoded;
  ARROW_RETURN_NOT_OK(
      decoders_[column]->Decode(*values, drawing.locate, drawing.pool, &decoded));
  ARROW_ASSIGN_OR_RAISE(const Place place, PlaceOf(drawing, column, making));
  const uint8_t* in = std::get<Tensor>(decoded.columns[0]).data();
  const int64_t width = ByteWidth(plan.dtype);
  for (int64_t i = 0; i < drawing.rows; ++i) {
    std::memcpy(place.out + i * place.stride * width, in + i * width,
                static_cast<size_t>(width));
  }
  for (size_t c = 1; c < decoded.columns.size(); ++c) {  // its mask
    making->batch.names.push_back(std::move(decoded.names[c]));
    making->batch.columns.push_back(std::move(decoded.columns[c]));
  }
  return Status::OK();
}

Status Assembler::Append(const batch::Drawing& drawing, size_t column,
                         Making* making) const {
  if (cell_decoders_[column] != nullptr) return AppendCells(drawing, column, making);
  if (decoders_[column] != nullptr) return AppendDecoded(drawing, column, making);
  return AppendFixed(drawing, column, making);
}

Result<TensorBatch> Assembler::Assemble(const batch::Drawing& drawing) const {
  return Assemble(drawing, Missing(columns_.size()));
}

Result<TensorBatch> Assembler::Assemble(const batch::Drawing& drawing,
                                        const Missing& missing) const {
  Making making;
  making.batch.rows = drawing.rows;
  making.pack_at.assign(packs_.size(), -1);
  batch::Drawing of_column = drawing;
  const bool any_missing =
      std::ranges::any_of(missing, [](const auto& values) { return !values.empty(); });
  if (any_missing) of_column.rounds = {};  // values are drawn one by one
  for (size_t c = 0; c < columns_.size(); ++c) {
    of_column.missing = missing[c];
    ARROW_RETURN_NOT_OK(Append(of_column, c, &making));
  }
  return std::move(making.batch);
}

Result<TensorBatch> Assembler::Empty(arrow::MemoryPool* pool) const {
  ARROW_ASSIGN_OR_RAISE(auto window, window::Window::Make(window_columns(), 0, {}, pool));
  for (size_t c = 0; c < columns_.size(); ++c) {
    if (window->is_fixed(c)) continue;
    ARROW_ASSIGN_OR_RAISE(auto values, arrow::MakeEmptyArray(columns_[c].type, pool));
    ARROW_ASSIGN_OR_RAISE(values, schema::WithoutView(values, pool));
    ARROW_RETURN_NOT_OK(window->Put(c, 0, values));
  }
  ARROW_RETURN_NOT_OK(window->Seal());
  const batch::Segment segment{window.get(), 0, 0, 0, 1};
  batch::Drawing drawing;
  drawing.segments = {&segment, 1};
  drawing.pool = pool;
  drawing.locate = [](int64_t) { return std::string(); };
  return Assemble(drawing);
}

Status Assembler::Check(const batch::Drawing& drawing, size_t column) const {
  Making making;
  making.pack_at.assign(packs_.size(), -1);
  return Append(drawing, column, &making);
}

Status AppendValid(const std::vector<bool>& valid, arrow::MemoryPool* pool,
                   TensorBatch* batch) {
  ARROW_ASSIGN_OR_RAISE(
      Tensor tensor,
      schema::AllocateTensor(DType::kBool, {static_cast<int64_t>(valid.size())}, pool));
  for (size_t i = 0; i < valid.size(); ++i)
    tensor.buffer->mutable_data()[i] = valid[i] ? 1 : 0;
  batch->names.emplace_back("valid");
  batch->columns.emplace_back(std::move(tensor));
  return Status::OK();
}

}  // namespace headrace::pipeline
