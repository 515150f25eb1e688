#include <arrow/io/interfaces.h>
#include <headrace/loader.h>
#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <thread>
#include <utility>

#include "base/page_pool.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/pass.h"
#include "pipeline/thread_executor.h"
#include "plan/loader_state.h"
#include "reader/chunk_cache.h"
#include "reader/shared_pages.h"

namespace headrace {
namespace {

using base::Activity;
using Clock = base::Timeline::Clock;
using pipeline::Pass;

// Read-ahead while survivors are counted, before the memory is planned.
constexpr int64_t kCountTileRows = 8 << 10;
constexpr size_t kSkippedListed = 100;  // of rows left out, in stats
constexpr int64_t kCountBufferBytes = 64 << 10;
// Long enough for a request to cost little, short enough for many to be under way.
constexpr int64_t kPartBytes = 8 << 20;
// What top and perf show.
constexpr const char* kThreadName = "headrace-load";

Status CheckRange(const char* name, int64_t value, int64_t least) {
  if (value >= least) return Status::OK();
  return Error(ErrorKind::kInvalidArgument, std::string(name) + " is " +
                                                std::to_string(value) + ", expected " +
                                                std::to_string(least) + " or more");
}

Status CheckOptions(const LoaderOptions& options) {
  ARROW_RETURN_NOT_OK(CheckRange("batch_size", options.batch_size, 1));
  ARROW_RETURN_NOT_OK(CheckRange("epoch", options.epoch, 0));
  if (options.streams) ARROW_RETURN_NOT_OK(CheckRange("streams", *options.streams, 1));
  if (options.shuffle_window_rows) {
    ARROW_RETURN_NOT_OK(
        CheckRange("shuffle_window_rows", *options.shuffle_window_rows, 1));
  }
  ARROW_RETURN_NOT_OK(CheckRange("world_size", options.world_size, 1));
  ARROW_RETURN_NOT_OK(CheckRange("rank", options.rank, 0));
  if (options.rank >= options.world_size) {
    return Error(ErrorKind::kInvalidArgument, "rank is " + std::to_string(options.rank) +
                                                  ", expected less than world_size " +
                                                  std::to_string(options.world_size));
  }
  ARROW_RETURN_NOT_OK(CheckRange("num_threads", options.num_threads, 1));
  ARROW_RETURN_NOT_OK(CheckRange("memory_budget", options.memory_budget, 1));
  if (options.drop_last && options.pad_last) {
    return Error(
        ErrorKind::kInvalidArgument,
        "drop_last and pad_last are both set, expected at most one: drop_last leaves "
        "the last, shorter step out, pad_last fills it");
  }
  return Status::OK();
}

}  // namespace

struct Loader::Impl {
  /// Where the next pass begins.
  struct Cursor {
    int64_t epoch = 0;
    int64_t samples = 0;
  };

  std::shared_ptr<const DatasetImpl> dataset;
  LoaderOptions options;
  std::unique_ptr<base::MemoryBudget> budget;
  reader::ReadCounters counters;
  reader::ReadContext read;
  std::shared_ptr<const pipeline::Scan> scan;
  // Null: a disk, and no filter that is selective. Its reads in the background need what
  // is above.
  std::unique_ptr<reader::ChunkCache> chunk_cache;
  // From the second epoch on: to get their memory takes longer than they save in one.
  std::unique_ptr<reader::SharedPages> shared_pages;
  pipeline::SurvivorCounts survivors;
  std::unique_ptr<pipeline::Assembler> assembler;
  plan::OrderSpec order;  // but for the epoch
  int64_t rows_most = 0;  // survivors there may be, by what is known without reading
  pipeline::MemoryPlan memory;
  pipeline::PassContext context;

  // One consumer calls Next, Restart, state; Close may come from anywhere.
  mutable std::mutex mutex;
  // Held while the pass is asked, which may read for who asks; never beside `mutex`.
  std::mutex asking;
  Cursor cursor;
  bool cursor_loaded = false;
  bool closed = false;
  std::shared_ptr<Pass> pass;
  std::shared_ptr<Pass> next_pass;  // begun by the workers of the one before
  int64_t next_epoch = 0;           // its epoch
  bool passed = false;              // a pass came to its end
  std::vector<std::jthread> threads;
  int64_t rows = 0;
  int64_t batches = 0;
  int64_t batch_wait = 0;  // of passes that ended
  // When the consumer was given a batch, until it asks again.
  std::optional<Clock::time_point> consuming;
  int64_t rows_skipped = 0;
  std::vector<std::string> skipped;

