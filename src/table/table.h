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
#include <string>
#include <vector>

#include "base/executor.h"
#include "storage/storage.h"
#include "table/footer.h"
#include "table/footer_cache.h"

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
  int64_t rows = 0;
  /// The fragment's row groups are table.row_groups()[first_row_group ...].
  int64_t first_row_group = 0;
  int row_group_count = 0;
  /// Parallel to table.partition_fields(); null scalars for __HIVE_DEFAULT_PARTITION__.
  std::vector<std::shared_ptr<arrow::Scalar>> partition_values;
};

struct TableOptions {
  std::map<std::string, std::string> storage_options = {};
  std::map<std::string, std::string> partition_types = {};
  /// The directory below which relative paths begin; empty: what was opened, or what all
  /// files of a list have in common.
  std::string root = {};
  /// Bytes of parsed footers kept; the rest is read again when needed.
  int64_t footer_cache_bytes = int64_t{64} << 20;
};

/// Immutable but for the footer cache; thread-safe.
class Table {
 public:
  /// Lists, reads all footers (in parallel, once), unifies their schemas.
  static Result<std::shared_ptr<const Table>> Open(const std::vector<std::string>& uris,
                                                   const TableOptions& options,
                                                   base::Executor& executor);

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
  const std::vector<Fragment>& fragments() const { return fragments_; }
  const std::vector<RowGroup>& row_groups() const { return row_groups_; }
  int64_t rows() const { return rows_; }
  /// The first row of a row group, counted in its file.
  int64_t FirstRowInFile(int64_t fragment, int row_group) const;
  /// Bytes of all files.
  int64_t bytes() const { return bytes_; }
  /// Uncompressed bytes of all columns.
  int64_t stored_bytes() const { return stored_bytes_; }
  /// 32 hexadecimal digits over relative paths, sizes and footer checksums.
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
  int64_t footer_cache_bytes_used() const { return footers_.bytes_used(); }

 private:
  explicit Table(int64_t footer_cache_bytes) : footers_(footer_cache_bytes) {}

  Status ListFiles();
  Status NameBelowRoot();
  Status ReadPartitions();
  Status ReadFooters(base::Executor& executor);
  void Fingerprint();
  Result<table::Footer> ReadKnownFooter(int64_t fragment) const;
  Status FooterError(int64_t fragment, const Status& status) const;
  Status Replaced(int64_t fragment) const;

  std::vector<std::string> uris_;
  std::string display_uri_;  // the first one, as users know it
  TableOptions options_;
  std::shared_ptr<storage::Storage> storage_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::Schema> named_schema_;
  arrow::FieldVector partition_fields_;
  std::vector<Fragment> fragments_;
  std::vector<RowGroup> row_groups_;
  int64_t rows_ = 0;
  int64_t bytes_ = 0;
  int64_t stored_bytes_ = 0;
  std::string fingerprint_;
  mutable FooterCache footers_;
};

}  // namespace headrace::table
