#include "pipeline/stream.h"

#include <optional>
#include <utility>

namespace headrace::pipeline {

Stream::Stream(const StreamContext* context, int id, int64_t first)
    : context_(context),
      id_(id),
      rows_(id == plan::SampleRef::kRemainder ? context->order->remainder_rows()
                                              : context->order->stream_rows()),
      reader_(context->read, &context->scan->spec(), /*resumed=*/first > 0) {
  next_ = first < rows_ ? WindowAt(first) : plan::Window{0, rows_, 0};
}

plan::Window Stream::WindowAt(int64_t index) const {
  // The remainder is fewer rows than there are streams, or a table smaller than that.
  if (id_ == plan::SampleRef::kRemainder) return plan::Window{0, 0, rows_};
  return context_->order->WindowAt(id_, index);
}

Result<std::unique_ptr<window::Window>> Stream::Fill(std::vector<uint32_t>* placement) {
  const base::Timed timed(&context_->read->counters->timeline, base::Activity::kFill,
                          next_.rows);
  const plan::EpochOrder& order = *context_->order;
  placement->clear();
  const bool permuted = order.spec().shuffle && id_ != plan::SampleRef::kRemainder;
  if (permuted) order.Placement(id_, next_, placement);
  ARROW_ASSIGN_OR_RAISE(auto window,
                        window::Window::Make(context_->columns, next_.rows, *placement,
                                             context_->read->pool));
  const std::vector<plan::Run> runs =
      id_ == plan::SampleRef::kRemainder ? order.RemainderRuns()
                                         : order.StreamRuns(id_, next_.first, next_.rows);
  int64_t base = 0;
  auto check_stop = [this]() -> Status {
    if (!*context_->stop) return Status::OK();
    return Error(ErrorKind::kCancelled, "the loader was stopped");
  };
  reader::Sink sink;
  sink.put = [&](const reader::Delivery& read) -> Status {
    ARROW_RETURN_NOT_OK(check_stop());
    ARROW_RETURN_NOT_OK(window->Put(read.column, base + read.at, read.values));
    if (read.damaged.empty()) return Status::OK();
    return window->MarkDamaged(read.column, base + read.at, read.damaged);
  };
  sink.slot_of = [&](size_t column, int64_t rows) -> Result<std::optional<window::Slot>> {
    ARROW_RETURN_NOT_OK(check_stop());
    if (!window->is_fixed(column)) return std::nullopt;
    return window->SlotOf(column, base, rows);
  };
  sink.cell_slot_of = [&](size_t column) -> Result<std::optional<window::CellSlot>> {
    ARROW_RETURN_NOT_OK(check_stop());
    if (!window->is_cells(column)) return std::nullopt;
    return window->CellSlotOf(column, base);
  };
  for (const plan::Run& run : runs) {
    ARROW_RETURN_NOT_OK(reader_.Read(context_->scan->Ref(run.block, context_->survivors),
                                     run.first_survivor, run.rows, sink));
    base += run.rows;
  }
  ARROW_RETURN_NOT_OK(window->Seal());
  const int64_t after = next_.first + next_.rows;
  if (after == rows_) reader_.Close();
  next_ = after < rows_ ? WindowAt(after) : plan::Window{next_.index + 1, rows_, 0};
  return window;
}

}  // namespace headrace::pipeline
