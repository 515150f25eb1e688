#include <headrace/catalog.h>
#include <headrace/inspect.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/schema.h>

#include <algorithm>
#include <iterator>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "pipeline/catalog.h"
#include "pipeline/chunk_check.h"
#include "pipeline/thread_executor.h"
#include "storage/storage.h"
#include "table/delta/deletion_vector.h"
#include "table/delta/log.h"
#include "table/delta/paths.h"
#include "table/footer.h"

namespace headrace {
namespace {

/// A file to verify, and the storage that has it.
struct VerifyTarget {
  std::shared_ptr<storage::Storage> storage;
  storage::FileEntry file;
  /// Which rows of it are deleted, in the table at `root`; none if absent.
  std::optional<table::delta::DeletionVector> deletion_vector = {};
  std::string root = {};
};

// The files of a version, as its log names them.
Result<std::vector<VerifyTarget>> TargetsOf(
    const table::delta::Log& log, const std::shared_ptr<storage::Storage>& storage,
    const OpenOptions& options, base::Executor& executor) {
  int64_t number = options.version.value_or(log.last());
  if (!options.as_of.empty()) {
    ARROW_ASSIGN_OR_RAISE(const int64_t time, table::delta::ParseTime(options.as_of));
    ARROW_ASSIGN_OR_RAISE(number, log.VersionAt(time, executor));
  }
  ARROW_ASSIGN_OR_RAISE(const auto version, log.Read(number, executor));
  std::vector<VerifyTarget> targets;
  for (const table::delta::AddFile& add : version.files) {
    ARROW_ASSIGN_OR_RAISE(std::string path,
                          table::delta::ResolvePath(*storage, log.root(), add.file.path));
    targets.push_back({storage,
                       {std::move(path), add.file.path, add.file.size, 0},
                       add.deletion_vector,
                       log.root()});
  }
  return targets;
}

Result<std::vector<VerifyTarget>> TargetsAt(const std::string& uri,
                                            const OpenOptions& options,
                                            base::Executor& executor) {
  std::string path;
  ARROW_ASSIGN_OR_RAISE(auto storage,
                        storage::Storage::FromUri(uri, options.storage_options, &path));
  ARROW_ASSIGN_OR_RAISE(const auto log, table::delta::Log::Open(storage, path));
  if (log) return TargetsOf(*log, storage, options, executor);
  if (options.version || !options.as_of.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 storage->Display(path) +
                     " has no versions, as it is no Delta table, and one was asked for: "
                     "verify it without");
  }
  ARROW_ASSIGN_OR_RAISE(auto files, storage->List(path));
  std::vector<VerifyTarget> targets;
  targets.reserve(files.size());
  for (storage::FileEntry& file : files) targets.push_back({storage, std::move(file)});
  return targets;
}

Result<std::vector<VerifyTarget>> ListTargets(const std::vector<std::string>& uris,
                                              const OpenOptions& options,
                                              base::Executor& executor) {
  std::vector<VerifyTarget> targets;
  std::set<std::string> seen;
  for (const std::string& uri : uris) {
    ARROW_ASSIGN_OR_RAISE(auto found, TargetsAt(uri, options, executor));
    for (VerifyTarget& target : found) {
      if (!seen.insert(target.storage->Display(target.file.path)).second) continue;
      targets.push_back(std::move(target));
    }
  }
  return targets;
}

/// Checks one file and adds what it finds to a report.
class FileVerifier {
 public:
  FileVerifier(const VerifyTarget& target, VerifyReport* report)
      : target_(target),
        path_(target.storage->Display(target.file.path)),
        report_(report) {}

  void Run() {
    // Parquet throws also where it only reads a footer that parses but makes no sense.
    try {
      Status whole = VerifyFile();
      if (!whole.ok()) AddDefect(-1, "", whole);
    } catch (const std::exception& e) {
      AddDefect(-1, "", Error(ErrorKind::kCorrupt, e.what()));
    }
  }

 private:
  Status VerifyFile() {
    pipeline::CheckedFile file;
    ARROW_ASSIGN_OR_RAISE(file.input, target_.storage->Open(target_.file));
    file.size = target_.file.size;
    ARROW_ASSIGN_OR_RAISE(table::Footer footer,
                          table::ReadFooter(*file.input, file.size, path_));
    auto reader = parquet::ParquetFileReader::Open(
        file.input, parquet::default_reader_properties(), footer.metadata);
    file.reader = reader.get();
    int64_t rows = 0;
    for (int g = 0; g < footer.metadata->num_row_groups(); ++g) {
      rows += footer.metadata->RowGroup(g)->num_rows();
      VerifyRowGroup(file, *footer.metadata, g);
    }
    if (rows != footer.metadata->num_rows()) {
      return Error(ErrorKind::kCorrupt,
                   "the footer counts " + std::to_string(footer.metadata->num_rows()) +
                       " rows, its row groups " + std::to_string(rows));
    }
    return VerifyDeletedRows(rows);
  }

