#include "pipeline/write_files.h"

#include <arrow/util/thread_pool.h>

#include <memory>
#include <utility>

#include "base/memory_budget.h"
#include "base/page_pool.h"
#include "writer/file_set_writer.h"

namespace headrace::pipeline {
namespace {

writer::FileSetOptions ToFileSet(const WriteOptions& options) {
  return {.encoding = {.row_group_bytes = options.row_group_bytes,
                       .compression = options.compression,
                       .compression_level = options.compression_level,
                       .bloom_filters = options.bloom_filters},
          .file_bytes = options.file_bytes,
          .partition_by = options.partition_by,
          .sort_by = options.sort_by,
          .temp_folder = options.temp_folder,
          .writes_empty = options.format == "parquet"};
}

Status WriteAll(arrow::RecordBatchReader* data, const WriteOptions& options,
                const Progress& progress, writer::FileSetWriter* files) {
  int64_t rows = 0;
  for (;;) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(data->ReadNext(&batch));
    if (batch == nullptr) return Status::OK();
    ARROW_RETURN_NOT_OK(files->Write(batch));
    rows += batch->num_rows();
    if (progress) progress(rows, options.rows_expected);
  }
}

}  // namespace

Result<TablePlace> TablePlace::Of(const std::string& uri, const WriteOptions& options) {
  TablePlace place;
  ARROW_ASSIGN_OR_RAISE(place.storage, storage::Storage::OfFolder(
                                           uri, options.storage_options, &place.root));
  return place;
}

Status CheckWriteOptions(const WriteOptions& options) {
  for (const char* mode : {"error", "append", "overwrite", "overwrite_partitions"}) {
    if (options.mode != mode) continue;
    if (options.num_threads < 1) {
      return Error(ErrorKind::kInvalidArgument, "num_threads is " +
                                                    std::to_string(options.num_threads) +
                                                    ", expected at least 1");
    }
    if (options.mode == "overwrite_partitions" && options.partition_by.empty() &&
        options.format == "parquet") {
      return Error(ErrorKind::kInvalidArgument,
                   "mode \"overwrite_partitions\" needs partition_by, found no columns");
    }
    return Status::OK();
  }
  return Error(ErrorKind::kInvalidArgument,
               "mode is \"" + options.mode +
                   "\", expected error, append, overwrite or overwrite_partitions");
}

Result<Written> WriteFiles(arrow::RecordBatchReader* data, writer::StoredRows rows,
                           const WriteOptions& options, const storage::Storage& storage,
                           const std::string& root, const Progress& progress,
                           std::optional<writer::FileNames> names) {
  base::MemoryBudget memory(base::PagePool(), options.memory_budget);
  std::shared_ptr<arrow::internal::ThreadPool> threads;
  if (options.num_threads > 1) {
    ARROW_ASSIGN_OR_RAISE(threads,
                          arrow::internal::ThreadPool::Make(options.num_threads));
  }
  ARROW_ASSIGN_OR_RAISE(const auto writer,
                        writer::FileSetWriter::Make(std::move(rows), ToFileSet(options),
                                                    {.storage = &storage,
                                                     .root = root,
                                                     .names = std::move(names),
                                                     .executor = threads.get(),
                                                     .memory = &memory}));
  ARROW_RETURN_NOT_OK(WriteAll(data, options, progress, writer.get()));
  Written written;
  ARROW_ASSIGN_OR_RAISE(written.files, writer->Finish());
  WriteSummary& summary = written.summary;
  summary.uri = storage.Display(root);
  summary.rows = writer->rows();
  summary.files = static_cast<int64_t>(written.files.size());
  summary.row_groups = writer->row_groups();
  for (const auto& file : written.files) summary.bytes += file.size;
  summary.partitions = options.partition_by.empty() ? 0 : writer->partitions();
  summary.bytes_spilled = writer->bytes_spilled();
  summary.memory_peak = memory.max_memory();
  summary.memory_budget = options.memory_budget;
  summary.memory_floor = writer->memory_floor();
  return written;
}

void DeleteFiles(const storage::Storage& storage, const std::string& root,
                 const std::vector<table::DataFile>& files) {
  for (const table::DataFile& file : files) {
    const Status ignored = storage.Delete(root + "/" + file.path);
    (void)ignored;
  }
}

}  // namespace headrace::pipeline
