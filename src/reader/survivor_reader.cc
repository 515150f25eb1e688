#include "reader/survivor_reader.h"

#include <arrow/compute/api.h>
#include <arrow/record_batch.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/with_width.h"
#include "schema/dtype.h"
#include "schema/text.h"

namespace headrace::reader {
namespace {

// Rows that are decoded at a time where some are picked: few enough for the first-level
// cache.
constexpr int64_t kPickRows = 2 << 10;

// Writes those of the values from row `first` on that are of `rows`.
void Pick(int64_t width, const uint8_t* values, int64_t first,
          std::span<const uint32_t> rows, uint8_t* out) {
  base::WithWidth(width, [&]<typename T>(T) {
    const auto* const from = reinterpret_cast<const T*>(values);
    auto* const to = reinterpret_cast<T*>(out);
    for (size_t i = 0; i < rows.size(); ++i) to[i] = from[rows[i] - first];
  });
}

Result<std::shared_ptr<arrow::Array>> SurvivorsOf(std::shared_ptr<arrow::Array> values,
                                                  const arrow::BooleanArray& passing,
                                                  arrow::MemoryPool* pool) {
  if (passing.true_count() == passing.length()) return values;
  arrow::compute::ExecContext exec(pool);
  ARROW_ASSIGN_OR_RAISE(auto kept, arrow::compute::Filter(
                                       values, arrow::Datum(passing.data()),
                                       arrow::compute::FilterOptions::Defaults(), &exec));
  return kept.make_array();
}

}  // namespace

Result<ReadSpec> ReadSpec::Make(const table::Table& table,
                                const std::vector<std::string>& selected,
                                const expression::Filter* filter, bool row_ids) {
  ReadSpec spec;
  std::vector<std::string> names = selected;
  spec.selected = names.size();
  spec.filter = filter;
  if (filter != nullptr) {
    for (const std::string& name : filter->columns()) {
      auto found = std::find(names.begin(), names.end(), name);
      spec.filter_inputs.push_back(static_cast<size_t>(found - names.begin()));
      if (found == names.end()) names.push_back(name);
    }
  }
  ARROW_ASSIGN_OR_RAISE(spec.columns, ResolveColumns(table, names));
  if (row_ids) {
    ARROW_ASSIGN_OR_RAISE(ReadColumn column, RowIdColumn(table));
    spec.columns.insert(spec.columns.begin() + static_cast<int64_t>(spec.selected),
                        std::move(column));
    for (size_t& input : spec.filter_inputs) input += input >= spec.selected ? 1 : 0;
    ++spec.selected;
  }
  return spec;
}

void SurvivorReader::Close() {
  open_.reset();
  inputs_.clear();
  passing_.reset();
  tile_at_ = tile_left_ = 0;
}

Status SurvivorReader::OpenAt(const BlockRef& block, int64_t first) {
  Close();
  block_ = block;
  next_row_ = next_survivor_ = block.thinned() ? 0 : first;
  damaged_.assign(spec_->columns.size(), false);
  std::vector<ReadColumn> columns = spec_->columns;
  if (!block.filtered) columns.resize(spec_->selected);
  EnteredRows rows;
  rows.first = block.first_row + next_row_;
  rows.ahead_first = resumed_ ? rows.first : block.first_row;
  rows.ahead_end = block.first_row + block.rows;
  // The stream that ends where this one begins reads what comes before.
  rows.others_follow = first > 0 && !resumed_;
  resumed_ = false;
  ARROW_ASSIGN_OR_RAISE(open_, RowGroupReader::Open(*context_, block.fragment,
                                                    block.row_group, rows, columns));
  return Status::OK();
}

bool SurvivorReader::IsOpen(const BlockRef& block) const {
  return open_ != nullptr && block_.fragment == block.fragment &&
         block_.row_group == block.row_group && block_.first_row == block.first_row;
}

Status SurvivorReader::Read(const BlockRef& block, int64_t first, int64_t rows,
                            const Sink& sink) {
  if (!IsOpen(block) || next_survivor_ != first)
    ARROW_RETURN_NOT_OK(OpenAt(block, first));
  Status status = block.thinned() ? ReadFiltered(first, rows, sink) : ReadAll(rows, sink);
  // A failed read leaves columns at different rows; a finished block's pages are let go.
  if (!status.ok() || AtEnd()) Close();
  return status;
}

Result<int64_t> SurvivorReader::ReadNext(const BlockRef& block, const Sink& sink) {
  if (!IsOpen(block)) ARROW_RETURN_NOT_OK(OpenAt(block, 0));
  int64_t rows = 0;
  if (block.thinned()) {
    ARROW_ASSIGN_OR_RAISE(Run run, RunOf(context_->tile_rows));
    while (run.survivors == 0 && !AtEnd()) {
      ARROW_RETURN_NOT_OK(Extend(context_->tile_rows, sink, &run));
    }
    ARROW_RETURN_NOT_OK(Deliver(run, sink));
    rows = run.survivors;
  } else {
    rows = std::min(context_->tile_rows, block_.rows - next_row_);
    ARROW_RETURN_NOT_OK(ReadAll(rows, sink));
  }
  if (rows == 0) Close();
  return rows;
}

Status SurvivorReader::ReadAll(int64_t rows, const Sink& sink) {
  // Column by column, so that a window's column stays in the cache while it is written.
  for (size_t column = 0; column < spec_->selected; ++column) {
    ARROW_ASSIGN_OR_RAISE(const bool placed, Place(column, rows, sink));
    for (int64_t at = 0; !placed && at < rows; at += context_->tile_rows) {
      const int64_t count = std::min(context_->tile_rows, rows - at);
      ARROW_ASSIGN_OR_RAISE(auto read, ReadTile(column, next_row_ + at, count));
      ARROW_RETURN_NOT_OK(sink.put({column, at, read.values, read.damaged}));
    }
  }
  next_row_ += rows;
  next_survivor_ += rows;
  return Status::OK();
}

Result<bool> SurvivorReader::Place(size_t column, int64_t rows, const Sink& sink) {
  if (!damaged_[column] && sink.cell_slot_of != nullptr && open_->CanPlaceCells(column)) {
    ARROW_ASSIGN_OR_RAISE(const auto slot, sink.cell_slot_of(column));
    if (!slot) return false;
    return Tolerate(column, open_->PlaceCells(column, rows, *slot));
  }
  return PlaceBy(column, rows, sink, [&](const window::Slot& slot) {
    return open_->Place(column, rows, slot);
  });
}

Result<bool> SurvivorReader::PlaceBy(
    size_t column, int64_t rows, const Sink& sink,
    const std::function<Status(const window::Slot&)>& write) {
  if (damaged_[column] || sink.slot_of == nullptr || !open_->CanPlace(column)) {
    return false;
  }
  ARROW_ASSIGN_OR_RAISE(const auto slot, sink.slot_of(column, rows));
  if (!slot) return false;
  Status placed = write(*slot);
  if (placed.ok() && slot->settle != nullptr) placed = slot->settle();
  return Tolerate(column, placed);
}

Result<bool> SurvivorReader::Tolerate(size_t column, const Status& placed) {
  if (placed.ok()) return true;
  if (!context_->tolerant || KindOf(placed) != ErrorKind::kCorrupt) return placed;
  damaged_[column] = true;
  return false;
}

Result<Salvaged> SurvivorReader::ReadTile(size_t column, int64_t row, int64_t rows) {
  if (!damaged_[column]) {
    auto values = open_->Read(column, rows);
    if (values.ok()) {
      ARROW_ASSIGN_OR_RAISE(auto plain, schema::WithoutView(*values, context_->pool));
      return Salvaged{std::move(plain), {}};
    }
    if (!context_->tolerant || KindOf(values.status()) != ErrorKind::kCorrupt) {
      return values.status();
    }
    damaged_[column] = true;
  }
  ARROW_ASSIGN_OR_RAISE(Salvaged salvaged,
                        Salvage(*context_, block_.fragment, block_.row_group,
                                block_.first_row + row, rows, spec_->columns[column]));
  ARROW_ASSIGN_OR_RAISE(salvaged.values,
                        schema::WithoutView(salvaged.values, context_->pool));
  return salvaged;
}

Status SurvivorReader::NextTile() {
  const int64_t rows = std::min(context_->tile_rows, block_.rows - next_row_);
  inputs_.clear();
  passing_.reset();
  if (block_.filtered) {
    for (size_t input : spec_->filter_inputs) {
      ARROW_ASSIGN_OR_RAISE(auto values, open_->Read(input, rows));
      inputs_.push_back(std::move(values));
    }
    auto batch = arrow::RecordBatch::Make(spec_->filter->input_schema(), rows, inputs_);
    ARROW_ASSIGN_OR_RAISE(passing_, spec_->filter->Evaluate(*batch, context_->pool));
  }
  if (block_.has_deleted) {
    const auto& deleted =
        *context_->table->fragments()[static_cast<size_t>(block_.fragment)].deleted;
    present_.assign(static_cast<size_t>(rows), 1);
    deleted.Clear(block_.first_row_in_file + next_row_, present_);
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> bits,
                          arrow::AllocateEmptyBitmap(rows, context_->pool));
    for (int64_t row = 0; row < rows; ++row) {
      const bool kept = present_[static_cast<size_t>(row)] != 0 &&
                        (passing_ == nullptr || passing_->Value(row));
      arrow::bit_util::SetBitTo(bits->mutable_data(), row, kept);
    }
    passing_ = std::make_shared<arrow::BooleanArray>(rows, std::move(bits));
  }
  next_row_ += rows;
  tile_at_ = 0;
  tile_left_ = passing_->true_count();
  return Status::OK();
}