  Status Init();
  Status BindColumns();
  plan::OrderSpec ResolveOrder(const plan::LoaderState* state) const;
  Status PlanFor(const plan::OrderSpec& spec, int64_t rows);
  /// Have caches of no more than is planned. No pass is under way.
  void FitChunkCache();
  void FitSharedPages();
  Result<plan::EpochOrder> OrderOf(int64_t epoch) const;
  Result<plan::Deal> DealOf(const plan::EpochOrder& order, int64_t start) const;
  plan::LoaderState State(Cursor at) const;
  /// The pass that begins at a sample of an epoch. Called by workers, too: it reads only
  /// what does not change once the loader is made.
  Result<std::shared_ptr<Pass>> MakePass(plan::OrderSpec spec, int64_t start) const;
  Result<std::shared_ptr<Pass>> EnsurePass();
  void EndPass();
  /// The consumer asks for a batch: it waits from now on.
  Clock::time_point BeginWait();
  Status WriteTrace() const;
};

Status Loader::Impl::BindColumns() {
  ARROW_ASSIGN_OR_RAISE(
      auto columns,
      schema::BindColumns(*dataset->stored_schema, dataset->choices, options.arrow));
  for (schema::ColumnPlan& column : columns) {
    if (!column.has_vocabulary() || column.vocabulary) continue;
    ARROW_ASSIGN_OR_RAISE(column.vocabulary,
                          dataset->vocabularies->Get(*dataset, column.name));
  }
  ARROW_ASSIGN_OR_RAISE(
      assembler, pipeline::Assembler::Make(std::move(columns), dataset->choices.packs,
                                           budget.get()));
  return Status::OK();
}

plan::OrderSpec Loader::Impl::ResolveOrder(const plan::LoaderState* state) const {
  plan::OrderSpec spec;
  spec.shuffle = options.shuffle.value_or(state != nullptr ? state->shuffle : true);
  spec.seed = options.seed.value_or(state != nullptr ? state->seed : 0);
  const int default_streams = spec.shuffle ? 8 : options.world_size;
  spec.streams =
      options.streams.value_or(state != nullptr ? state->streams : default_streams);
  const auto& table = scan->table();
  spec.shuffle_window_rows = options.shuffle_window_rows.value_or(
      state != nullptr ? state->shuffle_window_rows
                       : plan::DefaultShuffleWindowRows(
                             table.stored_bytes(), table.stored_rows(), spec.streams));
  return spec;
}

// Plans memory for `rows` survivors, and points the contexts at the plan. The floor is
// that of as many survivors as there may be, so that it does not depend on what was read.
Status Loader::Impl::PlanFor(const plan::OrderSpec& spec, int64_t rows) {
  pipeline::MemoryNeeds needs;
  needs.columns = &assembler->columns();
  needs.read_columns = &scan->spec().columns;
  needs.row_ids = assembler->needs_row_ids();
  needs.filtered = dataset->filter.has_value();
  needs.rows_left = rows_most;
  needs.order = spec;
  if (!options.arrow && !options.pad_last &&
      dataset->choices.on_error == ErrorPolicy::kRaise) {
    needs.part_rows = assembler->PartRows();
  }
  needs.options = options;
  needs.rows = rows_most;
  ARROW_ASSIGN_OR_RAISE(auto judged, pipeline::PlanMemory(scan->table(), needs));
  needs.rows = rows;
  ARROW_ASSIGN_OR_RAISE(memory, pipeline::PlanMemory(scan->table(), needs));
  memory.floor_bytes = judged.floor_bytes;
  read.read_buffer_bytes = memory.read_buffer_bytes;
  read.tile_rows = memory.tile_rows;
  return Status::OK();
}

void Loader::Impl::FitSharedPages() {
  if (shared_pages != nullptr && shared_pages->capacity() <= memory.shared_pages) return;
  shared_pages.reset();
  if (memory.shared_pages > 0) {
    shared_pages = std::make_unique<reader::SharedPages>(memory.shared_pages);
  }
  read.shared_pages = shared_pages.get();
}

void Loader::Impl::FitChunkCache() {
  if (chunk_cache != nullptr && chunk_cache->capacity() <= memory.chunk_cache) return;
  chunk_cache.reset();
  if (memory.chunk_cache > 0) {
    reader::ChunkCache::Background background;
    if (!scan->table().storage().local()) {
      background = {arrow::io::default_io_context().executor(), &counters.timeline,
                    kPartBytes};
    }
    chunk_cache = std::make_unique<reader::ChunkCache>(memory.chunk_cache, budget.get(),
                                                       background);
  }
  read.cache = chunk_cache.get();
}

Status Loader::Impl::Init() {
  ARROW_RETURN_NOT_OK(CheckOptions(options));
  ARROW_RETURN_NOT_OK(WriteTrace());  // fails now rather than after an epoch
  if (!options.trace.empty()) counters.timeline.StartTrace();
  budget = std::make_unique<base::MemoryBudget>(base::PagePool(), options.memory_budget);
  read.pool = budget.get();
  read.counters = &counters;
  read.tile_rows = kCountTileRows;
  read.read_buffer_bytes = kCountBufferBytes;
  read.tolerant = dataset->choices.on_error != ErrorPolicy::kRaise;
  cursor.epoch = options.epoch;
  ARROW_RETURN_NOT_OK(BindColumns());
  pipeline::ThreadExecutor executor(options.num_threads);
  ARROW_ASSIGN_OR_RAISE(
      scan, pipeline::Scan::Make(dataset, read, executor, assembler->needs_row_ids()));
  read.table = &scan->table();
  order = ResolveOrder(nullptr);
  // The budget is judged before the first data page is read, with as many survivors as
  // there may be, and spent by how many there are.
  rows_most = 0;
  for (const plan::Block& block : scan->blocks()) {
    if (scan->verdict(block) != expression::Verdict::kNone) rows_most += block.rows;
  }
  ARROW_RETURN_NOT_OK(PlanFor(order, rows_most));
  ARROW_RETURN_NOT_OK(budget->Reserve(dataset->table->footer_cache_bytes_used()));
  FitChunkCache();
  ARROW_ASSIGN_OR_RAISE(survivors,
                        scan->CountSurvivors(read, executor, options.progress));
  int64_t total = 0;
  for (int64_t count : *survivors) total += count;
  ARROW_RETURN_NOT_OK(PlanFor(order, total));
  ARROW_ASSIGN_OR_RAISE(auto first, OrderOf(cursor.epoch));
  ARROW_RETURN_NOT_OK(DealOf(first, 0).status());

  context.scan = scan.get();
  context.survivors = survivors;
  context.assembler = assembler.get();
  context.memory = &memory;
  context.budget = budget.get();
  context.read = &read;
  context.pad_last = options.pad_last;
  context.spare_core =
      static_cast<int>(std::thread::hardware_concurrency()) > options.num_threads;
  context.on_error = dataset->choices.on_error;
  return Status::OK();
}

Result<plan::EpochOrder> Loader::Impl::OrderOf(int64_t epoch) const {
  plan::OrderSpec spec = order;
  spec.epoch = epoch;
  return plan::EpochOrder::Make(survivors, spec);
}

Result<plan::Deal> Loader::Impl::DealOf(const plan::EpochOrder& of, int64_t start) const {
  plan::DealSpec spec;
  spec.rank = options.rank;
  spec.world_size = options.world_size;
  spec.batch_size = options.batch_size;
  spec.drop_last = options.drop_last;
  spec.pad_last = options.pad_last;
  return plan::Deal::Make(of, spec, start);
}

plan::LoaderState Loader::Impl::State(Cursor at) const {
  plan::LoaderState state;
  state.table_format = dataset->table->format();
  state.fingerprint = dataset->table->fingerprint();
  state.table_version = dataset->table->version();
  if (dataset->filter) state.filter = plan::FilterForState(dataset->filter->text());
  state.shuffle = order.shuffle;
  state.seed = order.seed;
  state.streams = order.streams;
  state.shuffle_window_rows = order.shuffle_window_rows;
  state.epoch = at.epoch;
  state.samples = at.samples;
  return state;
}

// Under mutex.
Result<std::shared_ptr<Pass>> Loader::Impl::EnsurePass() {
  if (closed) {
    return Error(ErrorKind::kConflict, "the loader is closed: make a new one");
  }
  if (pass != nullptr) return pass;
  plan::OrderSpec spec = order;
  if (next_pass != nullptr && next_epoch == cursor.epoch && cursor.samples == 0) {
    pass = std::move(next_pass);
  } else {
    next_pass.reset();
    spec.epoch = cursor.epoch;
    ARROW_ASSIGN_OR_RAISE(pass, MakePass(spec, cursor.samples));
  }
  cursor_loaded = false;
  // Who goes through a second epoch is expected to go through a third.
  if (passed) {
    FitSharedPages();
    spec.epoch = cursor.epoch + 1;
    pass->set_make_next([this, spec] { return MakePass(spec, 0); });
  }
  for (int t = 0; t < options.num_threads; ++t) {
    threads.emplace_back([running = pass] { running->Work(); });
    ::pthread_setname_np(threads.back().native_handle(), kThreadName);
  }
  return pass;
}

Result<std::shared_ptr<Pass>> Loader::Impl::MakePass(plan::OrderSpec spec,
                                                     int64_t start) const {
  ARROW_ASSIGN_OR_RAISE(auto of, plan::EpochOrder::Make(survivors, spec));
  ARROW_ASSIGN_OR_RAISE(auto deal, DealOf(of, start));
  return std::make_shared<Pass>(&context, std::move(of), std::move(deal));
}

// Under mutex.
void Loader::Impl::EndPass() {
  if (pass == nullptr) return;
  next_pass = pass->TakeNext();
  next_epoch = pass->epoch() + 1;
  pass->Stop();
  threads.clear();  // joins
  batch_wait += pass->batch_wait();
  pass.reset();
  consuming.reset();
}

// Under mutex.
Clock::time_point Loader::Impl::BeginWait() {
  if (consuming) counters.timeline.Add(Activity::kConsume, *consuming);
  consuming.reset();
  return Clock::now();
}

Status Loader::Impl::WriteTrace() const {
  if (options.trace.empty()) return Status::OK();
  std::ofstream file(options.trace, std::ios::binary);
  file << counters.timeline.TraceJson();
  file.close();
  if (file) return Status::OK();
  return Error(ErrorKind::kInvalidArgument,
               "trace is \"" + options.trace + "\", which cannot be written (" +
                   std::strerror(errno) + "): expected a path in a folder that exists");
}

Loader::Loader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Loader::~Loader() { Close(); }

Result<std::unique_ptr<Loader>> Loader::Make(const Dataset& dataset,
                                             const LoaderOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->dataset = DatasetAccess::SharedImpl(dataset);
  impl->options = options;
  ARROW_RETURN_NOT_OK(impl->Init());
  impl->options.progress = nullptr;  // nothing is left to tell
  return std::unique_ptr<Loader>(new Loader(std::move(impl)));
}

Result<std::optional<TensorBatch>> Loader::Next() {
  ARROW_ASSIGN_OR_RAISE(std::optional<BatchPart> part, NextPart());
  if (!part) return std::nullopt;
  return part->Batch();
}

Result<std::optional<BatchPart>> Loader::NextPart() {
  std::unique_lock lock(impl_->mutex);
  ARROW_ASSIGN_OR_RAISE(auto pass, impl_->EnsurePass());
  const auto began = impl_->BeginWait();
  lock.unlock();
  auto next = [&] {
    const std::lock_guard asks(impl_->asking);
    return pass->Next();
  }();
  impl_->counters.timeline.Add(Activity::kAwait, began);
  lock.lock();
  ARROW_RETURN_NOT_OK(next.status());
  if (!next->has_value()) {
    if (pass == impl_->pass) impl_->EndPass();
    impl_->passed = true;
    ARROW_RETURN_NOT_OK(impl_->WriteTrace());
    // A pass without steps (an empty table) ends here; others have moved on with their
    // last.
    if (pass->steps() == 0) impl_->cursor = {impl_->cursor.epoch + 1, 0};
    return std::nullopt;
  }
  pipeline::ReadyBatch& ready = **next;
  impl_->cursor.samples = ready.step.samples_after;
  if (ready.step.last) impl_->cursor = {impl_->cursor.epoch + 1, 0};
  impl_->rows += ready.part.rows;
  ++impl_->batches;
  impl_->rows_skipped += static_cast<int64_t>(ready.skipped.size());
  for (pipeline::SkippedRow& row : ready.skipped) {
    if (impl_->skipped.size() == kSkippedListed) break;
    impl_->skipped.push_back(std::move(row.what));
  }
  impl_->consuming = Clock::now();
  // Letting go of the pool takes the batch's memory out of the budget.
  return std::move(ready.part);
}

Result<bool> Loader::WaitReady(int64_t timeout_ms) {
  std::unique_lock lock(impl_->mutex);
  ARROW_ASSIGN_OR_RAISE(auto pass, impl_->EnsurePass());
  const auto began = impl_->BeginWait();
  lock.unlock();
  const std::lock_guard asks(impl_->asking);
  const bool ready = pass->WaitReady(timeout_ms);
  impl_->counters.timeline.Add(Activity::kAwait, began);
  return ready;
}

Status Loader::Restart() {
  std::lock_guard lock(impl_->mutex);
  impl_->EndPass();
  if (!impl_->cursor_loaded) impl_->cursor.samples = 0;
  return Status::OK();
}

Result<int64_t> Loader::Steps() {
  std::lock_guard lock(impl_->mutex);
  if (impl_->pass != nullptr) return impl_->pass->steps();
  ARROW_ASSIGN_OR_RAISE(auto order, impl_->OrderOf(impl_->cursor.epoch));
  const int64_t start = impl_->cursor_loaded ? impl_->cursor.samples : 0;
  ARROW_ASSIGN_OR_RAISE(auto deal, impl_->DealOf(order, start));
  return deal.steps();
}

Status Loader::SetEpoch(int64_t epoch) {
  ARROW_RETURN_NOT_OK(CheckRange("epoch", epoch, 0));
  std::lock_guard lock(impl_->mutex);
  // A loaded position inside this very epoch is kept: training loops call set_epoch
  // before each epoch, the resumed one included.
  if (impl_->cursor_loaded && impl_->cursor.epoch == epoch) return Status::OK();
  impl_->EndPass();
  impl_->cursor = {epoch, 0};
  impl_->cursor_loaded = false;
  return Status::OK();
}

Result<std::string> Loader::StateJson() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->State(impl_->cursor).ToJson();
}

