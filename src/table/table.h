/// \file
/// Table: one version of named rows on storage, known by its files' footers.
#pragma once

#include <arrow/scalar.h>
#include <arrow/type.h>
#include <headrace/result.h>
#include <parquet/metadata.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/executor.h"
#include "storage/storage.h"
#include "table/deleted_rows.h"
#include "table/delta/log.h"
#include "table/footer.h"
#include "table/footer_cache.h"
#include "table/part.h"
#include "table/partition.h"

namespace headrace::table {

/// The virtual column `row_id`: int64, without nulls.
std::shared_ptr<arrow::Field> RowIdField();

/// A row group, in 16 bytes: a table may have a million.
struct RowGroup {
  int64_t rows = 0;
  /// Uncompressed bytes of all columns.
  int64_t stored_bytes : 63 = 0;
  /// Every column chunk has an offset index, so that any row can be reached.
  uint64_t has_offset_index : 1 = 0;
};

/// A data file.
struct Fragment {
  storage::FileEntry file;
  /// Below the table's root: what is numbered and fingerprinted.
  std::string relative_path;
  uint64_t footer_checksum = 0;
  /// Deleted ones too.
  int64_t rows = 0;
  /// The fragment's row groups are table.row_groups()[first_row_group ...]; none if its
  /// footer was not read.
  int64_t first_row_group = 0;
  int row_group_count = 0;
  bool has_footer = false;
  /// Parallel to table.partition_fields(); null scalars for __HIVE_DEFAULT_PARTITION__.
  std::vector<std::shared_ptr<arrow::Scalar>> partition_values;
  /// Delta's statistics; empty: none.
  std::string stats;
  /// Null: no row is deleted. `deleted` is there once the footer is.
  std::shared_ptr<const delta::DeletionVector> deletion_vector;
  std::shared_ptr<const DeletedRows> deleted;
  int64_t deleted_count = 0;
};

struct TableOptions {
  std::map<std::string, std::string> storage_options = {};
  std::map<std::string, std::string> partition_types = {};
  /// Of a table with versions: which, by number or by time (milliseconds since the
  /// epoch); neither: the last.
  std::optional<int64_t> version = {};
  std::optional<int64_t> as_of_ms = {};
  /// The version `version` of the table at the one URI, as actions of a Delta log, which
  /// then need not be there. Empty: the table says itself what it is.
  std::string actions = {};
  /// The directory below which relative paths begin; empty: what was opened, or what all
  /// files of a list have in common.
  std::string root = {};
  /// Of one folder of plain Parquet: what rules directories out, which then are no part
  /// of what is opened; empty: nothing does.
  PartRule part = {};
  /// Bytes of parsed footers kept; the rest is read again when needed.
  int64_t footer_cache_bytes = int64_t{64} << 20;
};

/// A step of a column's path in files: its name there and, where files are to be searched
/// by it, its id.
struct FileField {
  std::string name;
  std::optional<int32_t> id = {};
};

/// Of a field of mapped_schema().
FileField FileFieldOf(const arrow::Field& field);

/// Immutable but for caches; thread-safe.
class Table {
 public:
  /// Plain Parquet: lists, reads all footers (in parallel, once), unifies their schemas;
  /// of a part, what it rules out excepted.
  /// Delta (one URI, with a log): replays the log; reads the footers of such files alone
  /// whose rows the log does not count. NotFound for a version that is not there;
  /// InvalidArgument for a version of a table that has none.
  static Result<std::shared_ptr<const Table>> Open(const std::vector<std::string>& uris,
                                                   const TableOptions& options,
                                                   base::Executor& executor);

  /// The table with the footers and deletion vectors of the files read for which `wanted`
  /// (parallel to fragments(); empty: all) is not 0: only those have row groups. Itself
  /// if it has them all. What was read once is kept.
  static Result<std::shared_ptr<const Table>> Load(std::shared_ptr<const Table> table,
                                                   std::span<const uint8_t> wanted,
                                                   base::Executor& executor);

