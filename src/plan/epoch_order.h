/// \file
/// The sample order of an epoch: arithmetic, no I/O, no entry per row (the Order
/// contract).
///
/// Blocks (row groups, or ranges of 2^20 rows of larger ones) that hold survivors of the
/// filter are permuted; the resulting row sequence is rotated and cut into `streams` runs
/// of equal length; each run is permuted within consecutive shuffle windows; the global
/// sequence takes one sample from each stream in turn.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace headrace::plan {

/// What the order is a function of, apart from the table and the filter.
struct OrderSpec {
  bool shuffle = true;
  uint64_t seed = 0;
  int64_t epoch = 0;
  int streams = 8;
  int64_t shuffle_window_rows = 1 << 20;

  bool operator==(const OrderSpec&) const = default;
};

/// Consecutive survivors of one block.
struct Run {
  int64_t block = 0;           ///< Index into the survivor counts given.
  int64_t first_survivor = 0;  ///< Among the block's survivors, from 0.
  int64_t rows = 0;

  bool operator==(const Run&) const = default;
};

/// A shuffle window of one stream.
struct Window {
  int64_t index = 0;
  int64_t first = 0;  ///< Index in the stream of its first row.
  int64_t rows = 0;

  bool operator==(const Window&) const = default;
};

/// The order of one epoch. Immutable, thread-safe. Holds about 12 bytes a block.
class EpochOrder {
 public:
  /// `survivors[i]`: rows of block i that pass the filter; blocks without any are
  /// skipped.
  static Result<EpochOrder> Make(std::shared_ptr<const std::vector<int64_t>> survivors,
                                 const OrderSpec& spec);

  const OrderSpec& spec() const { return spec_; }
  /// N: surviving rows.
  int64_t rows() const { return rows_; }
  /// floor(N / S): rows of each stream.
  int64_t stream_rows() const { return rows_ / spec_.streams; }
  /// T = S * stream_rows(): positions that are dealt to ranks.
  int64_t positions() const { return stream_rows() * spec_.streams; }
  /// N - T < S rows that are in no stream.
  int64_t remainder_rows() const { return rows_ - positions(); }

  /// The window that holds the stream's row `index`. REQUIRES: 0 <= index <
  /// stream_rows(). Without shuffle windows are of shuffle_window_rows / streams rows
  /// too, unpermuted.
  Window WindowAt(int stream, int64_t index) const;
  /// Stored rows of [first, first + rows) of a stream, before the window's permutation.
  std::vector<Run> StreamRuns(int stream, int64_t first, int64_t rows) const;
  /// Stored rows of the remainder, in order.
  std::vector<Run> RemainderRuns() const;
  /// The window's permutation: row j as read (StreamRuns order) is delivered at place
  /// (*out)[j].
  void Placement(int stream, const Window& window, std::vector<uint32_t>* out) const;

 private:
  EpochOrder() = default;
  /// Stored rows of [first, first + rows) of the rotated row sequence.
  std::vector<Run> Runs(int64_t first, int64_t rows) const;

  OrderSpec spec_;
  int64_t rows_ = 0;
  int64_t rotation_ = 0;
  std::shared_ptr<const std::vector<int64_t>> survivors_;
  std::vector<uint32_t> order_;  // permuted indices of blocks with survivors
  std::vector<int64_t> ends_;    // running sum of their survivors
};

}  // namespace headrace::plan