bool SurvivorReader::IsInput(size_t column) const {
  const auto& inputs = spec_->filter_inputs;
  return block_.filtered &&
         std::find(inputs.begin(), inputs.end(), column) != inputs.end();
}

void SurvivorReader::SkipRows(size_t column, int64_t rows) {
  if (!damaged_[column] && !IsInput(column)) open_->Skip(column, rows);
}

Result<SurvivorReader::Run> SurvivorReader::RunOf(int64_t survivors) const {
  Run run;
  ARROW_ASSIGN_OR_RAISE(
      run.picked,
      arrow::AllocateBuffer(survivors * static_cast<int64_t>(sizeof(uint32_t)),
                            context_->pool));
  return run;
}

Result<SurvivorReader::Piece> SurvivorReader::NextPiece(int64_t most, uint32_t* picked) {
  if (passing_ == nullptr || tile_at_ == passing_->length()) {
    ARROW_RETURN_NOT_OK(NextTile());
  }
  Piece piece;
  piece.row = next_row_ - passing_->length() + tile_at_;
  piece.survivors = std::min(most, tile_left_);
  const uint8_t* const bits = passing_->values()->data();
  const int64_t first = passing_->offset() + tile_at_;
  int64_t rows = 0;
  for (int64_t found = 0; found < piece.survivors; ++rows) {
    if (picked != nullptr) picked[found] = static_cast<uint32_t>(rows);
    found += arrow::bit_util::GetBit(bits, first + rows) ? 1 : 0;
  }
  if (piece.survivors == 0) rows = passing_->length() - tile_at_;
  piece.passing =
      std::static_pointer_cast<arrow::BooleanArray>(passing_->Slice(tile_at_, rows));
  tile_at_ += rows;
  tile_left_ -= piece.survivors;
  return piece;
}

