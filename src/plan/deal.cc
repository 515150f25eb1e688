#include "plan/deal.h"

#include <algorithm>
#include <cassert>
#include <string>

namespace headrace::plan {
namespace {

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

Status CheckSpec(const EpochOrder& order, const DealSpec& spec, int64_t start) {
  const int streams = order.spec().streams;
  const std::string ranks = std::to_string(spec.world_size);
  if (spec.world_size < 1 || spec.rank < 0 || spec.rank >= spec.world_size) {
    return Error(ErrorKind::kInvalidArgument,
                 "rank is " + std::to_string(spec.rank) + " of world_size " + ranks +
                     ", expected 0 <= rank < world_size");
  }
  if (spec.batch_size < 1) {
    return Error(ErrorKind::kInvalidArgument,
                 "batch_size is " + std::to_string(spec.batch_size) + ", expected 1 or more");
  }
  if (spec.drop_last && spec.pad_last) {
    return Error(ErrorKind::kInvalidArgument,
                 "drop_last and pad_last are both set, expected at most one");
  }
  if (streams % spec.world_size != 0) {
    const int64_t multiple = CeilDiv(8, spec.world_size) * spec.world_size;
    return Error(ErrorKind::kInvalidArgument,
                 "world_size " + ranks + " does not divide streams " + std::to_string(streams) +
                     ": give streams=" + std::to_string(multiple) + ", or another multiple of " +
                     ranks);
  }
  if (spec.world_size > 1 && order.rows() < streams) {
    return Error(ErrorKind::kInvalidArgument,
                 "the choice has " + std::to_string(order.rows()) + " rows, fewer than its " +
                     std::to_string(streams) + " streams: " + ranks +
                     " ranks cannot share them; choose more rows, or one rank");
  }
  if (start < 0 || start > order.rows()) {
    return Error(ErrorKind::kInvalidArgument,
                 "the position is " + std::to_string(start) + " samples into an epoch of " +
                     std::to_string(order.rows()));
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
  const int64_t width = spec.batch_size * spec.world_size;
  deal.full_steps_ = std::max<int64_t>(0, deal.positions_ - start) / width;
  const int64_t at = start + deal.full_steps_ * width;
  const int64_t left = deal.rows_ - at;  // positions and remainder
  deal.steps_ = deal.full_steps_;
  if (spec.pad_last) {
    deal.steps_ += CeilDiv(left, width);
  } else if (!spec.drop_last) {
    if (spec.world_size == 1) {
      deal.steps_ += CeilDiv(left, width);
    } else if (deal.positions_ - at >= spec.world_size) {
      deal.steps_ += 1;
    }
  }
  return deal;
}

Step Deal::StepAt(int64_t step) const {
  assert(step >= 0 && step < steps_);
  const int64_t width = spec_.batch_size * spec_.world_size;
  Step result;
  result.last = step + 1 == steps_;
  if (step < full_steps_) {
    result.rows = spec_.batch_size;
    result.samples_after = start_ + (step + 1) * width;
    return result;
  }
  const int64_t at = start_ + step * width;
  if (spec_.pad_last || spec_.world_size == 1) {
    const int64_t part = std::min(width, rows_ - at);
    result.rows = CeilDiv(part, spec_.world_size);
    result.samples_after = at + part;
  } else {
    result.rows = (positions_ - at) / spec_.world_size;
    result.samples_after = at + result.rows * spec_.world_size;
  }
  return result;
}

SampleRef Deal::SampleAt(int64_t step, int64_t i) const {
  assert(step >= 0 && step < steps_ && i >= 0);
  const int64_t width = spec_.batch_size * spec_.world_size;
  const int64_t at = start_ + step * width;
  const int64_t ranks = spec_.world_size;
  int64_t position;
  bool valid = true;
  if (step >= full_steps_ && spec_.pad_last) {
    // The tail is dealt out by place, not by position: every ranks-th sample from this rank's.
    position = at + i * ranks + spec_.rank;
    if (position >= std::min(at + width, rows_)) {
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
