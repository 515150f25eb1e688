#include "plan/deal.h"

#include <algorithm>
#include <cassert>
#include <string>

namespace headrace::plan {
namespace {

// No a + b - 1: batch_size may be as large as its type.
int64_t CeilDiv(int64_t a, int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// The positions of one full step over all ranks; N + 1 stands for all that are more than
// any epoch has.
int64_t StepWidth(const DealSpec& spec, int64_t rows) {
  const int64_t most = rows + 1;
  return spec.batch_size > most / spec.world_size ? most
                                                  : spec.batch_size * spec.world_size;
}

Status CheckSpec(const EpochOrder& order, const DealSpec& spec, int64_t start) {
  const int streams = order.spec().streams;
  const std::string ranks = std::to_string(spec.world_size);
  if (spec.world_size < 1 || spec.rank < 0 || spec.rank >= spec.world_size) {
    return Error(ErrorKind::kInvalidArgument, "rank is " + std::to_string(spec.rank) +
                                                  " of world_size " + ranks +
                                                  ", expected 0 <= rank < world_size");
  }
  if (spec.batch_size < 1) {
    return Error(
        ErrorKind::kInvalidArgument,
        "batch_size is " + std::to_string(spec.batch_size) + ", expected 1 or more");
  }
  if (spec.drop_last && spec.pad_last) {
    return Error(ErrorKind::kInvalidArgument,
                 "drop_last and pad_last are both set, expected at most one");
  }
  if (streams % spec.world_size != 0) {
    const int64_t multiple = CeilDiv(8, spec.world_size) * spec.world_size;
    return Error(ErrorKind::kInvalidArgument,
                 "world size " + ranks + " does not divide streams " +
                     std::to_string(streams) + ": give streams=" +
                     std::to_string(multiple) + " or another multiple of " + ranks);
  }
  if (spec.world_size > 1 && order.rows() < streams) {
    return Error(ErrorKind::kInvalidArgument,
                 "the choice has " + std::to_string(order.rows()) +
                     " rows, fewer than its " + std::to_string(streams) + " streams: " +
                     ranks + " ranks cannot share them; choose more rows, or one rank");
  }
  if (start < 0 || start > order.rows()) {
    return Error(ErrorKind::kInvalidArgument,
                 "the position is " + std::to_string(start) +
                     " samples into the epoch, expected 0 to its " +
                     std::to_string(order.rows()) + " rows");
  }
  return Status::OK();
}

}  // namespace

Result<Deal> Deal::Make(const EpochOrder& order, const DealSpec& spec, int64_t start) {
  ARROW_RETURN_NOT_OK(CheckSpec(order, spec, start));
  Deal deal;
  deal.spec_ = spec;
  deal.streams_ = order.spec().streams;
  deal.positions_ = order.positions();
  deal.rows_ = order.rows();
  deal.start_ = start;
  deal.width_ = StepWidth(spec, order.rows());
  // A start inside the remainder (of a pass on one rank, or padded) leaves no full step.
  deal.full_steps_ = std::max<int64_t>(0, deal.positions_ - start) / deal.width_;
  deal.steps_ = deal.full_steps_;
  const int64_t at = start + deal.full_steps_ * deal.width_;
  if (deal.TailHoldsAll()) {
    deal.steps_ += CeilDiv(deal.rows_ - at, deal.width_);
  } else if (!spec.drop_last && deal.positions_ - at >= spec.world_size) {
    deal.steps_ += 1;
  }
  return deal;
}

Step Deal::StepAt(int64_t step) const {
  assert(step >= 0 && step < steps_);
  const int64_t at = start_ + step * width_;
  Step result;
  result.last = step + 1 == steps_;
  if (step < full_steps_) {
    result.rows = spec_.batch_size;
    result.samples_after = at + width_;
  } else if (TailHoldsAll()) {
    const int64_t part = std::min(width_, rows_ - at);
    result.rows = CeilDiv(part, spec_.world_size);
    result.samples_after = at + part;
  } else {
    result.rows = (positions_ - at) / spec_.world_size;
    result.samples_after = at + result.rows * spec_.world_size;
  }
  return result;
}

SampleRef Deal::SampleAt(int64_t step, int64_t i) const {
  assert(step >= 0 && step < steps_ && i >= 0 && i < StepAt(step).rows);
  const int64_t at = start_ + step * width_;
  const int64_t ranks = spec_.world_size;
  int64_t position;
  bool valid = true;
  if (step >= full_steps_ && spec_.pad_last) {
    // The tail is dealt out by place, not by position: every ranks-th sample from this
    // rank's.
    position = at + i * ranks + spec_.rank;
    if (position >= at + std::min(width_, rows_ - at)) {
      position = at;
      valid = false;
    }
  } else {
    // The first position at or after `at` that is this rank's.
    const int64_t offset = (spec_.rank - at % ranks + ranks) % ranks;
    position = at + offset + i * ranks;
  }
  if (position >= positions_) {
    return {SampleRef::kRemainder, position - positions_, valid};
  }
  return {static_cast<int>(position % streams_), position / streams_, valid};
}

}  // namespace headrace::plan
