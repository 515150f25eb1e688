#include <arrow/api.h>
#include <headrace/write.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <utility>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {
namespace {

struct CopyOptions {
  CommonOptions common;
  ChoiceOptions choice;
  std::string source;
  std::string target;
  std::vector<std::string> target_storage_options;
  std::vector<std::string> codecs;
  WriteOptions write;
};

// Set by Ctrl-C: what was written is deleted before the process ends.
std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

// The rows of a dataset, until Ctrl-C.
class Interruptible : public arrow::RecordBatchReader {
 public:
  explicit Interruptible(std::shared_ptr<arrow::RecordBatchReader> inner)
      : inner_(std::move(inner)) {}

  std::shared_ptr<arrow::Schema> schema() const override { return inner_->schema(); }
  Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override {
    if (interrupted) return Error(ErrorKind::kCancelled, "interrupted");
    return inner_->ReadNext(batch);
  }

 private:
  std::shared_ptr<arrow::RecordBatchReader> inner_;
};

// The fields of all cells, those that --codec names with another codec; nothing without
// --codec: cells stay as they are.
Result<std::optional<Schema>> Recoded(const Dataset& dataset,
                                      const std::vector<std::string>& codecs) {
  if (codecs.empty()) return std::nullopt;
  ARROW_ASSIGN_OR_RAISE(const Schema all, Schema::FromArrow(*dataset.schema()));
  std::map<std::string, Field> fields;
  for (const Field& field : all.fields()) {
    if (field.codec != "arrow") fields[field.name] = field;
  }
  for (const std::string& given : codecs) {
    const size_t equals = given.rfind('=');
    if (equals == std::string::npos || equals == 0) {
      return Error(ErrorKind::kInvalidArgument,
                   "--codec is \"" + given + "\", expected COLUMN=CODEC, as in x=zstd");
    }
    const std::string name = given.substr(0, equals);
    const Field* found = all.Find(name);
    if (found == nullptr) {
      return Error(ErrorKind::kNotFound, "--codec names \"" + name +
                                             "\", which is no column that is copied, or "
                                             "one that no codec can hold");
    }
    Field field = *found;
    field.codec = given.substr(equals + 1);
    field.quality.reset();
    fields[name] = std::move(field);
  }
  std::vector<Field> list;
  list.reserve(fields.size());
  for (auto& [name, field] : fields) list.push_back(std::move(field));
  return Schema::Make(std::move(list));
}

Result<ExitCode> Copy(const CopyOptions& copy) {
  ARROW_ASSIGN_OR_RAISE(Dataset dataset, copy.common.Open(copy.source));
  ARROW_ASSIGN_OR_RAISE(dataset, copy.choice.Apply(std::move(dataset)));
  if (copy.choice.explain) {
    ARROW_RETURN_NOT_OK(PrintPlan(dataset, copy.common.json));
    return kExitOk;
  }
  WriteOptions write = copy.write;
  CommonOptions target;
  target.catalog = copy.common.catalog;
  target.storage_options = copy.target_storage_options.empty()
                               ? copy.common.storage_options
                               : copy.target_storage_options;
  ARROW_ASSIGN_OR_RAISE(const OpenOptions target_options, target.ToOpenOptions());
  write.storage_options = target_options.storage_options;
  write.catalog = target_options.catalog;
  ARROW_ASSIGN_OR_RAISE(write.schema, Recoded(dataset, copy.codecs));
  // Where every row is copied, how many there are is known.
  if (copy.choice.where.empty()) {
    ARROW_ASSIGN_OR_RAISE(write.rows_expected, dataset.CountRows());
  }
  ARROW_ASSIGN_OR_RAISE(auto reader, dataset.ToReader(write.schema.has_value()));
  std::signal(SIGINT, [](int) { interrupted = true; });
  auto written = [&] {
    ProgressBar bar("copy");
    return headrace::Write(std::make_shared<Interruptible>(std::move(reader)),
                           copy.target, write,
                           [&](int64_t done, int64_t total) { bar.Update(done, total); });
  }();
  if (!written.ok() && interrupted) return kExitInterrupted;
  ARROW_RETURN_NOT_OK(written.status());
  Write((copy.common.json ? written->ToJson() : written->ToString()) + "\n");
  return kExitOk;
}

void AddLayout(CLI::App* command, CopyOptions* copy) {
  WriteOptions& write = copy->write;
  AddBytes(command, "--row-group-bytes", &write.row_group_bytes, "32MiB",
           "of a row group as it is written, compressed");
  AddBytes(command, "--file-bytes", &write.file_bytes, "512MiB", "of a file, about");
  AddColumns(command, "--sort-by", &write.sort_by,
             "sort rows by these, within partitions");
  AddColumns(command, "--partition-by", &write.partition_by,
             "columns that become directories");
  AddColumns(command, "--bloom-filters", &write.bloom_filters,
             "columns that get bloom filters");
  command
      ->add_option("--compression", write.compression, "zstd, snappy, lz4, gzip or none")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--compression-level", write.compression_level, "of zstd or gzip")
      ->type_name("NUMBER");
  command
      ->add_option("--codec", copy->codecs,
                   "encode a column of tensors, lists or images anew; repeatable")
      ->type_name("COLUMN=CODEC")
      ->allow_extra_args(false);
  AddBytes(command, "--memory-budget", &write.memory_budget, "2GiB",
           "held at most by the writer");
  command->add_option("--num-threads", write.num_threads, "threads that encode")
      ->type_name("NUMBER")
      ->capture_default_str();
}

}  // namespace

Action AddCopy(CLI::App* app) {
  CLI::App* command =
      app->add_subcommand("copy", "Write a table's rows as another table");
  auto copy = std::make_shared<CopyOptions>();
  command->add_option("SRC", copy->source, "a table, as the other commands take it")
      ->required();
  command
      ->add_option("DST", copy->target,
                   "the folder of the new table: a path or URI; or "
                   "catalog:NAME")
      ->required();
  copy->common.AddOptionsTo(command);
  command
      ->add_option("--target-storage-option", copy->target_storage_options,
                   "how to reach DST, where not as SRC; repeatable")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
  copy->choice.AddTo(command);
  command
      ->add_option("--mode", copy->write.mode,
                   "where DST is a table: error, append, overwrite or "
                   "overwrite_partitions")
      ->type_name("MODE")
      ->capture_default_str();
  command->add_option("--format", copy->write.format, "delta, or parquet without a log")
      ->type_name("FORMAT")
      ->capture_default_str();
  AddLayout(command, copy.get());
  command->footer(
      "Examples:\n"
      "  headrace copy lake/flights lake/sorted --format parquet --sort-by day,hour\n"
      "  headrace copy lake/flights s3://lake/delayed --where \"dep_delay > 60\" \\\n"
      "    --row-group-bytes 64MiB --partition-by month\n");
  return [copy] { return Copy(*copy); };
}

}  // namespace headrace::cli