Status SurvivorReader::Extend(int64_t most, const Sink& sink, Run* run) {
  auto* const picked = run->picked->mutable_data_as<uint32_t>() + run->survivors;
  ARROW_ASSIGN_OR_RAISE(Piece piece, NextPiece(most, picked));
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const size_t column = spec_->filter_inputs[i];
    if (column >= spec_->selected || piece.survivors == 0) continue;
    const auto values = inputs_[i]->Slice(tile_at_ - piece.rows(), piece.rows());
    ARROW_ASSIGN_OR_RAISE(auto plain, schema::WithoutView(values, context_->pool));
    ARROW_ASSIGN_OR_RAISE(auto kept,
                          SurvivorsOf(std::move(plain), *piece.passing, context_->pool));
    ARROW_RETURN_NOT_OK(sink.put({column, run->survivors, std::move(kept), {}}));
  }
  run->survivors += piece.survivors;
  run->pieces.push_back(std::move(piece));
  return Status::OK();
}

Status SurvivorReader::Deliver(const Run& run, const Sink& sink) {
  if (run.survivors == 0) return Status::OK();
  for (size_t column = 0; column < spec_->selected; ++column) {
    if (!IsInput(column)) ARROW_RETURN_NOT_OK(DeliverRun(column, run, sink));
  }
  next_survivor_ += run.survivors;
  return Status::OK();
}

