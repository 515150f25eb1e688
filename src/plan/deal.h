/// \file
/// How the global sequence is dealt to ranks as steps: cursor arithmetic, no I/O.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <vector>

#include "plan/epoch_order.h"

namespace headrace::plan {

struct DealSpec {
  int rank = 0;
  int world_size = 1;
  int64_t batch_size = 256;  ///< Per rank.
  bool drop_last = false;
  bool pad_last = false;

  bool operator==(const DealSpec&) const = default;
};

/// Where a delivered sample comes from.
struct SampleRef {
  /// A stream, or `kRemainder`.
  static constexpr int kRemainder = -1;
  int stream = 0;
  int64_t index = 0;  ///< In the stream (as delivered, that is after the permutation), or
                      ///< in the remainder.
  bool valid = true;  ///< False: a repeat that fills a padded step.

  bool operator==(const SampleRef&) const = default;
};

/// One step of one rank.
struct Step {
  /// Samples of this rank: a full step has batch_size.
  int64_t rows = 0;
  /// Samples consumed in all ranks, of this epoch, once the step is handed out.
  int64_t samples_after = 0;
  bool last = false;

  bool operator==(const Step&) const = default;
};

/// The steps of one rank from a start position to the end of the epoch. Every rank has
/// the same number of steps, of the same lengths. Immutable.
class Deal {
 public:
  /// `start`: samples already consumed in all ranks. InvalidArgument if world_size does
  /// not divide the streams (the message gives the smallest multiple of it that is at
  /// least 8), if there are fewer rows than streams on several ranks, or if an option is
  /// out of range.
  static Result<Deal> Make(const EpochOrder& order, const DealSpec& spec, int64_t start);

  int64_t steps() const { return steps_; }
  Step StepAt(int64_t step) const;
  /// Sample i of a step. REQUIRES: step < steps(), i < StepAt(step).rows.
  SampleRef SampleAt(int64_t step, int64_t i) const;
  /// Steps before this one are full and hold only rows of streams s with a fixed s modulo
  /// world_size, drawn in turn; from it on samples may be repeats, remainder or others'
  /// streams.
  int64_t full_steps() const { return full_steps_; }

 private:
  Deal() = default;

  DealSpec spec_;
  int streams_ = 1;
  int64_t positions_ = 0;  // T
  int64_t rows_ = 0;       // N
  int64_t start_ = 0;
  int64_t full_steps_ = 0;
  int64_t steps_ = 0;
};

}  // namespace headrace::plan
