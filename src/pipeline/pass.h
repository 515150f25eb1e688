/// \file
/// Pass: one pass over an epoch, or what is left of it, as jobs for threads.
///
/// A pass has two kinds of jobs: fill the next window of a stream, and assemble the
/// batches of the next steps. Workers ask for the most urgent one; the memory plan says
/// how far they may run ahead. A consumer that would wait for a batch assembles it, and
/// on a disk fills windows that it lacks. Which thread does what never changes what is
/// delivered.
#pragma once

#include <headrace/loader.h>
#include <headrace/result.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/batch_pool.h"
#include "base/memory_budget.h"
#include "pipeline/assembler.h"
#include "pipeline/bad_rows.h"
#include "pipeline/memory_plan.h"
#include "pipeline/scan.h"
#include "pipeline/shared_work.h"
#include "pipeline/stream.h"
#include "plan/deal.h"
#include "plan/epoch_order.h"

namespace headrace::pipeline {

/// What passes of one loader share. Outlives them.
struct PassContext {
  const Scan* scan = nullptr;
  SurvivorCounts survivors;
  const Assembler* assembler = nullptr;
  const MemoryPlan* memory = nullptr;
  base::MemoryBudget* budget = nullptr;
  const reader::ReadContext* read = nullptr;
  bool pad_last = false;
  /// The consumer has a core of its own.
  bool spare_core = false;
  ErrorPolicy on_error = ErrorPolicy::kRaise;
};

/// A batch that waits for the consumer. Its memory counts against the budget until the
/// last batch that was assembled with it is let go.
struct ReadyBatch {
  std::shared_ptr<base::BatchPool> pool;
  BatchPart part;
  plan::Step step;
  std::vector<SkippedRow> skipped;
};

class Pass {
 public:
  Pass(const PassContext* context, plan::EpochOrder order, plan::Deal deal);
  ~Pass();

  /// Makes the pass that is expected to come next.
  using MakeNext = std::function<Result<std::shared_ptr<Pass>>()>;
  /// Has workers that find nothing left to read fill the first windows of the next pass,
  /// as far as the budget allows. Before any `Work`.
  void set_make_next(MakeNext make_next) { make_next_ = std::move(make_next); }
  /// The next pass, if its windows were begun, to be gone on with; null otherwise. Once.
  std::shared_ptr<Pass> TakeNext();

  /// Does jobs until `Stop`; called by each worker.
  void Work();
  /// Ends all waits and jobs. Any thread.
  void Stop();

  /// The next batch; nothing after the last. Cancelled after Stop.
  Result<std::optional<ReadyBatch>> Next();
  /// As Next, but takes none; false if there is none after `timeout_ms`. It returns later
  /// where it assembles one or fills a window.
  bool WaitReady(int64_t timeout_ms);

  int64_t epoch() const { return order_.spec().epoch; }
  int64_t steps() const { return deal_.steps(); }
  /// Nanoseconds for which the next step lacked windows while nothing was assembled.
  int64_t batch_wait();

 private:
  using Clock = base::Timeline::Clock;
  struct ReadyWindow {
    plan::Window span;
    std::unique_ptr<window::Window> window;
  };
  struct StreamState {
    std::unique_ptr<Stream> stream;
    std::deque<ReadyWindow> ready;
    bool filling = false;
    Status failure;
    int64_t filled_to = 0;  // rows of the stream that ready windows, old and new, cover
  };
  /// Rows [first, last] of a stream that a step draws.
  struct Need {
    int stream = 0;
    int64_t first = 0;
    int64_t last = 0;
  };
  struct Job {
    enum Kind { kAssemble, kHelp, kFill };
    Kind kind = kFill;
    int stream = 0;
  };