  /// "parquet", "delta", or "iceberg" (given as actions).
  const char* format() const {
    if (!options_.actions.empty()) return "iceberg";
    return version_ ? "delta" : "parquet";
  }
  /// Absent for plain Parquet.
  std::optional<int64_t> version() const { return version_; }
  /// As given; local paths are absolute.
  const std::vector<std::string>& uris() const { return uris_; }
  /// File columns (the first file's order, later files' new columns after), then
  /// partition columns. A column that any file lacks is nullable.
  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }
  /// What can be named: `schema`, and after it the virtual column `row_id` (row_id.h),
  /// unless a stored column is of that name.
  const std::shared_ptr<arrow::Schema>& named_schema() const { return named_schema_; }
  bool stores_row_id() const { return named_schema_ == schema_; }
  const arrow::FieldVector& partition_fields() const { return partition_fields_; }
  /// Those with their values, also of directories that were ruled out. REQUIRES: the
  /// table outlives it.
  PartitionColumns partition_columns() const;
  /// Directories of what was opened were ruled out.
  bool is_part() const { return !ruled_out_.empty(); }
  const std::vector<Fragment>& fragments() const { return fragments_; }
  const std::vector<RowGroup>& row_groups() const { return row_groups_; }
  /// Without deleted ones.
  int64_t rows() const { return rows_; }
  /// The first row of a row group, counted in its file.
  int64_t FirstRowInFile(int64_t fragment, int row_group) const;
  /// Bytes of all files.
  int64_t bytes() const { return bytes_; }
  /// Uncompressed bytes of all columns, and rows, of the row groups that are known.
  int64_t stored_bytes() const { return stored_bytes_; }
  int64_t stored_rows() const { return stored_rows_; }
  /// The fields from the top down to the column at `path` of schema(), with the metadata,
  /// also inside of them, that says what files call them (`FileFieldOf`). REQUIRES: it is
  /// there.
  arrow::FieldVector MappedPath(const std::vector<std::string>& path) const;
  /// 32 hexadecimal digits over relative paths, sizes and footer checksums, and those
  /// types of partition columns that directories ruled out decide; of Delta, over the
  /// table's id and the version.
  const std::string& fingerprint() const { return fingerprint_; }

  /// The parsed footer of a fragment, from the cache or read again; Conflict if the file
  /// is no longer the one that was opened.
  Result<std::shared_ptr<parquet::FileMetaData>> Footer(int64_t fragment) const;
  /// Conflict if a fragment's file is no longer the one that was opened: its size is
  /// another, or its time and its footer are. NotFound if it is gone.
  Status CheckUnchanged(int64_t fragment) const;
  /// Opens a fragment's file for reading, if it is unchanged.
  Result<std::shared_ptr<arrow::io::RandomAccessFile>> OpenFile(int64_t fragment) const;
  /// The first URI as users know it, without credentials, and how many more there are.
  std::string DisplayUri() const;
  /// The fragment's path as users know it.
  std::string DisplayPath(int64_t fragment) const;
  const storage::Storage& storage() const { return *storage_; }
  /// Bytes of parsed footers held now (estimated from their serialized size).
  int64_t footer_cache_bytes_used() const { return footers_->bytes_used(); }

 private:
  struct Facts;

  explicit Table(int64_t footer_cache_bytes);

  /// The paths of `uris_`, on one storage.
  Result<std::vector<std::string>> ResolveUris();
  Status ListFiles(const std::vector<std::string>& paths, base::Executor& executor);
  void AddListed(storage::FileEntry file);
  Status NameBelowRoot();
  Status ReadPartitions();
  /// Reads what the log says of a version.
  Status ReadLog(const delta::Log& log, base::Executor& executor);
  /// Takes the actions that were given for a version.
  Status ReadActions(const std::string& root, base::Executor& executor);
  Status TakeVersion(const delta::Version& version, base::Executor& executor);
  Status SetSchema(const delta::Version& version);
  Status AddFile(const delta::AddFile& add, const std::string& root);
  /// Reads footers of the wanted files into facts_.
  Status ReadFacts(std::span<const uint8_t> wanted, base::Executor& executor);
  /// Makes row groups of the facts of the wanted files.
  void TakeFacts(std::span<const uint8_t> wanted);
  Status UnifyFiles();
  void NameSchema();
  void Fingerprint();
  Result<table::Footer> ReadKnownFooter(int64_t fragment) const;
  Status FooterError(int64_t fragment, const Status& status) const;
  Status Replaced(int64_t fragment) const;

  std::optional<int64_t> version_;
  std::shared_ptr<arrow::Schema> mapped_schema_;  // schema_ with names and ids in files
  bool loaded_ = false;                           // of all fragments
  std::shared_ptr<Facts> facts_;
  std::vector<std::string> uris_;
  std::string root_;         // of a Delta table, as the storage takes it
  std::string display_uri_;  // the first one, as users know it
  TableOptions options_;
  std::shared_ptr<storage::Storage> storage_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::Schema> named_schema_;
  arrow::FieldVector partition_fields_;
  std::vector<std::string> ruled_out_;  // directories, below what was opened
  std::vector<arrow::ScalarVector> ruled_out_values_;  // parallel to partition_fields_
  arrow::FieldVector widened_;                         // as of Partitions
  std::vector<Fragment> fragments_;
  std::vector<RowGroup> row_groups_;
  int64_t rows_ = 0;
  int64_t bytes_ = 0;
  int64_t stored_bytes_ = 0;
  int64_t stored_rows_ = 0;
  std::string fingerprint_;
  std::shared_ptr<FooterCache> footers_;
};

}  // namespace headrace::table