Status Loader::LoadStateJson(const std::string& json) {
  ARROW_ASSIGN_OR_RAISE(auto state, plan::LoaderState::FromJson(json));
  std::lock_guard lock(impl_->mutex);
  const plan::OrderSpec before = impl_->order;
  impl_->order = impl_->ResolveOrder(&state);
  const auto differences = state.DifferencesFrom(impl_->State(impl_->cursor));
  if (!differences.empty()) {
    impl_->order = before;
    std::string text = "the state is not this loader's: ";
    for (size_t i = 0; i < differences.size(); ++i) {
      text += (i == 0 ? "" : "; ") + differences[i];
    }
    return Error(
        ErrorKind::kConflict,
        text +
            ": open the same version and choose the same rows and order, or begin "
            "anew without the state");
  }
  int64_t rows = 0;
  for (int64_t count : *impl_->survivors) rows += count;
  auto check = [&]() -> Status {
    ARROW_ASSIGN_OR_RAISE(auto order, impl_->OrderOf(state.epoch));
    ARROW_RETURN_NOT_OK(impl_->DealOf(order, state.samples).status());
    return impl_->PlanFor(impl_->order, rows);
  };
  impl_->EndPass();
  impl_->next_pass.reset();
  Status status = check();
  if (!status.ok()) {
    impl_->order = before;
    ARROW_RETURN_NOT_OK(impl_->PlanFor(before, rows));
    return status;
  }
  impl_->FitChunkCache();
  impl_->cursor = {state.epoch, state.samples};
  impl_->cursor_loaded = true;
  return Status::OK();
}

