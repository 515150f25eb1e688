#include <arrow/compute/initialize.h>
#include <arrow/record_batch.h>
#include <headrace/catalog.h>
#include <headrace/write.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/json_text.h"
#include "pipeline/catalog.h"
#include "pipeline/delta_writing.h"
#include "pipeline/size_text.h"
#include "pipeline/thread_executor.h"
#include "pipeline/write_files.h"
#include "storage/storage.h"
#include "writer/stored_rows.h"

namespace headrace {
namespace {

using Clock = std::chrono::steady_clock;

// Storage, what is there, and what is to become of it.
struct WriteTarget {
  std::shared_ptr<storage::Storage> storage;
  std::string root;
  std::vector<storage::FileEntry> present;

  static Result<WriteTarget> Find(const std::string& uri, const WriteOptions& options) {
    ARROW_ASSIGN_OR_RAISE(auto place, pipeline::TablePlace::Of(uri, options));
    WriteTarget target{std::move(place.storage), std::move(place.root), {}};
    ARROW_ASSIGN_OR_RAISE(
        const auto log,
        target.storage->ListAll(target.root + "/_delta_log", /*recursive=*/false));
    if (!log.empty()) {
      return Error(
          ErrorKind::kConflict,
          target.storage->Display(target.root) +
              " is a Delta table, of which files without a log would be no part: "
              "choose format \"delta\", or write elsewhere");
    }
    auto present = target.storage->List(target.root);
    if (present.ok()) {
      target.present = *std::move(present);
    } else if (KindOf(present.status()) != ErrorKind::kNotFound) {
      return present.status();
    }
    const bool is_file =
        target.present.size() == 1 && target.present[0].path == target.root;
    if (is_file || (!target.present.empty() && options.mode == "error")) {
      return Error(
          ErrorKind::kConflict,
          target.storage->Display(target.root) +
              (is_file ? " is a file, expected a folder or nothing"
                       : " has " + std::to_string(target.present.size()) +
                             " data files already: choose mode append, overwrite "
                             "or overwrite_partitions, or write elsewhere"));
    }
    return target;
  }

  // Files that the new ones take the place of.
  std::vector<std::string> Replaced(const WriteOptions& options,
                                    const std::vector<table::DataFile>& written) const {
    std::set<std::string> partitions;
    auto directory = [](const std::string& path) {
      return path.substr(0, path.rfind('/') + 1);
    };
    for (const table::DataFile& file : written) partitions.insert(directory(file.path));
    std::vector<std::string> replaced;
    for (const storage::FileEntry& file : present) {
      if (options.mode == "overwrite" ||
          (options.mode == "overwrite_partitions" &&
           partitions.count(directory(file.relative_path)) > 0)) {
        replaced.push_back(file.path);
      }
    }
    return replaced;
  }
};

// With two digits after the point.
std::string Rounded(double number) {
  char text[64];
  const auto end =
      std::to_chars(text, text + sizeof(text), number, std::chars_format::fixed, 2);
  return {text, end.ptr};
}

std::string Count(int64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

Result<WriteSummary> WriteParquet(arrow::RecordBatchReader* data, const std::string& uri,
                                  const WriteOptions& options, const Progress& progress) {
  ARROW_ASSIGN_OR_RAISE(auto rows,
                        writer::StoredRows::Make(*data->schema(), options.schema,
                                                 writer::TypeRules::kParquet));
  ARROW_ASSIGN_OR_RAISE(const WriteTarget target, WriteTarget::Find(uri, options));
  ARROW_ASSIGN_OR_RAISE(pipeline::Written written,
                        pipeline::WriteFiles(data, std::move(rows), options,
                                             *target.storage, target.root, progress));
  const auto replaced = target.Replaced(options, written.files);
  for (const std::string& path : replaced) {
    ARROW_RETURN_NOT_OK(target.storage->Delete(path));
  }
  written.summary.files_replaced = static_cast<int64_t>(replaced.size());
  return std::move(written.summary);
}

Result<WriteSummary> WriteDelta(arrow::RecordBatchReader* data, const std::string& uri,
                                WriteOptions options, const Progress& progress) {
  ARROW_ASSIGN_OR_RAISE(const auto place, pipeline::TablePlace::Of(uri, options));
  const auto& [storage, root] = place;
  pipeline::ThreadExecutor executor(options.num_threads);
  ARROW_ASSIGN_OR_RAISE(auto writing,
                        pipeline::DeltaWriting::Begin(storage, root, options, executor));
  options.partition_by = writing.partition_by();
  ARROW_ASSIGN_OR_RAISE(
      auto rows,
      writer::StoredRows::Make(*data->schema(), writing.DeclaredSchema(*data->schema()),
                               writer::TypeRules::kDelta));
  ARROW_RETURN_NOT_OK(writing.Check(*rows.schema()));
  ARROW_RETURN_NOT_OK(writing.Announce());
  ARROW_ASSIGN_OR_RAISE(
      pipeline::Written written,
      pipeline::WriteFiles(data, std::move(rows), options, *storage, root, progress));
  ARROW_RETURN_NOT_OK(writing.CommitWritten(&written, executor));
  return std::move(written.summary);
}

}  // namespace

Result<WriteSummary> Write(const std::shared_ptr<arrow::RecordBatchReader>& data,
                           const std::string& uri, const WriteOptions& options,
                           const Progress& progress) {
  if (uri.starts_with(kCatalogScheme)) {
    return pipeline::WriteByName(data, uri, options, progress);
  }
  const auto begin = Clock::now();
  static const Status initialized = arrow::compute::Initialize();
  ARROW_RETURN_NOT_OK(initialized);
  ARROW_RETURN_NOT_OK(pipeline::CheckWriteOptions(options));
  if (options.format != "delta" && options.format != "parquet") {
    return Error(ErrorKind::kInvalidArgument,
                 "format is \"" + options.format + "\", expected delta or parquet");
  }
  auto written = options.format == "delta"
                     ? WriteDelta(data.get(), uri, options, progress)
                     : WriteParquet(data.get(), uri, options, progress);
  if (written.ok()) {
    written->seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  return written;
}

std::string WriteSummary::ToJson() const {
  nlohmann::json j = {{"uri", uri},
                      {"rows", rows},
                      {"files", files},
                      {"row_groups", row_groups},
                      {"bytes", bytes},
                      {"partitions", partitions},
                      {"files_replaced", files_replaced},
                      {"bytes_spilled", bytes_spilled},
                      {"memory_peak", memory_peak},
                      {"memory_budget", memory_budget},
                      {"memory_floor", memory_floor},
                      {"seconds", seconds}};
  j["version"] = version ? nlohmann::json(*version) : nlohmann::json(nullptr);
  j["catalog_error"] =
      catalog_error.empty() ? nlohmann::json(nullptr) : nlohmann::json(catalog_error);
  return base::JsonText(j);
}

std::string WriteSummary::ToString() const {
  std::string text = Count(rows, "row") + " in " + Count(files, "file");
  if (partitions > 0) text += " of " + Count(partitions, "partition");
  text += " (" + Count(row_groups, "row group") + ", " + pipeline::SizeText(bytes) +
          ") in " + Rounded(seconds) + " s to " + uri;
  if (version) text += ", version " + std::to_string(*version);
  if (files_replaced > 0) {
    text += ", in the place of " + Count(files_replaced, "file");
  }
  if (!catalog_error.empty()) text += "; the catalog was not told: " + catalog_error;
  return text;
}

}  // namespace headrace