  /// How many steps, beginning with `step`, are assembled together.
  int64_t StepsTogether(int64_t step) const;
  /// Sample i of full steps that begin with `step`, or of the step alone.
  plan::SampleRef SampleAt(int64_t step, int64_t i) const;
  std::vector<Need> NeedsOf(int64_t step, int64_t steps) const;
  void AddStream(int id, int64_t first);
  // Under mutex_.
  std::optional<Job> PickJob();
  bool CanAssemble();
  /// Something for the consumer is there: a batch, the end or an error.
  bool IsReady() const { return !batches_.empty() || Finished() || !failure_.ok(); }
  /// Until it is; false after `deadline`. By the consumer, which assembles what it waits
  /// for if nobody does, and fills windows that this takes.
  bool Await(std::unique_lock<std::mutex>* lock, Clock::time_point deadline);
  /// The batches of the next steps may wait beside those that do.
  bool HasRoomForBatches() const;
  /// A stream whose next window the next steps wait for and nobody fills.
  std::optional<int> PickNeeded() const;
  std::optional<int> PickFill() const;
  int64_t HeldWindowRows() const;
  /// Batches that wait, in those that are assembled together.
  int64_t WaitingWholes() const {
    return static_cast<int64_t>(batches_.size()) / context_->memory->steps_together;
  }
  /// Rows of a window that is only to be ahead fit what is left of the budget.
  bool HasRoomFor(int64_t rows) const;
  /// The next pass, once there is nothing left to read for this one; else null.
  std::shared_ptr<Pass> NextToFill();
  /// Fills a first window that has room; false if there is none.
  bool FillFirst(std::vector<uint32_t>* placement);
  bool Finished() const { return delivered_ == deal_.steps() || stop_; }

  void DoFill(int stream, std::unique_lock<std::mutex>* lock,
              std::vector<uint32_t>* placement);
  void DoAssemble(std::unique_lock<std::mutex>* lock);
  /// The batches of `steps` full steps, which share their memory, or that of one step.
  Result<std::vector<ReadyBatch>> Assemble(int64_t step, int64_t steps);
  Result<std::vector<ReadyBatch>> AssembleTogether(int64_t step, int64_t steps);
  std::vector<batch::Segment> SegmentsOf(int64_t step, int64_t rows);
  void AddSegments(int stream, int64_t first, int64_t count, int64_t out, int64_t stride,
                   std::vector<batch::Segment>* segments);
  /// Windows that no step from this one on draws from.
  std::vector<ReadyWindow> TakeWindowsBefore(int64_t step);
  bool NeedsAreFilled() const;
  std::string LocationOf(int64_t step, int64_t sample) const;

  const PassContext* context_;
  // Cells may take longer than Ctrl-C should wait: they are left to the workers.
  const bool consumer_assembles_;
  const bool consumer_fills_;
  const plan::EpochOrder order_;
  const plan::Deal deal_;
  std::atomic<bool> stop_{false};
  StreamContext stream_context_;

  /// Work of the step that is assembled, for whoever has no other job.
  SharedWork shared_{[this] {
    // Whoever has found nothing to do waits by now.
    const std::scoped_lock lock(mutex_);
    work_.notify_all();
  }};
  std::mutex mutex_;
  std::condition_variable work_;   // a job may have become possible
  std::condition_variable ready_;  // a batch, the end or an error is there
  std::map<int, StreamState> streams_;
  std::vector<Need> needs_;  // of the steps from assembled_ that come together
  int64_t assembled_ = 0;    // steps assembled
  int64_t apart_until_ = 0;  // steps before this one are assembled one by one
  int64_t delivered_ = 0;
  bool assembling_ = false;
  bool awaited_ = false;                      // the consumer waits
  std::vector<uint32_t> consumer_placement_;  // its scratch
  bool starved_ = false;                      // the next step lacks windows, since:
  Clock::time_point starved_since_;
  Clock::duration batch_wait_{0};
  int64_t filling_rows_ = 0;
  std::deque<ReadyBatch> batches_;
  int64_t wholes_when_full_ = 0;  // that waited when there was no room for more
  Status failure_;
  MakeNext make_next_;
  std::shared_ptr<Pass> next_;
  bool first_failed_ = false;  // of FillFirst
};

}  // namespace headrace::pipeline
