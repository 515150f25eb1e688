// Any bytes as a Parquet file: opening, verifying, counting, scanning and loading it end
// in rows or in an error of a kind that users can act on, which names the file. The ways
// agree on how many rows there are, and what verify calls sound is read.
#include <arrow/filesystem/mockfs.h>
#include <arrow/table.h>
#include <headrace/dataset.h>
#include <headrace/inspect.h>
#include <headrace/loader.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "storage/system.h"

namespace {

using headrace::Dataset;
using headrace::ErrorKind;
using headrace::KindOf;
using headrace::Status;

constexpr const char* kUri = "bytes://lake/x.parquet";
// A few bytes may stand for any number of equal rows: those are read elsewhere.
constexpr int64_t kRowsMax = 1 << 16;

std::string& Bytes() {
  static std::string bytes;
  return bytes;
}

headrace::Result<headrace::storage::System> MakeSystem(
    const std::string& /*uri*/, const headrace::storage::OptionMap& /*options*/) {
  const auto filesystem =
      std::make_shared<arrow::fs::internal::MockFileSystem>(arrow::fs::TimePoint{});
  ARROW_RETURN_NOT_OK(filesystem->CreateDir("lake"));
  ARROW_RETURN_NOT_OK(filesystem->CreateFile("lake/x.parquet", Bytes()));
  return headrace::storage::System{filesystem, "lake/x.parquet", "bytes://"};
}

void Require(bool holds, const char* what, const std::string& found) {
  if (holds) return;
  std::fprintf(stderr, "%s: %s\n", what, found.c_str());
  std::abort();
}

void CheckRefusal(const Status& status) {
  const ErrorKind kind = KindOf(status);
  Require(kind != ErrorKind::kInternal && kind != ErrorKind::kUnavailable &&
              kind != ErrorKind::kNotFound && kind != ErrorKind::kDenied,
          "an error of the wrong kind", status.ToString());
  if (kind != ErrorKind::kCorrupt) return;
  Require(status.message().find(kUri) != std::string::npos, "an error that names no file",
          status.ToString());
}

/// Rows that a loader delivers, or -1 if it refuses.
int64_t Load(const Dataset& dataset, bool shuffle) {
  headrace::LoaderOptions options;
  options.batch_size = 7;
  options.shuffle = shuffle;
  options.shuffle_window_rows = 64;
  options.num_threads = 1;
  options.arrow = true;
  auto loader = headrace::Loader::Make(dataset, options);
  if (!loader.ok()) {
    CheckRefusal(loader.status());
    return -1;
  }
  int64_t rows = 0;
  for (;;) {
    auto batch = (*loader)->Next();
    if (!batch.ok()) {
      CheckRefusal(batch.status());
      return -1;
    }
    if (!*batch) return rows;
    rows += (*batch)->rows;
  }
}

void LoadSkipping(const Dataset& dataset) {
  auto skipping = dataset.OnError(headrace::ErrorPolicy::kSkip);
  Require(skipping.ok(), "on_error", "");
  Load(*skipping, /*shuffle=*/false);
}

void CountSome(const Dataset& dataset, int64_t all) {
  const auto& field = dataset.schema()->field(0);
  auto filtered = dataset.Where("\"" + field->name() + "\" is not null");
  if (!filtered.ok()) return;  // a name that is no column, as with a dot
  auto rows = filtered->CountRows();
  if (!rows.ok()) return CheckRefusal(rows.status());
  Require(*rows >= 0 && *rows <= all, "more rows than there are", std::to_string(*rows));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const bool added = [] {
    headrace::storage::AddScheme("bytes", MakeSystem);
    return true;
  }();
  (void)added;
  Bytes().assign(reinterpret_cast<const char*>(bytes), size);
  headrace::OpenOptions options;
  options.num_threads = 1;
  const auto report = headrace::Verify({kUri}, options);
  Require(report.ok(), "verify", report.ok() ? "" : report.status().ToString());
  const auto dataset = Dataset::Open(kUri, options);
  if (!dataset.ok()) {
    CheckRefusal(dataset.status());
    return 0;
  }
  const auto info = headrace::Inspect(*dataset);
  if (!info.ok()) CheckRefusal(info.status());
  const auto rows = dataset->CountRows();
  Require(rows.ok(), "count", rows.ok() ? "" : rows.status().ToString());
  if (*rows > kRowsMax || dataset->schema()->num_fields() == 0) return 0;
  CountSome(*dataset, *rows);
  const auto table = dataset->ToTable();
  if (table.ok()) {
    Require((*table)->num_rows() == *rows, "to_arrow", std::to_string(*rows));
    const Status valid = (*table)->Validate();
    Require(valid.ok(), "an invalid table", valid.ToString());
  } else {
    CheckRefusal(table.status());
    Require(KindOf(table.status()) != ErrorKind::kCorrupt || !report->defects.empty(),
            "verify found nothing, reading did", table.status().ToString());
  }
  for (const bool shuffle : {false, true}) {
    const int64_t loaded = Load(*dataset, shuffle);
    Require(loaded == -1 || loaded == *rows, "the loader", std::to_string(loaded));
  }
  LoadSkipping(*dataset);
  return 0;
}
