#include "plan/epoch_order.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <string>
#include <utility>

#include "base/random.h"

namespace headrace::plan {
namespace {

using base::MixKey;
using base::Purpose;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

Result<EpochOrder> EpochOrder::Make(std::shared_ptr<const std::vector<int64_t>> survivors,
                                    const OrderSpec& spec) {
  if (spec.streams < 1 || spec.shuffle_window_rows < 1 || spec.epoch < 0) {
    return Error(ErrorKind::kInvalidArgument,
                 "streams is " + std::to_string(spec.streams) + ", shuffle_window_rows " +
                     std::to_string(spec.shuffle_window_rows) + ", epoch " +
                     std::to_string(spec.epoch) + ": expected at least 1, 1 and 0");
  }
  EpochOrder order;
  order.spec_ = spec;
  order.survivors_ = std::move(survivors);
  // The blocks with survivors, in stored numbering, then permuted.
  std::vector<uint32_t> present;
  for (size_t b = 0; b < order.survivors_->size(); ++b) {
    if ((*order.survivors_)[b] > 0) present.push_back(static_cast<uint32_t>(b));
  }
  const auto epoch = static_cast<uint64_t>(spec.epoch);
  if (spec.shuffle) {
    std::vector<uint32_t> permutation;
    base::FillPermutation(MixKey(Purpose::kBlocks, {spec.seed, epoch}),
                          static_cast<int64_t>(present.size()), &permutation);
    for (uint32_t i : permutation) order.order_.push_back(present[i]);
  } else {
    order.order_ = std::move(present);
  }
  order.ends_.reserve(order.order_.size());
  for (uint32_t block : order.order_) {
    order.rows_ += (*order.survivors_)[block];
    order.ends_.push_back(order.rows_);
  }
  if (spec.shuffle && order.rows_ > 0) {
    base::KeyedRandom random(MixKey(Purpose::kRotation, {spec.seed, epoch}));
    order.rotation_ = static_cast<int64_t>(random.Below(static_cast<uint64_t>(order.rows_)));
  }
  return order;
}

Window EpochOrder::WindowAt(int stream, int64_t index) const {
  assert(index >= 0 && index < stream_rows());
  const int64_t width = std::max<int64_t>(1, spec_.shuffle_window_rows / spec_.streams);
  // Streams refill in turn: stream s's first window has ceil((s + 1) * width / S) rows.
  const int64_t first_rows = CeilDiv((stream + 1) * width, spec_.streams);
  Window window;
  if (index >= first_rows) {
    window.index = 1 + (index - first_rows) / width;
    window.first = first_rows + (window.index - 1) * width;
    window.rows = width;
  } else {
    window.rows = first_rows;
  }
  window.rows = std::min(window.rows, stream_rows() - window.first);
  return window;
}

std::vector<Run> EpochOrder::Runs(int64_t first, int64_t rows) const {
  std::vector<Run> runs;
  while (rows > 0) {
    // Rotated position `first` is permuted row (first + rotation) mod N.
    const int64_t row = first >= rows_ - rotation_ ? first - (rows_ - rotation_) : first + rotation_;
    const auto found = std::upper_bound(ends_.begin(), ends_.end(), row);
    const auto i = static_cast<size_t>(found - ends_.begin());
    const int64_t begin = i == 0 ? 0 : ends_[i - 1];
    const int64_t count = std::min(rows, ends_[i] - row);
    runs.push_back({order_[i], row - begin, count});
    first += count;
    rows -= count;
  }
  return runs;
}

std::vector<Run> EpochOrder::StreamRuns(int stream, int64_t first, int64_t rows) const {
  assert(first >= 0 && first + rows <= stream_rows());
  return Runs(stream * stream_rows() + first, rows);
}

std::vector<Run> EpochOrder::RemainderRuns() const {
  return Runs(positions(), remainder_rows());
}

void EpochOrder::Placement(int stream, const Window& window, std::vector<uint32_t>* out) const {
  if (!spec_.shuffle) {
    out->resize(static_cast<size_t>(window.rows));
    std::iota(out->begin(), out->end(), 0U);
    return;
  }
  base::FillPermutation(
      MixKey(Purpose::kWindow,
             {spec_.seed, static_cast<uint64_t>(spec_.epoch), static_cast<uint64_t>(stream),
              static_cast<uint64_t>(window.index)}),
      window.rows, out);
}

}  // namespace headrace::plan