Result<TensorBatch> Loader::EmptyBatch() const {
  arrow::MemoryPool* pool = arrow::default_memory_pool();
  ARROW_ASSIGN_OR_RAISE(TensorBatch batch, impl_->assembler->Empty(pool));
  if (impl_->options.pad_last) {
    ARROW_RETURN_NOT_OK(pipeline::AppendValid({}, pool, &batch));
  }
  return batch;
}

std::optional<int64_t> Loader::BatchRows() const {
  const bool skips = impl_->dataset->choices.on_error == ErrorPolicy::kSkip;
  if (skips || !impl_->options.drop_last) return std::nullopt;
  return impl_->options.batch_size;
}

int64_t Loader::epoch() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->cursor.epoch;
}

LoaderStats Loader::stats() const {
  std::lock_guard lock(impl_->mutex);
  LoaderStats stats;
  stats.rows = impl_->rows;
  stats.batches = impl_->batches;
  stats.bytes_read = impl_->counters.bytes_read;
  stats.read_calls = impl_->counters.read_calls;
  stats.values_decoded = impl_->counters.values_decoded;
  stats.values_skipped = impl_->counters.values_skipped;
  stats.row_groups_pruned = impl_->scan->row_groups_pruned();
  stats.bytes_pruned = impl_->scan->bytes_pruned();
  stats.row_groups_opened = impl_->counters.row_groups_opened;
  stats.memory_peak = impl_->budget->max_memory();
  stats.memory_budget = impl_->options.memory_budget;
  stats.memory_floor = impl_->memory.floor_bytes;
  const base::Timeline& timeline = impl_->counters.timeline;
  const int64_t reading = timeline.total(Activity::kRead);
  stats.storage = {reading, timeline.total(Activity::kIdle)};
  // A span counts when it has ended, and reads end before the filling they are in.
  stats.decode = {std::max<int64_t>(0, timeline.total(Activity::kFill) - reading),
                  reading};
  stats.batch = {timeline.total(Activity::kAssemble), impl_->batch_wait};
  if (impl_->pass != nullptr) stats.batch.waiting += impl_->pass->batch_wait();
  stats.consumer = {timeline.total(Activity::kConsume), timeline.total(Activity::kAwait)};
  for (const auto& [column, paths] : impl_->counters.decode_paths.Get()) {
    stats.decode_paths[column] = reader::NamesOf(paths);
  }
  stats.rows_skipped = impl_->rows_skipped;
  stats.skipped = impl_->skipped;
  return stats;
}

