/// \file
/// Dataset: a lazy, immutable choice over one version of a table.
#pragma once

#include <arrow/type_fwd.h>
#include <headrace/column_policy.h>
#include <headrace/image.h>
#include <headrace/result.h>
#include <headrace/schema.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace arrow::compute {
class Expression;
}

namespace headrace {

/// Called now and then with what is done and all there is to do, by one thread at a time.
using Progress = std::function<void(int64_t done, int64_t total)>;

/// A moment: text in the form of a date or timestamp of filters ("2026-11-01",
/// "2026-11-01T06:00Z"), or an integer since the epoch, which counts seconds below 10^11,
/// milliseconds below 10^14, microseconds below 10^17, else nanoseconds.
using Moment = std::variant<int64_t, std::string>;

/// Rows whose time is in [start, end), as `Dataset::Between` takes them.
struct TimeRange {
  Moment start = {};
  Moment end = {};
  /// Absent: the table's one column of time.
  std::optional<std::string> column = {};
};

/// Where a table lies and how to reach it.
struct OpenOptions {
  /// Storage: `endpoint_override`, `access_key`, `secret_key`, `session_token`, `region`,
  /// `scheme`, `anonymous`, ... (docs/guide/storage.md). Never printed.
  std::map<std::string, std::string> storage_options = {};
  /// Types of Hive partition columns by name ("int16", "string", "date32", ...); columns
  /// not named are inferred: int32, int64, date32, else string.
  std::map<std::string, std::string> partition_types = {};
  /// Of a table with versions (Delta): which one, by number, or by a time such as
  /// "2026-11-01T00:00Z" (UTC where it names no offset): the last one committed by then.
  /// Neither: the last. InvalidArgument for both.
  std::optional<int64_t> version = {};
  std::string as_of = {};
  /// The version `version` of the table at the one URI as actions of a Delta log, a JSON
  /// object a line, for tables whose files something else names (an Iceberg catalog).
  std::string actions = {};
  /// Of a list of directories below one of a table: that one, for partition columns are
  /// read from paths below it. Empty: below what all files have in common.
  std::string root = {};
  /// Rows that are wanted, as `Where` and `Between` take them; empty, absent: all. Of one
  /// directory of plain Parquet, directories of partitions which they rule out are not
  /// listed, and are no part of what is opened: schema, row ids, counts and fingerprint
  /// are those of the files that are left (docs/guide/filters.md).
  std::string where = {};
  std::optional<TimeRange> between = {};
  /// Fields of columns, dotted names included, whose files do not say how their cells are
  /// encoded, or say it otherwise.
  std::optional<Schema> schema = {};
  /// Where survivor counts of filters are remembered between processes; empty: nowhere.
  std::string cache_folder = {};
  /// The catalog that "catalog:prod.flights" is looked up in (catalog.h).
  std::string catalog = {};
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
  /// The whole table, needed columns only. Of files that the log alone leaves out, all
  /// bytes, and no row groups.
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
  /// a list of those; or the table of a name, "catalog:prod.flights@train-2026-11"
  /// (catalog.h). Reads every footer once. Errors: NotFound, Corrupt (naming the
  /// file), SchemaMismatch (naming file and column, or a field that no column is of),
  /// Denied, Unavailable.
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

