/// \file
/// Loader: deals the samples of a Dataset out as batches, epoch after epoch.
#pragma once

#include <headrace/batch.h>
#include <headrace/dataset.h>
#include <headrace/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headrace {

/// How samples are dealt out. The first group is the order (the Order contract in
/// docs/guide/order.md), the second resources, which never change what is delivered.
struct LoaderOptions {
  /// Samples per step and rank.
  int64_t batch_size = 256;
  /// Absent: true, or what a loaded state says.
  std::optional<bool> shuffle = {};
  /// Absent: 0, or what a loaded state says.
  std::optional<uint64_t> seed = {};
  int64_t epoch = 0;
  /// Absent: 8 when shuffling; else 1 on one rank and world_size on several. Must be a
  /// multiple of world_size.
  std::optional<int> streams = {};
  /// Rows permuted together, over all streams. Absent: 2^28 bytes' worth of rows, at most
  /// 2^20.
  std::optional<int64_t> shuffle_window_rows = {};
  int rank = 0;
  int world_size = 1;
  /// Leaves out the last, shorter step.
  bool drop_last = false;
  /// Fills the last step with repeats and adds a boolean `valid`.
  bool pad_last = false;

  /// Threads of the loader; the consumer's own is extra, and assembles a batch that it
  /// would else wait for, unless cells (tensors, images) are to be decoded. On a local
  /// disk it fills windows that the batch lacks, too, if it has a core of its own.
  int num_threads = 2;
  /// Bytes held between storage and consumer.
  int64_t memory_budget = int64_t{2} << 30;
  /// Told rows while a filter's survivors are counted, within `Make`.
  Progress progress = nullptr;
  /// Deliver Arrow arrays: columns without a tensor policy keep their stored type and
  /// nulls.
  bool arrow = false;
  /// A file that gets what the threads did and when, in Chrome's trace event format
  /// (chrome://tracing, ui.perfetto.dev), the first 200,000 spans of it: written anew at
  /// the end of each pass and by `Close`. Empty: none.
  std::string trace = {};
};

/// How long a stage worked, and how long it waited for another. Of threads together, but
/// for the waiting of batch and consumer.
struct StageTimes {
  int64_t busy = 0;
  int64_t waiting = 0;
};

/// Counters since the loader was made. All sizes in bytes, times in nanoseconds.
struct LoaderStats {
  int64_t rows = 0;
  int64_t batches = 0;
  int64_t bytes_read = 0;
  int64_t read_calls = 0;
  /// Values decoded, delivered or not: those before a resumed position count.
  int64_t values_decoded = 0;
  /// Values passed over by page headers or the offset index, without being decoded.
  int64_t values_skipped = 0;
  int64_t row_groups_pruned = 0;
  /// Uncompressed, of all columns of those row groups.
  int64_t bytes_pruned = 0;
  /// Row groups opened, each time one was.
  int64_t row_groups_opened = 0;
  int64_t memory_peak = 0;
  int64_t memory_budget = 0;
  /// The smallest budget that would have been accepted.
  int64_t memory_floor = 0;
  /// Busy: in reads. Waiting: threads without a job, for lack of room or of work.
  StageTimes storage;
  /// Busy: from bytes to windows, and counting a filter's survivors. Waiting: for reads.
  StageTimes decode;
  /// Busy: from windows to batches. Waiting: steps, for their windows.
  StageTimes batch;
  /// Busy: between a batch and asking for the next one. Waiting: for batches.
  StageTimes consumer;
  /// How each column that was read came to be values, by name: "constant", "placed",
  /// "arrays", "bytes", "assembled" (docs/guide/performance.md says what they cost).
  std::map<std::string, std::vector<std::string>> decode_paths;
  /// Rows that ErrorPolicy::kSkip left out of batches handed out.
  int64_t rows_skipped = 0;
  /// What was wrong with the first hundred of them, in the order of delivery.
  std::vector<std::string> skipped;

  /// One sentence: which stage limits the others, and what to try.
  std::string Bottleneck() const;
  std::string ToJson() const;
};

/// An endless source of epochs: `Next` ends each with an empty optional, after which the
/// next call begins the following epoch.
///
/// Thread-safety: one consumer at a time; `Close` may be called from any thread.
class Loader {
 public:
  /// Validates, plans, and counts the filter's survivors; the loader's threads start with
  /// the first `Next`. Errors: InvalidArgument (naming the option), ResourceExhausted
  /// (budget below the floor, with both numbers), Unsupported (naming the column), and
  /// those of making the trace's file.
  static Result<std::unique_ptr<Loader>> Make(const Dataset& dataset,
                                              const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch, or nothing at the end of the epoch.
  Result<std::optional<TensorBatch>> Next();
  /// As `Next`, without making tensors of the part: for frameworks to which the whole
  /// can be handed at once. Parts of a whole follow each other.
  Result<std::optional<BatchPart>> NextPart();
  /// Waits until `Next` would not block, at most `timeout_ms` or until the batch or
  /// window that it makes meanwhile is there; false if it still would. For callers that
  /// must look up now and then, as for Ctrl-C.
  Result<bool> WaitReady(int64_t timeout_ms);
  /// Begins a pass: at the position of a loaded state once, else at the epoch's start.
  Status Restart();
  /// Steps of the pass that `Restart` would begin or that is under way, the same on every
  /// rank.
  Result<int64_t> Steps();
  /// Moves to the start of an epoch; a position loaded within it and not begun stays, so
  /// that loops may call this before every epoch.
  Status SetEpoch(int64_t epoch);

  /// A few hundred bytes of JSON, the same on every rank (docs/format/loader-state.md).
  Result<std::string> StateJson() const;
  /// Goes on after the samples that the state counts as consumed, on any world size.
  /// Conflict, naming each difference, if the state is of another table, filter or order.
  Status LoadStateJson(const std::string& json);

  /// A batch of no rows, with the names, dtypes and shapes of all others; a dimension
  /// that differs from batch to batch is 0. Reads nothing.
  Result<TensorBatch> EmptyBatch() const;
  /// Rows of every batch; nothing where some may have fewer, as the last of an epoch.
  std::optional<int64_t> BatchRows() const;
  int64_t epoch() const;
  LoaderStats stats() const;
  std::string ToString() const;
  /// Stops and joins the threads; a blocked `Next` ends with Cancelled, before this
  /// returns if it reads. From any thread; idempotent.
  void Close();

 private:
  struct Impl;
  explicit Loader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace headrace
