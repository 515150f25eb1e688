// Compacting: small files of a table, rewritten as larger ones.

#include <headrace/write.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/delta_table.h"
#include "pipeline/scan_reader.h"
#include "pipeline/write_files.h"
#include "table/delta/protocol.h"

namespace headrace {
namespace {

using table::delta::AddFile;
using table::delta::Version;

/// The files that are to be rewritten.
std::vector<const AddFile*> ChosenOf(const Version& version, int64_t file_bytes) {
  std::map<decltype(table::DataFile::partition_values), std::vector<const AddFile*>>
      small;
  std::vector<const AddFile*> chosen;
  for (const AddFile& add : version.files) {
    if (add.deletion_vector) {
      chosen.push_back(&add);
    } else if (add.file.size < file_bytes / 2) {
      small[add.file.partition_values].push_back(&add);
    }
  }
  for (const auto& [partition, files] : small) {
    if (files.size() > 1) chosen.insert(chosen.end(), files.begin(), files.end());
  }
  return chosen;
}

/// The rows of those files.
Result<std::shared_ptr<arrow::RecordBatchReader>> RowsOf(
    const Dataset& dataset, const std::vector<const AddFile*>& chosen,
    base::Executor& executor) {
  auto impl = std::make_shared<DatasetImpl>(DatasetAccess::Impl(dataset));
  std::set<std::string_view> paths;
  for (const AddFile* add : chosen) paths.insert(add->file.path);
  for (const table::Fragment& fragment : impl->table->fragments()) {
    impl->files.push_back(paths.contains(fragment.relative_path) ? 1 : 0);
  }
  return pipeline::ScanReader::Make(std::move(impl), executor);
}

table::delta::CommitSpec SpecOf(const Version& version,
                                const std::vector<const AddFile*>& chosen,
                                const pipeline::Written& written) {
  table::delta::CommitSpec spec;
  spec.operation = "OPTIMIZE";
  spec.parameters = {{"predicate", "[]"}};
  spec.metrics = {{"numRemovedFiles", static_cast<int64_t>(chosen.size())},
                  {"numAddedFiles", static_cast<int64_t>(written.files.size())}};
  spec.GoBy(version);
  const int64_t now = base::NowMs();
  for (const AddFile* add : chosen) {
    spec.removes.push_back({add->file.path, add->deletion_vector, now, false});
  }
  for (const table::DataFile& file : written.files) {
    spec.adds.push_back({.file = file, .data_change = false});
  }
  return spec;
}

}  // namespace

Result<WriteSummary> Compact(const std::string& uri, const WriteOptions& given,
                             const Progress& progress) {
  const auto begin = std::chrono::steady_clock::now();
  OpenOptions open;
  open.storage_options = given.storage_options;
  ARROW_ASSIGN_OR_RAISE(const auto table, pipeline::DeltaTable::Open(uri, open));
  pipeline::ThreadExecutor executor(std::max(given.num_threads, 1));
  ARROW_ASSIGN_OR_RAISE(const Version version,
                        table.log.Read(table.log.last(), executor));
  ARROW_RETURN_NOT_OK(table.CheckWritable(version, /*removes_rows=*/false));
  const auto chosen = ChosenOf(version, given.file_bytes);
  WriteSummary nothing;
  nothing.uri = table.storage->Display(table.root);
  nothing.version = version.number;
  if (chosen.empty()) return nothing;
  open.version = version.number;
  ARROW_ASSIGN_OR_RAISE(const Dataset dataset, Dataset::Open(uri, open));
  ARROW_ASSIGN_OR_RAISE(const auto data, RowsOf(dataset, chosen, executor));
  WriteOptions options = given;
  options.format = "delta";
  options.partition_by = version.metadata.partition_columns;
  ARROW_ASSIGN_OR_RAISE(auto rows, writer::StoredRows::Make(*data->schema(), {},
                                                            writer::TypeRules::kDelta));
  ARROW_ASSIGN_OR_RAISE(pipeline::Written written,
                        pipeline::WriteFiles(data.get(), std::move(rows), options,
                                             *table.storage, table.root, progress));
  auto committed = table.Commit(SpecOf(version, chosen, written), executor);
  if (!committed.ok()) {
    // A commit whose answer was lost may stand: its files are left to `Vacuum`.
    if (KindOf(committed.status()) == ErrorKind::kConflict) {
      pipeline::DeleteFiles(*table.storage, table.root, written.files);
    }
    return committed.status();
  }
  written.summary.version = *committed;
  written.summary.files_replaced = static_cast<int64_t>(chosen.size());
  written.summary.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return std::move(written.summary);
}

}  // namespace headrace