  /// Columns in the order given; dotted names reach nested fields. `row_id` adds, last,
  /// the int64 column `row_id` of each row's id (row_id.h), and takes no columns for
  /// those there are; InvalidArgument if the table stores a column of that name.
  Result<Dataset> Select(const std::vector<std::string>& columns,
                         bool row_id = false) const;
  /// Rows for which the filter is true (null counts as false). A second call narrows
  /// further. The grammar is in docs/guide/filters.md. The filter sees stored columns.
  Result<Dataset> Where(std::string_view filter) const;
  Result<Dataset> Where(const arrow::compute::Expression& filter) const;
  /// Rows whose time is in [start, end): a `Where` on a time column. Absent: the table's
  /// one partition column of time, or its one column of dates or timestamps. Partition
  /// columns `year`, `month`, `day`, `hour`, `minute`, or a date and `hour`, are one
  /// time; integers are a time if they are partition values. InvalidArgument where there
  /// is none or a choice, and where a bound is finer than the column
  /// (docs/guide/filters.md).
  Result<Dataset> Between(const Moment& start, const Moment& end,
                          const std::optional<std::string>& column = {}) const;
  /// Types by name: "float32", "bfloat16", "int64", ... A cast that would overflow or
  /// truncate an integer is an error when it is met; decimal -> float64 must be asked for
  /// by this.
  Result<Dataset> Cast(const std::map<std::string, std::string>& types) const;
  Result<Dataset> Nulls(const std::map<std::string, NullPolicy>& policies) const;
  Result<Dataset> Ragged(const std::map<std::string, RaggedPolicy>& policies) const;
  Result<Dataset> Codes(const std::map<std::string, CodesPolicy>& policies) const;
  /// As `Codes`, but as float32 of (batch, vocabulary): 1 at the code, else 0. Nulls are
  /// filled by text; masked ones are all 0.
  Result<Dataset> OneHot(const std::map<std::string, CodesPolicy>& policies) const;
  /// Columns of numbers, by policies that `FitFeatures` found or that were known before.
  Result<Dataset> Standardize(
      const std::map<std::string, StandardizePolicy>& policies) const;
  /// Image operations by column: encoded images of any format and size in a binary
  /// column, or the images of a field. A column's later operations replace its earlier
  /// ones.
  Result<Dataset> Map(const std::map<std::string, ImageOps>& ops) const;
  /// The packed columns leave the batch; the tensor takes the place of the first of them.
  Result<Dataset> Pack(const std::string& name,
                       const std::vector<std::string>& columns) const;
  Result<Dataset> OnError(ErrorPolicy policy) const;

  using NamedFraction = std::pair<std::string, double>;
  using NamedDataset = std::pair<std::string, Dataset>;
  /// Cuts the rows into datasets by a hash of a column, keyed by the seed: rows of one
  /// key are in one split, whatever else the table holds; null is a key as well. `by`: a
  /// column of integers, booleans, text, bytes, dates or times; absent: the row id.
  /// Fractions are positive and their sum is 1. A split is a filter (`split_key` in
  /// docs/guide/filters.md); nothing is read.
  Result<std::vector<NamedDataset>> Split(const std::vector<NamedFraction>& fractions,
                                          const std::optional<std::string>& by = {},
                                          uint64_t seed = 0) const;

  /// The selected columns, with `Cast` applied.
  const std::shared_ptr<arrow::Schema>& schema() const;
  /// Rows that pass the filter. Reads nothing where statistics decide.
  Result<int64_t> CountRows() const;
  /// `Select`, `Where` and `Cast` applied, in stored order, read as the reader is pulled.
  /// `decode`: cells of field codecs come as `arrow.fixed_shape_tensor`, lists, or
  /// `arrow.variable_shape_tensor`.
  Result<std::shared_ptr<arrow::RecordBatchReader>> ToReader(bool decode = false) const;
  /// As `ToReader`, all at once.
  Result<std::shared_ptr<arrow::Table>> ToTable(bool decode = false) const;
  /// The rows of these ids in the order asked, with `Select` and `Cast` applied (not
  /// `Where`: the id says which row). Reads only the pages needed. NotFound if the table
  /// has no such row.
  Result<std::shared_ptr<arrow::Table>> Take(std::span<const int64_t> row_ids) const;
  /// Plans the scan without reading data pages.
  Result<ScanSummary> Explain() const;

  /// The version that was opened; absent for plain Parquet, which has none.
  std::optional<int64_t> version() const;
  /// Identity of the version: a hash over relative paths, sizes and footer checksums; of
  /// Delta, over the table's id and the version.
  const std::string& fingerprint() const;
  /// Table and choice, as users read them.
  std::string ToString() const;
  /// Table (with its fingerprint and counts) and choice; a later `FromJson` checks them.
  /// Holds the storage options, so treat it as a secret where they are.
  std::string ToJson() const;

 private:
  friend class DatasetAccess;
  explicit Dataset(std::shared_ptr<const DatasetImpl> impl);
  Result<Dataset> SelectWithRowId(std::vector<std::string> columns) const;
  std::shared_ptr<const DatasetImpl> impl_;
};

}  // namespace headrace