Status SurvivorReader::DeliverRun(size_t column, const Run& run, const Sink& sink) {
  ARROW_ASSIGN_OR_RAISE(const bool placed, PlaceRun(column, run, sink));
  if (placed) return Status::OK();
  int64_t at = 0;
  for (const Piece& piece : run.pieces) {
    if (piece.survivors == 0) {
      SkipRows(column, piece.rows());
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(Salvaged read, ReadTile(column, piece.row, piece.rows()));
    ARROW_ASSIGN_OR_RAISE(
        auto kept, SurvivorsOf(std::move(read.values), *piece.passing, context_->pool));
    int64_t row = 0;
    std::erase_if(read.damaged, [&](uint8_t) { return !piece.passing->Value(row++); });
    ARROW_RETURN_NOT_OK(sink.put({column, at, std::move(kept), read.damaged}));
    at += piece.survivors;
  }
  return Status::OK();
}

Result<bool> SurvivorReader::PlaceRun(size_t column, const Run& run, const Sink& sink) {
  return PlaceBy(column, run.survivors, sink, [&](const window::Slot& slot) -> Status {
    const auto* picked = run.picked->data_as<uint32_t>();
    int64_t at = 0;
    for (const Piece& piece : run.pieces) {
      const auto survivors = static_cast<size_t>(piece.survivors);
      ARROW_RETURN_NOT_OK(
          PlacePiece(column, piece, std::span(picked + at, survivors), at, slot));
      at += piece.survivors;
    }
    return Status::OK();
  });
}

Status SurvivorReader::PlacePiece(size_t column, const Piece& piece,
                                  std::span<const uint32_t> picked, int64_t at,
                                  const window::Slot& slot) {
  const int64_t width =
      ByteWidth(*schema::DTypeOf(*spec_->columns[column].field->type()));
  for (int64_t begin = 0; begin < piece.rows(); begin += kPickRows) {
    const int64_t rows = std::min(kPickRows, piece.rows() - begin);
    const auto end =
        std::ranges::lower_bound(picked, static_cast<uint32_t>(begin + rows));
    const std::span here(picked.begin(), end);
    picked = {end, picked.end()};
    const window::Slot from{.values = slot.values + at * width,
                            .valid = [&]() -> Result<uint8_t*> {
                              ARROW_ASSIGN_OR_RAISE(uint8_t* const valid, slot.valid());
                              return valid + at;
                            },
                            .settle = nullptr};
    if (here.empty()) {
      open_->Skip(column, rows);
    } else if (std::ssize(here) == rows) {
      ARROW_RETURN_NOT_OK(open_->Place(column, rows, from));
    } else {
      ARROW_RETURN_NOT_OK(PlacePicked(column, begin, rows, here, width, from));
    }
    at += std::ssize(here);
  }
  return Status::OK();
}

Status SurvivorReader::PlacePicked(size_t column, int64_t first, int64_t rows,
                                   std::span<const uint32_t> picked, int64_t width,
                                   const window::Slot& slot) {
  std::array<uint64_t, kPickRows> values;
  std::array<uint8_t, kPickRows> valid;
  bool any_null = false;
  const window::Slot all{.values = reinterpret_cast<uint8_t*>(values.data()),
                         .valid = [&]() -> Result<uint8_t*> {
                           if (!any_null) valid.fill(1);
                           any_null = true;
                           return valid.data();
                         },
                         .settle = nullptr};
  ARROW_RETURN_NOT_OK(open_->Place(column, rows, all));
  Pick(width, all.values, first, picked, slot.values);
  if (any_null) {
    ARROW_ASSIGN_OR_RAISE(uint8_t* const out, slot.valid());
    Pick(1, valid.data(), first, picked, out);
  }
  return Status::OK();
}

Status SurvivorReader::ReadFiltered(int64_t first, int64_t rows, const Sink& sink) {
  auto check_end = [this]() -> Status {
    if (!AtEnd()) return Status::OK();
    return Error(ErrorKind::kInternal,
                 context_->table->DisplayPath(block_.fragment) + ": row group " +
                     std::to_string(block_.row_group) +
                     " has fewer rows that pass the filter than were counted");
  };
  while (next_survivor_ < first) {
    ARROW_RETURN_NOT_OK(check_end());
    ARROW_ASSIGN_OR_RAISE(const Piece passed,
                          NextPiece(first - next_survivor_, /*picked=*/nullptr));
    for (size_t column = 0; column < spec_->selected; ++column) {
      SkipRows(column, passed.rows());
    }
    next_survivor_ += passed.survivors;
  }
  ARROW_ASSIGN_OR_RAISE(Run run, RunOf(rows));
  while (run.survivors < rows) {
    ARROW_RETURN_NOT_OK(check_end());
    ARROW_RETURN_NOT_OK(Extend(rows - run.survivors, sink, &run));
  }
  return Deliver(run, sink);
}

Result<int64_t> SurvivorReader::Count(const BlockRef& block) {
  ARROW_RETURN_NOT_OK(OpenAt(block, 0));
  int64_t survivors = 0;
  while (next_row_ < block_.rows) {
    ARROW_RETURN_NOT_OK(NextTile());
    survivors += tile_left_;
  }
  Close();
  return survivors;
}

}  // namespace headrace::reader
