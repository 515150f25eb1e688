/// \file
/// Dataset: a lazy, immutable choice over one version of a table.
#pragma once

#include <arrow/type_fwd.h>
#include <headrace/column_policy.h>
#include <headrace/image.h>
#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace arrow::compute {
class Expression;
}

namespace headrace {

/// Called now and then with what is done and all there is to do, by one thread at a time.
using Progress = std::function<void(int64_t done, int64_t total)>;

/// Where a table lies and how to reach it.
struct OpenOptions {
  /// Storage: `endpoint_override`, `access_key`, `secret_key`, `session_token`, `region`,
  /// `scheme`, `anonymous`, ... (docs/guide/storage.md). Never printed.
  std::map<std::string, std::string> storage_options = {};
  /// Types of Hive partition columns by name ("int16", "string", "date32", ...); columns
  /// not named are inferred: int32, int64, date32, else string.
  std::map<std::string, std::string> partition_types = {};
  /// Where survivor counts of filters are remembered between processes; empty: nowhere.
  std::string cache_folder = {};
  /// Threads that read footers and count survivors.
  int num_threads = 8;
};

/// What a scan will touch, before and after pruning.
struct ScanSummary {
  struct Counts {
    int64_t files = 0;
    int64_t row_groups = 0;
    int64_t rows = 0;
    /// Compressed bytes of the needed columns.
    int64_t bytes = 0;
  };
  /// The whole table, needed columns only.
  Counts before;
  /// After partitions, statistics and bloom filters.
  Counts after;
  /// Rows in row groups where statistics prove that every row passes.
  int64_t rows_proven = 0;
  std::vector<std::string> columns_read;
  std::string filter;

  std::string ToString() const;
  std::string ToJson() const;
};

struct DatasetImpl;

/// A lazy choice over one version of a table: columns, rows, and how they become tensors.
/// Pinned when opened: later changes of the files are an error, never other rows.
///
/// Thread-safety: immutable; every method may be called from any thread.
class Dataset {
 public:
  /// Opens Parquet where it lies: a file, a directory (Hive partitions found), a glob, or
  /// a list of those. Reads every footer once. Errors: NotFound, Corrupt (naming the
  /// file), SchemaMismatch (naming file and column), Denied, Unavailable.
  static Result<Dataset> Open(const std::string& uri, const OpenOptions& options = {});
  static Result<Dataset> Open(const std::vector<std::string>& uris,
                              const OpenOptions& options = {});
  /// Opens what `ToJson` described; Conflict if the files changed since.
  static Result<Dataset> FromJson(const std::string& json);

  Dataset(const Dataset&);
  Dataset(Dataset&&) noexcept;
  Dataset& operator=(const Dataset&);
  Dataset& operator=(Dataset&&) noexcept;
  ~Dataset();

  /// Columns in the order given; dotted names reach nested fields.
  Result<Dataset> Select(const std::vector<std::string>& columns) const;
  /// Rows for which the filter is true (null counts as false). A second call narrows
  /// further. The grammar is in docs/guide/filters.md. The filter sees stored columns.
  Result<Dataset> Where(std::string_view filter) const;
  Result<Dataset> Where(const arrow::compute::Expression& filter) const;
  /// Types by name: "float32", "bfloat16", "int64", ... A cast that would overflow or
  /// truncate an integer is an error when it is met; decimal -> float64 must be asked for
  /// by this.
  Result<Dataset> Cast(const std::map<std::string, std::string>& types) const;
  Result<Dataset> Nulls(const std::map<std::string, NullPolicy>& policies) const;
  Result<Dataset> Ragged(const std::map<std::string, RaggedPolicy>& policies) const;
  Result<Dataset> Codes(const std::map<std::string, CodesPolicy>& policies) const;
  /// Image operations by column: encoded images of any format and size in a binary
  /// column, or the images of a field. A column's later operations replace its earlier
  /// ones.
  Result<Dataset> Map(const std::map<std::string, ImageOps>& ops) const;
  /// The packed columns leave the batch; the tensor takes the place of the first of them.
  Result<Dataset> Pack(const std::string& name,
                       const std::vector<std::string>& columns) const;
  Result<Dataset> OnError(ErrorPolicy policy) const;

  /// The selected columns, with `Cast` applied.
  const std::shared_ptr<arrow::Schema>& schema() const;
  /// Rows that pass the filter. Reads nothing where statistics decide.
  Result<int64_t> CountRows() const;
  /// `Select`, `Where` and `Cast` applied, in stored order, read as the reader is pulled.
  Result<std::shared_ptr<arrow::RecordBatchReader>> ToReader() const;
  /// As `ToReader`, all at once.
  Result<std::shared_ptr<arrow::Table>> ToTable() const;
  /// Plans the scan without reading data pages.
  Result<ScanSummary> Explain() const;

  /// Identity of the version: a hash over relative paths, sizes and footer checksums.
  const std::string& fingerprint() const;
  /// Table and choice, as users read them.
  std::string ToString() const;
  /// Table (with its fingerprint and counts) and choice; a later `FromJson` checks them.
  /// Holds the storage options, so treat it as a secret where they are.
  std::string ToJson() const;

 private:
  friend class DatasetAccess;
  explicit Dataset(std::shared_ptr<const DatasetImpl> impl);
  std::shared_ptr<const DatasetImpl> impl_;
};

}  // namespace headrace
