#include "writer/file_set_writer.h"

#include <arrow/util/byte_size.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/uuid.h"
#include "writer/parquet_file.h"
#include "writer/partition_rows.h"
#include "writer/sort_keys.h"
#include "writer/sorter.h"
#include "writer/statistics.h"

namespace headrace::writer {
namespace {

// Rows are converted, cut into partitions and encoded this many bytes at a time, at most.
constexpr int64_t kSliceBytesMin = 64 << 10;
constexpr int64_t kSliceBytesMax = 16 << 20;
constexpr int64_t kSliceRowsMax = 1 << 17;
// A slice as it was converted, and as its partition's rows were gathered.
constexpr int64_t kSliceCopies = 3;
constexpr int64_t kSortSlices = 8;
constexpr int64_t kFilesMax = 64;

Result<std::vector<int>> ColumnsOf(const arrow::Schema& schema, const char* option,
                                   const std::vector<std::string>& names) {
  std::vector<int> columns;
  for (const std::string& name : names) {
    const int column = schema.GetFieldIndex(name);
    if (column < 0) {
      return Error(ErrorKind::kNotFound, std::string(option) + " names \"" + name +
                                             "\", which is no column of the data");
    }
    if (std::ranges::find(columns, column) != columns.end()) {
      return Error(ErrorKind::kInvalidArgument,
                   std::string(option) + " names \"" + name + "\" twice, expected once");
    }
    columns.push_back(column);
  }
  return columns;
}

Status CheckBytes(const char* option, int64_t bytes) {
  constexpr int64_t kMin = 4 << 10;
  if (bytes >= kMin) return Status::OK();
  return Error(ErrorKind::kInvalidArgument,
               std::string(option) + " is " + std::to_string(bytes) +
                   ", expected at least " + std::to_string(kMin));
}

std::string Padded(int64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

}  // namespace

class FileSetWriter::Impl {
 public:
  Impl(StoredRows rows, FileSetOptions options, const FileSetContext& context)
      : rows_(std::move(rows)), options_(std::move(options)), context_(context) {}

  Status Init();
  Status Write(const arrow::RecordBatch& batch);
  Result<std::vector<table::DataFile>> Finish();
  void Abandon();

  int64_t memory_floor() const { return memory_floor_; }
  int64_t rows_written() const { return rows_written_; }
  int64_t row_groups() const { return row_groups_; }
  int64_t bytes_spilled() const { return bytes_spilled_; }
  int64_t partitions() const { return static_cast<int64_t>(directories_.size()); }

 private:
  // A partition's file that is being written.
  struct Open {
    std::unique_ptr<ParquetFile> file;
    Partition partition;
    std::string relative_path;
  };

  Status InitMemory();
  std::unique_ptr<Sorter> MakeSorter(std::vector<int> keys, int64_t memory) const;
  Status Dispatch(const std::shared_ptr<arrow::RecordBatch>& rows);
  Status WriteSorted(Sorter* sorter);
  Status WritePart(const Partition& partition, const arrow::RecordBatch& rows);
  std::string NextName() const;
  Result<Open*> FileOf(const Partition& partition, const arrow::RecordBatch& first);
  Status CloseFile(const std::string& directory);
  Status CloseFiles();

  StoredRows rows_;
  FileSetOptions options_;
  FileSetContext context_;
  std::string id_;
  std::vector<int> partition_columns_;
  std::vector<int> sort_columns_;
  Encoding encoding_;
  int64_t slice_bytes_ = 0;
  int64_t memory_floor_ = 0;
  size_t files_max_ = 1;
  int64_t sort_memory_ = 0;

