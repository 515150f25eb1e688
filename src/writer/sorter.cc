#include "writer/sorter.h"

#include <arrow/array/array_primitive.h>
#include <arrow/array/concatenate.h>
#include <arrow/buffer_builder.h>
#include <arrow/compute/api.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/table.h>
#include <arrow/util/byte_size.h>

#include <algorithm>
#include <optional>
#include <queue>
#include <utility>

#include "writer/sort_keys.h"

namespace headrace::writer {
namespace {

using BatchPtr = std::shared_ptr<arrow::RecordBatch>;

// Runs merged at once.
constexpr size_t kFanIn = 16;
// A run is held, put together, and held sorted, beside its keys and their order.
constexpr int64_t kRunCopies = 4;
constexpr int64_t kRowCost = 48;
// Of what is held in merging, a part of each run is as much.
constexpr int64_t kPartsOfMemory = 8;
constexpr int64_t kSpillBytesMin = 4 << 10;

int64_t BytesOf(const arrow::RecordBatch& batch) {
  const auto bytes = arrow::util::ReferencedBufferSize(batch);
  return bytes.ok() ? *bytes : arrow::util::TotalBufferSize(batch);
}

Result<BatchPtr> Concatenated(const arrow::RecordBatchVector& batches,
                              arrow::MemoryPool* pool) {
  if (batches.size() == 1) return batches[0];
  return arrow::ConcatenateRecordBatches(batches, pool);
}

Result<BatchPtr> TakeRows(const BatchPtr& batch, std::shared_ptr<arrow::Buffer> rows,
                          arrow::MemoryPool* pool) {
  const int64_t count = rows->size() / 8;
  const auto indices = std::make_shared<arrow::Int64Array>(count, std::move(rows));
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  ARROW_ASSIGN_OR_RAISE(
      auto taken,
      arrow::compute::Take(batch, indices, arrow::compute::TakeOptions::NoBoundsCheck(),
                           &context));
  return taken.record_batch();
}

// One run, read batch by batch.
struct Source {
  std::shared_ptr<arrow::RecordBatchReader> reader;
  BatchPtr batch;
  std::optional<SortKeys> keys;
  int64_t row = 0;
  int64_t taken_from = 0;  // the first row that waits for the next output
  bool Ended() const { return batch == nullptr; }
};

// Rows of several batches on their way into one.
class Output {
 public:
  explicit Output(arrow::MemoryPool* pool) : rows_(pool), pool_(pool) {}

  // The next row is the next one of this source.
  Status Add(size_t source) { return rows_.Append(static_cast<int32_t>(source)); }
  int64_t rows() const { return rows_.length(); }

  // A stretch of a source's rows of which all wait.
  void AddPart(size_t source, const BatchPtr& batch, int64_t begin, int64_t end) {
    if (end > begin) parts_.push_back({source, batch->Slice(begin, end - begin)});
  }

  // Parts of a source lie one after the other, so that its next row follows its last.
  Result<BatchPtr> Flush() {
    std::ranges::stable_sort(parts_, {}, [](const Part& part) { return part.source; });
    std::vector<int64_t> next;
    arrow::RecordBatchVector batches;
    int64_t begin = 0;
    for (const Part& part : parts_) {
      next.resize(std::max(next.size(), part.source + 1), -1);
      if (next[part.source] < 0) next[part.source] = begin;
      begin += part.rows->num_rows();
      batches.push_back(part.rows);
    }
    ARROW_ASSIGN_OR_RAISE(auto indices, arrow::AllocateBuffer(rows_.length() * 8, pool_));
    auto* out = reinterpret_cast<int64_t*>(indices->mutable_data());
    for (int64_t i = 0; i < rows_.length(); ++i) {
      *out++ = next[static_cast<size_t>(rows_.data()[i])]++;
    }
    rows_.Reset();
    parts_.clear();
    ARROW_ASSIGN_OR_RAISE(auto whole, Concatenated(batches, pool_));
    batches.clear();
    return TakeRows(whole, std::move(indices), pool_);
  }