std::string Loader::ToString() const {
  const LoaderOptions& options = impl_->options;
  std::lock_guard lock(impl_->mutex);
  const plan::OrderSpec& order = impl_->order;
  return "Loader(batch_size=" + std::to_string(options.batch_size) +
         ", shuffle=" + (order.shuffle ? "True" : "False") +
         ", seed=" + std::to_string(order.seed) +
         ", epoch=" + std::to_string(impl_->cursor.epoch) +
         ", streams=" + std::to_string(order.streams) +
         ", shuffle_window_rows=" + std::to_string(order.shuffle_window_rows) +
         ", rank=" + std::to_string(options.rank) +
         ", world_size=" + std::to_string(options.world_size) +
         ", num_threads=" + std::to_string(options.num_threads) +
         ", memory_budget=" + std::to_string(options.memory_budget) + ")";
}

void Loader::Close() {
  std::shared_ptr<Pass> running;
  std::unique_ptr<reader::ChunkCache> cache;
  std::unique_ptr<reader::SharedPages> pages;
  std::vector<std::jthread> threads;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->closed = true;
    running = std::move(impl_->pass);
    impl_->next_pass.reset();
    threads = std::move(impl_->threads);
    // Which they and the consumer read by until they have stopped.
    cache = std::move(impl_->chunk_cache);
    pages = std::move(impl_->shared_pages);
  }
  if (running != nullptr) running->Stop();
  // Joined without the lock: a Next that waits gets away at once, and only Close waits
  // for what storage has not answered yet.
  threads.clear();
  // A Next that reads gets away when it has read; a later one finds the pass stopped.
  {
    const std::lock_guard left(impl_->asking);
  }
  cache.reset();
  pages.reset();
  // An open pass that is closed has no caller left to tell.
  if (running != nullptr) (void)impl_->WriteTrace();
  // What batches still hold goes back when they do.
  impl_->budget->recycler()->Close();
}

}  // namespace headrace