  Status VerifyDeletedRows(int64_t rows) const {
    if (!target_.deletion_vector) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(const auto deleted, table::delta::ReadDeletionVector(
                                                  *target_.storage, target_.root,
                                                  *target_.deletion_vector, path_));
    if (deleted->CountIn(0, rows) == deleted->count()) return Status::OK();
    return Error(
        ErrorKind::kCorrupt,
        "the deletion vector names rows beyond the file's " + std::to_string(rows));
  }

  void VerifyRowGroup(const pipeline::CheckedFile& file,
                      const parquet::FileMetaData& metadata, int group) {
    report_->row_groups += 1;
    for (int c = 0; c < metadata.num_columns(); ++c) {
      pipeline::PageCounts counts;
      Status status = pipeline::CheckColumnChunk(file, group, c, &counts);
      report_->pages += counts.pages;
      report_->pages_with_checksum += counts.with_checksum;
      if (!status.ok()) {
        AddDefect(group, metadata.schema()->Column(c)->path()->ToDotString(), status);
      }
    }
  }

  void AddDefect(int row_group, std::string column, const Status& status) {
    std::string message = MessageOf(status);
    // A defect names its path beside the message.
    if (std::string prefix = path_ + ": "; message.rfind(prefix, 0) == 0) {
      message.erase(0, prefix.size());
    }
    report_->defects.push_back({path_, row_group, std::move(column), std::move(message)});
  }

  const VerifyTarget& target_;
  const std::string path_;
  VerifyReport* report_;
};

std::string Counted(int64_t n, const char* noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

}  // namespace

Result<VerifyReport> Verify(const std::vector<std::string>& uris,
                            const OpenOptions& options, const Progress& progress) {
  if (uris.empty()) {
    return Error(ErrorKind::kInvalidArgument, "verify needs at least one URI");
  }
  if (uris[0].starts_with(kCatalogScheme) && uris.size() == 1) {
    ARROW_ASSIGN_OR_RAISE(const auto place, pipeline::PlaceOfName(uris[0], options));
    return Verify(place.uris, place.options, progress);
  }
  pipeline::ThreadExecutor executor(options.num_threads);
  ARROW_ASSIGN_OR_RAISE(std::vector<VerifyTarget> targets,
                        ListTargets(uris, options, executor));
  // Files are verified at once, and reported in the order that they were listed in.
  const auto total = static_cast<int64_t>(targets.size());
  std::vector<VerifyReport> reports(targets.size());
  std::mutex mutex;
  int64_t done = 0;
  if (progress) progress(0, total);
  ARROW_RETURN_NOT_OK(executor.ForEach(total, [&](int64_t i) {
    FileVerifier(targets[i], &reports[i]).Run();
    std::lock_guard lock(mutex);
    ++done;
    if (progress) progress(done, total);
    return Status::OK();
  }));
  VerifyReport all;
  all.files = total;
  for (VerifyReport& report : reports) {
    all.row_groups += report.row_groups;
    all.pages += report.pages;
    all.pages_with_checksum += report.pages_with_checksum;
    std::move(report.defects.begin(), report.defects.end(),
              std::back_inserter(all.defects));
  }
  return all;
}

std::string VerifyReport::ToString() const {
  std::string text;
  for (const Defect& defect : defects) {
    text += defect.path;
    if (defect.row_group >= 0) {
      text += ": row group " + std::to_string(defect.row_group) + ", column \"" +
              defect.column + "\"";
    }
    text += ": " + defect.message + "\n";
  }
  text += Counted(files, "file") + ", " + Counted(row_groups, "row group") + ", " +
          Counted(pages, "page") + " (" + std::to_string(pages_with_checksum) +
          " with a checksum): " +
          (defects.empty() ? "no defects"
                           : Counted(static_cast<int64_t>(defects.size()), "defect"));
  return text;
}

std::string VerifyReport::ToJson() const {
  nlohmann::ordered_json json = {{"files", files},
                                 {"row_groups", row_groups},
                                 {"pages", pages},
                                 {"pages_with_checksum", pages_with_checksum},
                                 {"defects", nlohmann::ordered_json::array()}};
  for (const Defect& defect : defects) {
    nlohmann::ordered_json entry = {{"path", defect.path}};
    if (defect.row_group >= 0) {
      entry["row_group"] = defect.row_group;
      entry["column"] = defect.column;
    }
    entry["message"] = defect.message;
    json["defects"].push_back(std::move(entry));
  }
  return base::JsonText(json);
}

}  // namespace headrace