 private:
  struct Part {
    size_t source;
    BatchPtr rows;
  };
  arrow::TypedBufferBuilder<int32_t> rows_;
  std::vector<Part> parts_;
  arrow::MemoryPool* pool_;
};

}  // namespace

Sorter::~Sorter() { DropHeld(); }

void Sorter::DropHeld() {
  held_.clear();
  options_.pool->Release(std::exchange(held_bytes_, 0));
}

Status Sorter::Add(BatchPtr batch) {
  const int64_t bytes = BytesOf(*batch);
  const int64_t needed =
      kRunCopies * (held_bytes_ + bytes) + kRowCost * (held_rows_ + batch->num_rows());
  if (held_rows_ > 0 && needed > options_.memory) {
    ARROW_RETURN_NOT_OK(Spill());
  }
  ARROW_RETURN_NOT_OK(options_.pool->Reserve(bytes));
  held_bytes_ += bytes;
  held_rows_ += batch->num_rows();
  rows_ += batch->num_rows();
  held_.push_back(std::move(batch));
  return Status::OK();
}

Result<BatchPtr> Sorter::SortHeld() {
  ARROW_ASSIGN_OR_RAISE(auto whole, Concatenated(held_, options_.pool));
  const int64_t bytes = std::exchange(held_bytes_, 0);
  held_rows_ = 0;
  held_.clear();
  std::shared_ptr<arrow::Buffer> rows;
  auto sorted = [&]() -> Result<BatchPtr> {
    {
      ARROW_ASSIGN_OR_RAISE(const auto keys,
                            SortKeys::Make(*whole, options_.columns, options_.pool));
      ARROW_ASSIGN_OR_RAISE(rows, keys.Sorted(options_.pool));
    }
    return TakeRows(whole, std::move(rows), options_.pool);
  }();
  whole.reset();
  options_.pool->Release(bytes);
  return sorted;
}

int64_t Sorter::MergedRows(const arrow::RecordBatch& like, int64_t bytes) const {
  const int64_t row_bytes =
      std::max<int64_t>(BytesOf(like) / std::max<int64_t>(like.num_rows(), 1), 1);
  return std::max<int64_t>(bytes / row_bytes, 1);
}

Result<TempFile> Sorter::WriteRun(const std::function<Status(const Take&)>& produce) {
  ARROW_ASSIGN_OR_RAISE(auto file, TempFile::Create(options_.temp_folder));
  ARROW_ASSIGN_OR_RAISE(auto sink, file.Writer(options_.pool));
  auto ipc = arrow::ipc::IpcWriteOptions::Defaults();
  ipc.memory_pool = options_.pool;
  ipc.use_threads = false;
  ARROW_ASSIGN_OR_RAISE(auto writer,
                        arrow::ipc::MakeStreamWriter(sink, options_.schema, ipc));
  // Of each run that is merged one such part is held.
  const int64_t bytes = std::max(
      options_.memory / (kPartsOfMemory * static_cast<int64_t>(kFanIn)), kSpillBytesMin);
  ARROW_RETURN_NOT_OK(produce([&](const BatchPtr& batch) {
    const int64_t step = MergedRows(*batch, bytes);
    for (int64_t row = 0; row < batch->num_rows(); row += step) {
      ARROW_RETURN_NOT_OK(writer->WriteRecordBatch(*batch->Slice(row, step)));
    }
    return Status::OK();
  }));
  ARROW_RETURN_NOT_OK(writer->Close());
  ARROW_ASSIGN_OR_RAISE(const int64_t written, sink->Tell());
  bytes_spilled_ += written;
  ARROW_RETURN_NOT_OK(sink->Close());
  return file;
}

Status Sorter::Spill() {
  ARROW_ASSIGN_OR_RAISE(const auto sorted, SortHeld());
  ARROW_ASSIGN_OR_RAISE(auto run,
                        WriteRun([&](const Take& take) { return take(sorted); }));
  runs_.push_back(std::move(run));
  return Status::OK();
}

Status Sorter::Finish(const Take& take) {
  if (runs_.empty()) {
    if (held_.empty()) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(const auto sorted, SortHeld());
    const int64_t step = MergedRows(*sorted, options_.batch_bytes);
    for (int64_t row = 0; row < sorted->num_rows(); row += step) {
      ARROW_RETURN_NOT_OK(take(sorted->Slice(row, step)));
    }
    return Status::OK();
  }
  if (!held_.empty()) ARROW_RETURN_NOT_OK(Spill());
  while (runs_.size() > kFanIn) {
    // Neighbours, in their order: rows of equal keys keep theirs.
    std::vector<TempFile> merged;
    for (size_t begin = 0; begin < runs_.size(); begin += kFanIn) {
      const size_t end = std::min(begin + kFanIn, runs_.size());
      ARROW_ASSIGN_OR_RAISE(
          auto run, WriteRun([&](const Take& each) { return Merge(begin, end, each); }));
      merged.push_back(std::move(run));
    }
    runs_ = std::move(merged);
  }
  return Merge(0, runs_.size(), take);
}

Status Sorter::Merge(size_t begin, size_t end, const Take& take) {
  std::vector<Source> sources(end - begin);
  auto load = [&](Source* source) -> Status {
    source->keys.reset();
    source->row = source->taken_from = 0;
    ARROW_RETURN_NOT_OK(source->reader->ReadNext(&source->batch));
    if (source->Ended()) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(
        source->keys, SortKeys::Make(*source->batch, options_.columns, options_.pool));
    return Status::OK();
  };
  // The source with the smallest key comes first; of equal ones the earliest.
  auto later = [&](size_t a, size_t b) {
    const int order =
        sources[a].keys->At(sources[a].row).compare(sources[b].keys->At(sources[b].row));
    return order != 0 ? order > 0 : a > b;
  };
  std::priority_queue<size_t, std::vector<size_t>, decltype(later)> next(later);
  auto ipc = arrow::ipc::IpcReadOptions::Defaults();
  ipc.memory_pool = options_.pool;
  ipc.use_threads = false;
  for (size_t i = 0; i < sources.size(); ++i) {
    ARROW_ASSIGN_OR_RAISE(auto input, runs_[begin + i].Reader(options_.pool));
    ARROW_ASSIGN_OR_RAISE(sources[i].reader,
                          arrow::ipc::RecordBatchStreamReader::Open(input, ipc));
    ARROW_RETURN_NOT_OK(load(&sources[i]));
    if (!sources[i].Ended()) next.push(i);
  }
  Output output(options_.pool);
  auto wait = [&](size_t i) {
    Source& source = sources[i];
    output.AddPart(i, source.batch, std::exchange(source.taken_from, source.row),
                   source.row);
  };
  auto flush = [&]() -> Status {
    for (size_t i = 0; i < sources.size(); ++i) {
      if (!sources[i].Ended()) wait(i);
    }
    if (output.rows() == 0) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(const auto batch, output.Flush());
    return take(batch);
  };
  const int64_t output_rows =
      next.empty()
          ? 1
          : MergedRows(*sources[next.top()].batch,
                       std::min(options_.batch_bytes, options_.memory / kPartsOfMemory));
  while (!next.empty()) {
    const size_t i = next.top();
    next.pop();
    ARROW_RETURN_NOT_OK(output.Add(i));
    Source& source = sources[i];
    if (++source.row == source.batch->num_rows()) {
      wait(i);
      ARROW_RETURN_NOT_OK(load(&source));
    }
    if (!source.Ended()) next.push(i);
    if (output.rows() == output_rows) ARROW_RETURN_NOT_OK(flush());
  }
  return flush();
}

}  // namespace headrace::writer
