#include "pipeline/pass.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <limits>
#include <utility>

#include "pipeline/dataset_impl.h"

namespace headrace::pipeline {

Pass::Pass(const PassContext* context, plan::EpochOrder order, plan::Deal deal)
    : context_(context),
      consumer_assembles_(!context->assembler->decodes_cells()),
      consumer_fills_(consumer_assembles_ && context->memory->consumer_fills &&
                      context->spare_core),
      order_(std::move(order)),
      deal_(std::move(deal)) {
  stream_context_.scan = context_->scan;
  stream_context_.order = &order_;
  stream_context_.survivors = context_->survivors;
  stream_context_.read = context_->read;
  stream_context_.columns = context_->assembler->window_columns();
  stream_context_.stop = &stop_;
  if (deal_.steps() == 0) return;
  // A rank's own streams are in its first step, or first in a later one if batches are
  // small; the last steps may need the remainder and, off the beat, others' streams.
  const int64_t full = deal_.full_steps();
  for (int64_t step = 0; step < full && step < order_.spec().streams; ++step) {
    for (const Need& need : NeedsOf(step, 1)) AddStream(need.stream, need.first);
  }
  for (int64_t step = full; step < deal_.steps(); ++step) {
    for (const Need& need : NeedsOf(step, 1)) AddStream(need.stream, need.first);
  }
  needs_ = NeedsOf(0, StepsTogether(0));
}

Pass::~Pass() { Stop(); }

void Pass::AddStream(int id, int64_t first) {
  auto [entry, added] = streams_.try_emplace(id);
  if (!added) return;
  entry->second.stream = std::make_unique<Stream>(&stream_context_, id, first);
  entry->second.filled_to = entry->second.stream->next().first;
}

int64_t Pass::StepsTogether(int64_t step) const {
  if (step < apart_until_ || step >= deal_.full_steps()) return 1;
  return std::min(context_->memory->steps_together, deal_.full_steps() - step);
}

plan::SampleRef Pass::SampleAt(int64_t step, int64_t i) const {
  const int64_t rows = deal_.StepAt(step).rows;
  return deal_.SampleAt(step + i / rows, i % rows);
}

std::vector<Pass::Need> Pass::NeedsOf(int64_t step, int64_t steps) const {
  std::vector<Need> needs;
  const int64_t rows = deal_.StepAt(step).rows * steps;
  // Full steps take samples from the rank's streams in turn, so the first and last round
  // say all.
  const int64_t turn = order_.spec().streams;
  const bool full = step < deal_.full_steps();
  auto add = [&](int64_t i) {
    const plan::SampleRef ref = SampleAt(step, i);
    for (Need& need : needs) {
      if (need.stream != ref.stream) continue;
      need.first = std::min(need.first, ref.index);
      need.last = std::max(need.last, ref.index);
      return;
    }
    needs.push_back({ref.stream, ref.index, ref.index});
  };
  for (int64_t i = 0; i < rows; ++i) {
    if (full && i == turn && rows > 2 * turn) i = rows - turn;
    add(i);
  }
  return needs;
}

void Pass::Stop() {
  std::lock_guard lock(mutex_);
  stop_ = true;
  if (next_ != nullptr) next_->Stop();
  work_.notify_all();
  ready_.notify_all();
}

int64_t Pass::HeldWindowRows() const {
  int64_t rows = filling_rows_;
  for (const auto& [id, state] : streams_) {
    for (const ReadyWindow& ready : state.ready) rows += ready.span.rows;
  }
  return rows;
}

bool Pass::HasRoomForBatches() const {
  const MemoryPlan& memory = *context_->memory;
  const int64_t waiting = WaitingWholes();
  if (batches_.empty()) return true;  // the floor provides for one
  if (waiting >= memory.ready_max) return false;
  // More come only out of what is left over, also once windows and readers hold all that
  // is provided for them.
  const int64_t held = context_->budget->bytes_allocated();
  const int64_t others = std::max(held - waiting * memory.batch, int64_t{0});
  const int64_t to_come = std::max(memory.windows + memory.readers - others, int64_t{0});
  return held + to_come + 2 * memory.batch <= context_->budget->budget();
}

bool Pass::CanAssemble() {
  if (assembling_ || assembled_ == deal_.steps()) return false;
  if (!HasRoomForBatches()) {
    wholes_when_full_ = WaitingWholes();
    return false;
  }
  for (const Need& need : needs_) {
    StreamState& state = streams_.at(need.stream);
    if (state.filled_to > need.last) continue;
    if (!state.failure.ok() && failure_.ok()) {
      failure_ = state.failure;
      ready_.notify_all();
    }
    if (!starved_) {
      starved_ = true;
      starved_since_ = Clock::now();
    }
    return false;
  }
  return true;
}

std::optional<int> Pass::PickNeeded() const {
  for (const Need& need : needs_) {
    const StreamState& state = streams_.at(need.stream);
    if (state.filled_to <= need.last && !state.filling && state.failure.ok()) {
      return need.stream;
    }
  }
  return std::nullopt;
}

std::optional<int> Pass::PickFill() const {
  // What the next step waits for comes first, whatever the budget: the floor provides for
  // it.
  if (const auto needed = PickNeeded()) return needed;
  if (assembled_ == deal_.steps()) return std::nullopt;
  // Else the window that will be needed first, if it fits; the remainder comes last of
  // all.
  auto urgency = [](int id, const StreamState& state) {
    return id == plan::SampleRef::kRemainder ? std::numeric_limits<int64_t>::max()
                                             : state.filled_to;
  };
  const StreamState* best = nullptr;
  int best_id = 0;
  for (const auto& [id, state] : streams_) {
    if (state.filling || !state.failure.ok() || state.stream->exhausted()) continue;
    if (best != nullptr && urgency(best_id, *best) <= urgency(id, state)) continue;
    best = &state;
    best_id = id;
  }
  if (best == nullptr) return std::nullopt;
  if (!HasRoomFor(best->stream->next().rows)) return std::nullopt;
  return best_id;
}

bool Pass::HasRoomFor(int64_t rows) const {
  const MemoryPlan& memory = *context_->memory;
  const int64_t bytes = (HeldWindowRows() + rows) * memory.window_row_bytes;
  const int64_t budget = context_->budget->budget() - 2 * memory.batch;
  if (bytes > budget - memory.readers) return false;
  // Where widths are estimates, what is really held has the last word; a window that is
  // being filled may come to hold its rows twice, and readers what is provided for them.
  const int64_t held = context_->budget->bytes_allocated();
  const int64_t filling = 2 * (filling_rows_ + rows) * memory.window_row_bytes;
  const int64_t readers =
      held - HeldWindowRows() * memory.window_row_bytes - WaitingWholes() * memory.batch;
  const int64_t to_come =
      memory.readers - std::clamp<int64_t>(readers, 0, memory.readers);
  return held + to_come + filling <= budget;
}

std::shared_ptr<Pass> Pass::NextToFill() {
  if (make_next_ == nullptr) return next_;
  for (const auto& [id, state] : streams_) {
    if (state.filling || !state.failure.ok() || !state.stream->exhausted()) {
      return nullptr;
    }
  }
  // What is wrong with it is told when it is asked for.
  auto made = make_next_();
  make_next_ = nullptr;
  if (made.ok()) next_ = std::move(*made);
  return next_;
}

std::shared_ptr<Pass> Pass::TakeNext() {
  std::lock_guard lock(mutex_);
  make_next_ = nullptr;
  return std::move(next_);
}

bool Pass::FillFirst(std::vector<uint32_t>* placement) {
  std::unique_lock lock(mutex_);
  if (stop_ || first_failed_) return false;
  for (auto& [id, state] : streams_) {
    if (id == plan::SampleRef::kRemainder || state.filling || !state.ready.empty() ||
        !state.failure.ok() || state.stream->exhausted()) {
      continue;
    }
    if (!HasRoomFor(state.stream->next().rows)) return false;
    DoFill(id, &lock, placement);
    // It is read again when it is needed, and fails then if it still does.
    first_failed_ = !state.failure.ok();
    state.failure = Status::OK();
    return true;
  }
  return false;
}

std::optional<Pass::Job> Pass::PickJob() {
  if (!failure_.ok()) return std::nullopt;
  const bool assemble = CanAssemble();
  const bool leave = awaited_ && consumer_assembles_;
  if (assemble && !leave) return Job{Job::kAssemble, 0};
  // One thread reads ahead while others decode, so that storage is waited for meanwhile.
  const bool help = shared_.HasWork();
  const auto stream = PickFill();
  if (stream && !(help && filling_rows_ > 0)) {
    if (assemble) ready_.notify_all();  // to the consumer
    return Job{Job::kFill, *stream};
  }
  if (assemble) return Job{Job::kAssemble, 0};
  if (help) return Job{Job::kHelp, 0};
  return std::nullopt;
}

void Pass::Work() {
  std::vector<uint32_t> placement;
  std::unique_lock lock(mutex_);
  bool nothing_ahead = false;
  while (!stop_) {
    const auto job = PickJob();
    const auto next = job || nothing_ahead ? nullptr : NextToFill();
    if (next != nullptr) {
      lock.unlock();
      nothing_ahead = !next->FillFirst(&placement);
      lock.lock();
      continue;
    }
    nothing_ahead = false;
    if (!job) {
      const base::Timed timed(&context_->read->counters->timeline, base::Activity::kIdle);
      work_.wait(lock);
    } else if (job->kind == Job::kAssemble) {
      DoAssemble(&lock);
    } else if (job->kind == Job::kHelp) {
      lock.unlock();
      {
        const base::Timed timed(&context_->read->counters->timeline,
                                base::Activity::kAssemble);
        shared_.Help();
      }
      lock.lock();
    } else {
      DoFill(job->stream, &lock, &placement);
    }
  }
}

void Pass::DoFill(int stream, std::unique_lock<std::mutex>* lock,
                  std::vector<uint32_t>* placement) {
  StreamState& state = streams_.at(stream);
  state.filling = true;
  const plan::Window span = state.stream->next();
  filling_rows_ += span.rows;
  lock->unlock();
  auto filled = state.stream->Fill(placement);
  lock->lock();
  state.filling = false;
  filling_rows_ -= span.rows;
  if (filled.ok()) {
    state.ready.push_back({span, std::move(*filled)});
    state.filled_to = span.first + span.rows;
  } else {
    state.failure = filled.status();
  }
  work_.notify_all();
}

void Pass::DoAssemble(std::unique_lock<std::mutex>* lock) {
  assembling_ = true;
  const int64_t step = assembled_;
  const int64_t steps = StepsTogether(step);
  if (starved_) {
    batch_wait_ += Clock::now() - starved_since_;
    starved_ = false;
  }
  lock->unlock();
  auto assembled = Assemble(step, steps);
  lock->lock();
  assembling_ = false;
  if (!assembled.ok() && steps > 1) {
    // The batches before the one that cannot be made are to be handed out.
    apart_until_ = step + steps;
    needs_ = NeedsOf(step, 1);
    return;
  }
  if (!assembled.ok()) {
    failure_ = assembled.status();
    ready_.notify_all();
    return;
  }
  std::move(assembled->begin(), assembled->end(), std::back_inserter(batches_));
  assembled_ += steps;
  if (assembled_ < deal_.steps()) needs_ = NeedsOf(assembled_, StepsTogether(assembled_));
  std::vector<ReadyWindow> done = TakeWindowsBefore(assembled_);
  ready_.notify_all();
  const bool wake = !done.empty() || !NeedsAreFilled();
  lock->unlock();
  done.clear();  // large memory is given back slowly
  lock->lock();
  // Others have something to do where windows are to be filled, once there is room.
  if (wake) work_.notify_all();
}

bool Pass::NeedsAreFilled() const {
  return std::ranges::all_of(needs_, [&](const Need& need) {
    return streams_.at(need.stream).filled_to > need.last;
  });
}

std::vector<Pass::ReadyWindow> Pass::TakeWindowsBefore(int64_t step) {
  std::vector<ReadyWindow> taken;
  if (step == deal_.steps()) {
    for (auto& [id, state] : streams_) {
      std::ranges::move(state.ready, std::back_inserter(taken));
      state.ready.clear();
    }
    return taken;
  }
  for (const Need& need : needs_) {
    auto& ready = streams_.at(need.stream).ready;
    while (!ready.empty() &&
           ready.front().span.first + ready.front().span.rows <= need.first) {
      taken.push_back(std::move(ready.front()));
      ready.pop_front();
    }
  }
  return taken;
}

void Pass::AddSegments(int stream, int64_t first, int64_t count, int64_t out,
                       int64_t stride, std::vector<batch::Segment>* segments) {
  std::lock_guard lock(mutex_);
  for (const ReadyWindow& ready : streams_.at(stream).ready) {
    const int64_t begin = std::max(first, ready.span.first);
    const int64_t end = std::min(first + count, ready.span.first + ready.span.rows);
    if (begin >= end) continue;
    segments->push_back({ready.window.get(), begin - ready.span.first, end - begin,
                         out + (begin - first) * stride, stride});
  }
}

std::vector<batch::Segment> Pass::SegmentsOf(int64_t step, int64_t rows) {
  std::vector<batch::Segment> segments;
  if (step >= deal_.full_steps()) {
    for (int64_t i = 0; i < rows; ++i) {
      const plan::SampleRef ref = deal_.SampleAt(step, i);
      AddSegments(ref.stream, ref.index, 1, i, 1, &segments);
    }
    return segments;
  }
  // Full steps: the rank's streams in turn, each a run of consecutive rows.
  int64_t turn = 0;
  const int first_stream = SampleAt(step, 0).stream;
  do {
    ++turn;
  } while (turn < rows && SampleAt(step, turn).stream != first_stream);
  for (int64_t i = 0; i < turn; ++i) {
    const plan::SampleRef ref = SampleAt(step, i);
    AddSegments(ref.stream, ref.index, (rows - i + turn - 1) / turn, i, turn, &segments);
  }
  return segments;
}

Result<std::vector<ReadyBatch>> Pass::Assemble(int64_t step, int64_t steps) {
  const base::Timed timed(&context_->read->counters->timeline, base::Activity::kAssemble,
                          deal_.StepAt(step).rows * steps);
  if (steps > 1) return AssembleTogether(step, steps);
  ReadyBatch ready;
  ready.step = deal_.StepAt(step);
  ready.pool = base::BatchPool::Make(context_->budget);
  const int64_t rows = ready.step.rows;
  const auto segments = SegmentsOf(step, rows);
  batch::Drawing drawing;
  drawing.seed = order_.spec().seed;
  drawing.epoch = order_.spec().epoch;
  drawing.segments = segments;
  drawing.rows = rows;
  const std::vector<batch::Round> rounds = batch::RoundsOf(segments, rows);
  drawing.rounds = rounds;
  drawing.pool = ready.pool.get();
  drawing.executor = &shared_;
  drawing.locate = [this, step](int64_t sample) { return LocationOf(step, sample); };
  TensorBatch whole;
  if (context_->on_error == ErrorPolicy::kRaise) {
    ARROW_ASSIGN_OR_RAISE(whole, context_->assembler->Assemble(drawing));
  } else {
    ARROW_ASSIGN_OR_RAISE(whole, AssembleAround(*context_->assembler, context_->on_error,
                                                drawing, &ready.skipped));
  }
  if (context_->pad_last) {
    std::vector<bool> valid;
    valid.reserve(static_cast<size_t>(rows));
    auto skipped = ready.skipped.begin();
    for (int64_t i = 0; i < rows; ++i) {
      if (skipped != ready.skipped.end() && skipped->sample == i) {
        ++skipped;
        continue;
      }
      valid.push_back(step < deal_.full_steps() || deal_.SampleAt(step, i).valid);
    }
    ARROW_RETURN_NOT_OK(AppendValid(valid, ready.pool.get(), &whole));
  }
  const int64_t left = whole.rows;  // without those that were skipped
  ready.part = {std::make_shared<const TensorBatch>(std::move(whole)), 0, left};
  std::vector<ReadyBatch> batches;
  batches.push_back(std::move(ready));
  return batches;
}

Result<std::vector<ReadyBatch>> Pass::AssembleTogether(int64_t step, int64_t steps) {
  const std::shared_ptr<base::BatchPool> pool = base::BatchPool::Make(context_->budget);
  const int64_t step_rows = deal_.StepAt(step).rows;
  const auto segments = SegmentsOf(step, step_rows * steps);
  batch::Drawing drawing;
  drawing.seed = order_.spec().seed;
  drawing.epoch = order_.spec().epoch;
  drawing.segments = segments;
  drawing.rows = step_rows * steps;
  const std::vector<batch::Round> rounds = batch::RoundsOf(segments, drawing.rows);
  drawing.rounds = rounds;
  drawing.pool = pool.get();
  drawing.executor = &shared_;
  drawing.locate = [=, this](int64_t sample) {
    return LocationOf(step + sample / step_rows, sample % step_rows);
  };
  ARROW_ASSIGN_OR_RAISE(TensorBatch assembled, context_->assembler->Assemble(drawing));
  const auto whole = std::make_shared<const TensorBatch>(std::move(assembled));
  std::vector<ReadyBatch> batches(static_cast<size_t>(steps));
  for (int64_t i = 0; i < steps; ++i) {
    ReadyBatch& ready = batches[static_cast<size_t>(i)];
    ready.pool = pool;
    ready.step = deal_.StepAt(step + i);
    ready.part = {whole, i * step_rows, step_rows};
  }
  return batches;
}

std::string Pass::LocationOf(int64_t step, int64_t sample) const {
  const plan::SampleRef ref = deal_.SampleAt(step, sample);
  plan::Run run;
  if (ref.stream == plan::SampleRef::kRemainder) {
    int64_t left = ref.index;
    for (const plan::Run& candidate : order_.RemainderRuns()) {
      run = {candidate.block, candidate.first_survivor + left, 1};
      if (left < candidate.rows) break;
      left -= candidate.rows;
    }
  } else {
    const plan::Window window = order_.WindowAt(ref.stream, ref.index);
    int64_t read_position = ref.index - window.first;
    if (order_.spec().shuffle) {
      std::vector<uint32_t> placement;
      order_.Placement(ref.stream, window, &placement);
      auto found = std::find(placement.begin(), placement.end(),
                             static_cast<uint32_t>(ref.index - window.first));
      read_position = found - placement.begin();
    }
    run = order_.StreamRuns(ref.stream, window.first + read_position, 1)[0];
  }
  return context_->scan->LocationOf(run.block, run.first_survivor, context_->survivors);
}

int64_t Pass::batch_wait() {
  std::lock_guard lock(mutex_);
  return std::chrono::duration_cast<std::chrono::nanoseconds>(batch_wait_).count();
}

bool Pass::Await(std::unique_lock<std::mutex>* lock, Clock::time_point deadline) {
  while (!IsReady()) {
    // It would sleep only to be woken by the thread that did this instead.
    if (consumer_assembles_ && CanAssemble()) {
      DoAssemble(lock);
      continue;
    }
    if (IsReady()) break;  // with a failure that was found just now
    const auto lacking = consumer_fills_ ? PickNeeded() : std::nullopt;
    if (lacking) {
      DoFill(*lacking, lock, &consumer_placement_);
      if (Clock::now() >= deadline) return IsReady();
      continue;
    }
    awaited_ = true;
    const auto woken = ready_.wait_until(*lock, deadline);
    awaited_ = false;
    if (woken == std::cv_status::timeout) return IsReady();
  }
  return true;
}

bool Pass::WaitReady(int64_t timeout_ms) {
  std::unique_lock lock(mutex_);
  return Await(&lock, Clock::now() + std::chrono::milliseconds(timeout_ms));
}

Result<std::optional<ReadyBatch>> Pass::Next() {
  std::unique_lock lock(mutex_);
  Await(&lock, Clock::time_point::max());
  if (stop_)
    return Error(ErrorKind::kCancelled, "the loader was closed while Next waited");
  if (!batches_.empty()) {
    std::optional<ReadyBatch> batch = std::move(batches_.front());
    batches_.pop_front();
    ++delivered_;
    // Those that were assembled together give their memory back together. Waking a thread
    // takes longer than handing out a batch: it is woken for half of what may wait.
    const bool last = batches_.empty() || batches_.front().pool != batch->pool;
    const bool wake = last && WaitingWholes() <= wholes_when_full_ / 2;
    lock.unlock();
    if (wake) work_.notify_one();
    return batch;
  }
  if (!failure_.ok()) return failure_;
  return std::nullopt;
}

}  // namespace headrace::pipeline
