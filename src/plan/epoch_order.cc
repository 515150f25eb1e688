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

// What a permutation and a placement can number: 32 bits keep both half as large.
constexpr int64_t kNumbersMax = int64_t{1} << 32;

// So that the sum of two positions is one too. Only damaged footers count more.
constexpr int64_t kRowsMax = int64_t{1} << 62;

Status CheckOption(const char* name, int64_t value, int64_t least) {
  if (value >= least) return Status::OK();
  return Error(ErrorKind::kInvalidArgument, std::string(name) + " is " +
                                                std::to_string(value) + ", expected " +
                                                std::to_string(least) + " or more");
}

Status CheckSpec(const OrderSpec& spec) {
  ARROW_RETURN_NOT_OK(CheckOption("epoch", spec.epoch, 0));
  ARROW_RETURN_NOT_OK(CheckOption("streams", spec.streams, 1));
  return CheckOption("shuffle_window_rows", spec.shuffle_window_rows, 1);
}

// Rows of a stream's shuffle windows, but for its first and last.
int64_t WindowRows(const OrderSpec& spec) {
  return std::max<int64_t>(1, spec.shuffle_window_rows / spec.streams);
}

// The blocks with survivors, in stored numbering.
Result<std::vector<uint32_t>> PresentBlocks(const std::vector<int64_t>& survivors) {
  if (static_cast<int64_t>(survivors.size()) > kNumbersMax) {
    return Error(ErrorKind::kUnsupported, "the table has " +
                                              std::to_string(survivors.size()) +
                                              " blocks (row groups, or ranges of them), "
                                              "expected at most 2^32: write it with "
                                              "larger row groups");
  }
  std::vector<uint32_t> present;
  for (size_t b = 0; b < survivors.size(); ++b) {
    assert(survivors[b] >= 0);
    if (survivors[b] > 0) present.push_back(static_cast<uint32_t>(b));
  }
  return present;
}

}  // namespace

Result<EpochOrder> EpochOrder::Make(std::shared_ptr<const std::vector<int64_t>> survivors,
                                    const OrderSpec& spec) {
  ARROW_RETURN_NOT_OK(CheckSpec(spec));
  EpochOrder order;
  order.spec_ = spec;
  order.survivors_ = std::move(survivors);
  const auto epoch = static_cast<uint64_t>(spec.epoch);
  ARROW_ASSIGN_OR_RAISE(auto present, PresentBlocks(*order.survivors_));
  if (spec.shuffle) {
    base::FillPermutation(MixKey(Purpose::kBlocks, {spec.seed, epoch}),
                          static_cast<int64_t>(present.size()), &order.order_);
    for (uint32_t& block : order.order_) block = present[block];
  } else {
    order.order_ = std::move(present);
  }
  order.ends_.reserve(order.order_.size());
  for (uint32_t block : order.order_) {
    const int64_t rows = (*order.survivors_)[block];
    if (rows > kRowsMax - order.rows_) {
      return Error(ErrorKind::kCorrupt,
                   "the table's footers count more than 2^62 rows: headrace verify says "
                   "which file is damaged");
    }
    order.rows_ += rows;
    order.ends_.push_back(order.rows_);
  }
  if (!spec.shuffle || order.rows_ == 0) return order;
  const int64_t window_rows = std::min(WindowRows(spec), order.stream_rows());
  if (window_rows > kNumbersMax) {
    return Error(ErrorKind::kInvalidArgument,
                 "shuffle_window_rows is " + std::to_string(spec.shuffle_window_rows) +
                     " over " + std::to_string(spec.streams) +
                     " streams, expected at most 2^32 rows a stream: give a smaller "
                     "shuffle_window_rows or more streams");
  }
  base::KeyedRandom random(MixKey(Purpose::kRotation, {spec.seed, epoch}));
  order.rotation_ =
      static_cast<int64_t>(random.Below(static_cast<uint64_t>(order.rows_)));
  return order;
}

Window EpochOrder::WindowAt(int stream, int64_t index) const {
  assert(index >= 0 && index < stream_rows());
  const int64_t width = WindowRows(spec_);
  // Streams refill in turn: stream s's first window has ceil((s + 1) * width / S) rows.
  // Written so that no sum passes shuffle_window_rows.
  const int64_t shares = (stream + int64_t{1}) * width;
  const int64_t first_rows =
      shares / spec_.streams + (shares % spec_.streams != 0 ? 1 : 0);
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
    const int64_t row =
        first >= rows_ - rotation_ ? first - (rows_ - rotation_) : first + rotation_;
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

void EpochOrder::Placement(int stream, const Window& window,
                           std::vector<uint32_t>* out) const {
  if (!spec_.shuffle) {
    out->resize(static_cast<size_t>(window.rows));
    std::iota(out->begin(), out->end(), 0U);
    return;
  }
  base::FillPermutation(
      MixKey(Purpose::kWindow,
             {spec_.seed, static_cast<uint64_t>(spec_.epoch),
              static_cast<uint64_t>(stream), static_cast<uint64_t>(window.index)}),
      window.rows, out);
}

}  // namespace headrace::plan