  std::map<std::string, Open> open_;  // by directory
  std::unique_ptr<Sorter> sorter_;    // with sort_by: all rows
  std::unique_ptr<Sorter> late_;      // of partitions beyond files_max_
  bool sorted_ = false;               // rows come partition by partition now
  bool finished_ = false;
  std::set<std::string> directories_;
  std::vector<std::string> paths_;  // all that were created
  std::vector<table::DataFile> files_;
  double ratio_ = 1;  // compressed to encoded bytes, as last measured
  int64_t rows_seen_ = 0;
  int64_t rows_written_ = 0;
  int64_t row_groups_ = 0;
  int64_t bytes_spilled_ = 0;
};

Status FileSetWriter::Impl::Init() {
  const arrow::Schema& schema = *rows_.schema();
  ARROW_RETURN_NOT_OK(CheckBytes("row_group_bytes", options_.encoding.row_group_bytes));
  ARROW_RETURN_NOT_OK(CheckBytes("file_bytes", options_.file_bytes));
  ARROW_ASSIGN_OR_RAISE(partition_columns_,
                        ColumnsOf(schema, "partition_by", options_.partition_by));
  ARROW_ASSIGN_OR_RAISE(sort_columns_, ColumnsOf(schema, "sort_by", options_.sort_by));
  ARROW_RETURN_NOT_OK(CheckPartitionColumns(schema, partition_columns_));
  ARROW_RETURN_NOT_OK(SortKeys::Check(schema, sort_columns_));
  arrow::FieldVector stored;
  for (int i = 0; i < schema.num_fields(); ++i) {
    if (std::ranges::find(partition_columns_, i) != partition_columns_.end()) continue;
    stored.push_back(schema.field(i));
  }
  if (stored.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 schema.num_fields() == 0
                     ? "the data have no columns, expected at least one"
                     : "partition_by names every column, expected one that is left for "
                       "the files");
  }
  ARROW_ASSIGN_OR_RAISE(
      encoding_, Encoding::Make(arrow::schema(std::move(stored)), options_.encoding));
  id_ = base::RandomUuid();
  if (id_.empty()) {
    return Error(ErrorKind::kInternal, "the system gives no random bytes");
  }
  return InitMemory();
}

Status FileSetWriter::Impl::InitMemory() {
  slice_bytes_ =
      std::clamp(options_.encoding.row_group_bytes / 2, kSliceBytesMin, kSliceBytesMax);
  const int64_t slices = kSliceCopies * slice_bytes_;
  const bool sorts = !sort_columns_.empty() || !partition_columns_.empty();
  const int64_t sort_min =
      sorts ? std::max(kSortSlices * slice_bytes_, Sorter::kMemoryMin) : 0;
  memory_floor_ = encoding_.file_memory + slices + sort_min;
  const int64_t budget = context_.memory->budget();
  if (budget < memory_floor_) {
    return Error(ErrorKind::kResourceExhausted,
                 "memory_budget is " + std::to_string(budget) + ", expected at least " +
                     std::to_string(memory_floor_) + " for row groups of " +
                     std::to_string(options_.encoding.row_group_bytes) + " bytes of " +
                     std::to_string(encoding_.leaves) +
                     " columns: give a larger memory_budget or smaller row_group_bytes");
  }
  const int64_t free = budget - encoding_.file_memory - slices;
  if (!sort_columns_.empty()) {
    sort_memory_ = free;
    std::vector<int> keys = partition_columns_;
    keys.insert(keys.end(), sort_columns_.begin(), sort_columns_.end());
    sorter_ = MakeSorter(std::move(keys), sort_memory_);
  } else if (!partition_columns_.empty()) {
    // Open files first: rows of their partitions need not be sorted.
    files_max_ = static_cast<size_t>(std::clamp<int64_t>(
        1 + (free - std::max(sort_min, free / 4)) / encoding_.file_memory, 1, kFilesMax));
    sort_memory_ = free - static_cast<int64_t>(files_max_ - 1) * encoding_.file_memory;
  }
  return Status::OK();
}

std::unique_ptr<Sorter> FileSetWriter::Impl::MakeSorter(std::vector<int> keys,
                                                        int64_t memory) const {
  return std::make_unique<Sorter>(Sorter::Options{.schema = rows_.schema(),
                                                  .columns = std::move(keys),
                                                  .memory = memory,
                                                  .batch_bytes = slice_bytes_,
                                                  .temp_folder = options_.temp_folder,
                                                  .pool = context_.memory});
}

Status FileSetWriter::Impl::Write(const arrow::RecordBatch& batch) {
  if (batch.num_rows() == 0) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(const int64_t bytes, arrow::util::ReferencedBufferSize(batch));
  const double rows = static_cast<double>(batch.num_rows()) *
                      static_cast<double>(slice_bytes_) /
                      static_cast<double>(std::max<int64_t>(bytes, 1));
  const int64_t step =
      static_cast<int64_t>(std::clamp(rows, 1.0, static_cast<double>(kSliceRowsMax)));
  for (int64_t row = 0; row < batch.num_rows(); row += step) {
    ARROW_ASSIGN_OR_RAISE(
        auto rows, rows_.Convert(*batch.Slice(row, step), rows_seen_, context_.memory));
    rows_seen_ += rows->num_rows();
    ARROW_RETURN_NOT_OK(sorter_ != nullptr ? sorter_->Add(std::move(rows))
                                           : Dispatch(rows));
  }
  return Status::OK();
}

Status FileSetWriter::Impl::Dispatch(const std::shared_ptr<arrow::RecordBatch>& rows) {
  if (partition_columns_.empty()) return WritePart({}, *rows);
  ARROW_ASSIGN_OR_RAISE(const auto parts, PartitionedBatch::Make(rows, partition_columns_,
                                                                 context_.memory));
  std::vector<size_t> late;
  for (size_t p = 0; p < parts.partitions().size(); ++p) {
    const Partition& partition = parts.partitions()[p];
    if (!sorted_ && open_.count(partition.directory) == 0 &&
        (late_ != nullptr || open_.size() == files_max_) &&
        directories_.count(partition.directory) == 0) {
      late.push_back(p);
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(const auto part, parts.Rows({p}, context_.memory));
    ARROW_RETURN_NOT_OK(WritePart(partition, *part));
  }
  if (late.empty()) return Status::OK();
  if (late_ == nullptr) late_ = MakeSorter(partition_columns_, sort_memory_);
  ARROW_ASSIGN_OR_RAISE(auto waiting, parts.Rows(late, context_.memory));
  return late_->Add(std::move(waiting));
}

std::string FileSetWriter::Impl::NextName() const {
  const std::string number = Padded(static_cast<int64_t>(paths_.size()));
  const auto& names = context_.names;
  const std::string name =
      names ? Padded(names->task) + "-" + names->job + "-" + id_ + ".c" + number
            : number + "-" + id_ + ".c000";
  return "part-" + name + encoding_.Suffix() + ".parquet";
}

Result<FileSetWriter::Impl::Open*> FileSetWriter::Impl::FileOf(
    const Partition& partition, const arrow::RecordBatch& first) {
  const auto found = open_.find(partition.directory);
  if (found != open_.end()) return &found->second;
  // Sorted rows come partition by partition.
  if (sorted_) ARROW_RETURN_NOT_OK(CloseFiles());
  Open open;
  open.partition = partition;
  open.relative_path = partition.directory + NextName();
  const std::string path = context_.root + "/" + open.relative_path;
  paths_.push_back(path);
  ARROW_ASSIGN_OR_RAISE(open.file, ParquetFile::Create(encoding_,
                                                       {.storage = context_.storage,
                                                        .pool = context_.memory,
                                                        .executor = context_.executor,
                                                        .ratio = ratio_},
                                                       path, first));
  directories_.insert(partition.directory);
  return &open_.emplace(partition.directory, std::move(open)).first->second;
}

Status FileSetWriter::Impl::WritePart(const Partition& partition,
                                      const arrow::RecordBatch& rows) {
  arrow::ArrayVector columns;
  for (int i = 0; i < rows.num_columns(); ++i) {
    if (std::ranges::find(partition_columns_, i) != partition_columns_.end()) continue;
    columns.push_back(rows.column(i));
  }
  const auto stored =
      arrow::RecordBatch::Make(encoding_.schema, rows.num_rows(), columns);
  for (int64_t row = 0; row < stored->num_rows();) {
    ARROW_ASSIGN_OR_RAISE(Open* const open, FileOf(partition, *stored->Slice(row)));
    ARROW_ASSIGN_OR_RAISE(const int64_t appended, open->file->Append(*stored, row));
    row += appended;
    rows_written_ += appended;
    if (!open->file->between_row_groups()) continue;
    // One more row group would bring it further from the size than it is.
    const int64_t half = options_.encoding.row_group_bytes / 2;
    if (open->file->bytes() + half >= options_.file_bytes) {
      ARROW_RETURN_NOT_OK(CloseFile(partition.directory));
    }
  }
  return Status::OK();
}

Status FileSetWriter::Impl::CloseFile(const std::string& directory) {
  Open open = std::move(open_.extract(directory).mapped());
  ARROW_ASSIGN_OR_RAISE(const auto footer, open.file->Close());
  table::DataFile file;
  file.path = std::move(open.relative_path);
  file.size = open.file->bytes();
  file.modified_ms = base::NowMs();
  file.rows = open.file->rows();
  file.partition_values = std::move(open.partition.values);
  file.stats = DeltaStatistics(*encoding_.schema, *footer);
  row_groups_ += open.file->row_groups();
  ratio_ = open.file->ratio();
  files_.push_back(std::move(file));
  return Status::OK();
}

Status FileSetWriter::Impl::CloseFiles() {
  while (!open_.empty()) ARROW_RETURN_NOT_OK(CloseFile(open_.begin()->first));
  return Status::OK();
}

Status FileSetWriter::Impl::WriteSorted(Sorter* sorter) {
  sorted_ = true;
  ARROW_RETURN_NOT_OK(sorter->Finish([&](const auto& rows) { return Dispatch(rows); }));
  bytes_spilled_ += sorter->bytes_spilled();
  return CloseFiles();
}

Result<std::vector<table::DataFile>> FileSetWriter::Impl::Finish() {
  ARROW_RETURN_NOT_OK(CloseFiles());
  if (sorter_ != nullptr) ARROW_RETURN_NOT_OK(WriteSorted(sorter_.get()));
  if (late_ != nullptr) ARROW_RETURN_NOT_OK(WriteSorted(late_.get()));
  if (files_.empty() && options_.writes_empty && partition_columns_.empty()) {
    ARROW_ASSIGN_OR_RAISE(const auto none,
                          arrow::RecordBatch::MakeEmpty(encoding_.schema));
    ARROW_RETURN_NOT_OK(FileOf({}, *none).status());
    ARROW_RETURN_NOT_OK(CloseFiles());
  }
  finished_ = true;
  return std::move(files_);
}

void FileSetWriter::Impl::Abandon() {
  if (std::exchange(finished_, true)) return;
  for (auto& [directory, open] : open_) open.file->Abandon();
  open_.clear();
  for (const std::string& path : paths_) (void)context_.storage->Delete(path);
}

FileSetWriter::FileSetWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FileSetWriter::~FileSetWriter() { impl_->Abandon(); }

Result<std::unique_ptr<FileSetWriter>> FileSetWriter::Make(
    StoredRows rows, const FileSetOptions& options, const FileSetContext& context) {
  auto impl = std::make_unique<Impl>(std::move(rows), options, context);
  ARROW_RETURN_NOT_OK(impl->Init());
  return std::unique_ptr<FileSetWriter>(new FileSetWriter(std::move(impl)));
}

Status FileSetWriter::Write(const std::shared_ptr<arrow::RecordBatch>& batch) {
  return impl_->Write(*batch);
}
Result<std::vector<table::DataFile>> FileSetWriter::Finish() { return impl_->Finish(); }
void FileSetWriter::Abandon() { impl_->Abandon(); }
int64_t FileSetWriter::memory_floor() const { return impl_->memory_floor(); }
int64_t FileSetWriter::rows() const { return impl_->rows_written(); }
int64_t FileSetWriter::row_groups() const { return impl_->row_groups(); }
int64_t FileSetWriter::bytes_spilled() const { return impl_->bytes_spilled(); }
int64_t FileSetWriter::partitions() const { return impl_->partitions(); }

}  // namespace headrace::writer
