#include "reader/survivor_reader.h"

#include <arrow/compute/api.h>
#include <arrow/record_batch.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <utility>

#include "schema/text.h"

namespace headrace::reader {

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
  kept_.clear();
  kept_rows_ = kept_at_ = 0;
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
  const bool finished = next_row_ == block_.rows && kept_at_ == kept_rows_;
  if (!status.ok() || finished) Close();
  return status;
}

Result<int64_t> SurvivorReader::ReadNext(const BlockRef& block, const Sink& sink) {
  if (!IsOpen(block)) ARROW_RETURN_NOT_OK(OpenAt(block, 0));
  int64_t rows = 0;
  if (block.thinned()) {
    ARROW_RETURN_NOT_OK(FillKept(next_survivor_));
    rows = kept_rows_ - kept_at_;
    ARROW_RETURN_NOT_OK(DeliverKept(0, rows, sink));
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
  if (damaged_[column]) return false;
  Status placed;
  if (sink.slot_of != nullptr && open_->CanPlace(column)) {
    ARROW_ASSIGN_OR_RAISE(const auto slot, sink.slot_of(column, rows));
    if (!slot) return false;
    placed = open_->Place(column, rows, *slot);
    if (placed.ok() && slot->settle != nullptr) placed = slot->settle();
  } else if (sink.cell_slot_of != nullptr && open_->CanPlaceCells(column)) {
    ARROW_ASSIGN_OR_RAISE(const auto slot, sink.cell_slot_of(column));
    if (!slot) return false;
    placed = open_->PlaceCells(column, rows, *slot);
  } else {
    return false;
  }
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

Status SurvivorReader::NextTile(std::shared_ptr<arrow::BooleanArray>* passing) {
  const int64_t rows = std::min(context_->tile_rows, block_.rows - next_row_);
  inputs_.clear();
  if (block_.filtered) {
    for (size_t input : spec_->filter_inputs) {
      ARROW_ASSIGN_OR_RAISE(auto values, open_->Read(input, rows));
      inputs_.push_back(std::move(values));
    }
    auto batch = arrow::RecordBatch::Make(spec_->filter->input_schema(), rows, inputs_);
    ARROW_ASSIGN_OR_RAISE(*passing, spec_->filter->Evaluate(*batch, context_->pool));
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
                        (*passing == nullptr || (*passing)->Value(row));
      arrow::bit_util::SetBitTo(bits->mutable_data(), row, kept);
    }
    *passing = std::make_shared<arrow::BooleanArray>(rows, std::move(bits));
  }
  next_row_ += rows;
  return Status::OK();
}

bool SurvivorReader::IsInput(size_t column) const {
  const auto& inputs = spec_->filter_inputs;
  return block_.filtered &&
         std::find(inputs.begin(), inputs.end(), column) != inputs.end();
}

Status SurvivorReader::TakeTile(const arrow::BooleanArray& passing, int64_t survivors) {
  arrow::compute::ExecContext exec(context_->pool);
  kept_.clear();
  for (size_t column = 0; column < spec_->selected; ++column) {
    const auto& inputs = spec_->filter_inputs;
    auto input = std::find(inputs.begin(), inputs.end(), column);
    Salvaged read;
    if (block_.filtered && input != inputs.end()) {
      ARROW_ASSIGN_OR_RAISE(
          read.values,
          schema::WithoutView(inputs_[static_cast<size_t>(input - inputs.begin())],
                              context_->pool));
    } else {
      ARROW_ASSIGN_OR_RAISE(
          read, ReadTile(column, next_row_ - passing.length(), passing.length()));
    }
    if (survivors < passing.length()) {
      ARROW_ASSIGN_OR_RAISE(
          auto kept,
          arrow::compute::Filter(read.values, arrow::Datum(passing.data()),
                                 arrow::compute::FilterOptions::Defaults(), &exec));
      read.values = kept.make_array();
      int64_t row = 0;
      std::erase_if(read.damaged, [&](uint8_t) { return !passing.Value(row++); });
    }
    kept_.push_back(std::move(read));
  }
  kept_rows_ = survivors;
  kept_at_ = 0;
  return Status::OK();
}

Status SurvivorReader::FillKept(int64_t first) {
  while (kept_at_ == kept_rows_ && next_row_ < block_.rows) {
    std::shared_ptr<arrow::BooleanArray> passing;
    ARROW_RETURN_NOT_OK(NextTile(&passing));
    const int64_t survivors = passing->true_count();
    if (next_survivor_ + survivors > first) {
      ARROW_RETURN_NOT_OK(TakeTile(*passing, survivors));
      kept_at_ = std::max<int64_t>(0, first - next_survivor_);
      next_survivor_ += kept_at_;
      return Status::OK();
    }
    // Nothing wanted here: the columns that the filter did not read are passed over.
    for (size_t column = 0; column < spec_->selected; ++column) {
      if (damaged_[column]) continue;
      if (!IsInput(column)) open_->Skip(column, passing->length());
    }
    next_survivor_ += survivors;
  }
  return Status::OK();
}

Status SurvivorReader::DeliverKept(int64_t at, int64_t rows, const Sink& sink) {
  for (size_t column = 0; rows > 0 && column < spec_->selected; ++column) {
    const Salvaged& kept = kept_[column];
    Delivery delivery{column, at, kept.values->Slice(kept_at_, rows), kept.damaged};
    if (!kept.damaged.empty()) {
      delivery.damaged = delivery.damaged.subspan(static_cast<size_t>(kept_at_),
                                                  static_cast<size_t>(rows));
    }
    ARROW_RETURN_NOT_OK(sink.put(delivery));
  }
  kept_at_ += rows;
  next_survivor_ += rows;
  return Status::OK();
}

Status SurvivorReader::ReadFiltered(int64_t first, int64_t rows, const Sink& sink) {
  for (int64_t done = 0; done < rows;) {
    ARROW_RETURN_NOT_OK(FillKept(first + done));
    const int64_t count = std::min(rows - done, kept_rows_ - kept_at_);
    if (count == 0) {
      return Error(ErrorKind::kInternal,
                   context_->table->DisplayPath(block_.fragment) + ": row group " +
                       std::to_string(block_.row_group) +
                       " has fewer rows that pass the filter than were counted");
    }
    ARROW_RETURN_NOT_OK(DeliverKept(done, count, sink));
    done += count;
  }
  return Status::OK();
}

Result<int64_t> SurvivorReader::Count(const BlockRef& block) {
  ARROW_RETURN_NOT_OK(OpenAt(block, 0));
  int64_t survivors = 0;
  while (next_row_ < block_.rows) {
    std::shared_ptr<arrow::BooleanArray> passing;
    ARROW_RETURN_NOT_OK(NextTile(&passing));
    survivors += passing->true_count();
  }
  Close();
  return survivors;
}

}  // namespace headrace::reader
