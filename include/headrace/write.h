/// \file
/// Write: a stream of record batches to a table of Parquet files.
#pragma once

#include <arrow/type_fwd.h>
#include <headrace/dataset.h>
#include <headrace/result.h>
#include <headrace/schema.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headrace {

/// Where and how rows are written. The first group is what readers see, the second
/// resources, which never change the rows.
struct WriteOptions {
  /// What happens to a table that is there: "error" (Conflict), "append", "overwrite", or
  /// "overwrite_partitions", which replaces the partitions that the rows are of.
  std::string mode = "error";
  /// "delta", or "parquet": files without a log.
  std::string format = "delta";
  /// How the columns named are stored: codecs of cells, dtypes, nullability.
  std::optional<Schema> schema = {};
  /// Columns that become directories, outermost first, and leave the files.
  std::vector<std::string> partition_by = {};
  /// Columns that the rows are sorted by, ascending, stable, nulls last: all rows, or
  /// those of each partition.
  std::vector<std::string> sort_by = {};
  /// Bytes of a row group as it is written: encoded and compressed.
  int64_t row_group_bytes = int64_t{32} << 20;
  /// A file is ended by the row group that brings it to this size.
  int64_t file_bytes = int64_t{512} << 20;
  /// "zstd", "snappy", "lz4", "gzip" or "none".
  std::string compression = "zstd";
  /// Of "zstd" (1 to 22) and "gzip" (1 to 9). Absent: 1 for zstd, 6 for gzip.
  std::optional<int> compression_level = {};
  /// Columns that get bloom filters, dotted names included.
  std::vector<std::string> bloom_filters = {};

  /// Threads that encode; the caller's own, which reads the stream, is extra.
  int num_threads = 2;
  /// Bytes held between the stream and storage. What the stream itself holds is its own.
  int64_t memory_budget = int64_t{2} << 30;
  /// Storage: as in OpenOptions. Never printed.
  std::map<std::string, std::string> storage_options = {};
  /// Where sorting puts what does not fit the budget, in files that have no name once
  /// they are open. Empty: the system's folder for temporary files.
  std::string temp_folder = {};
  /// The catalog that "catalog:prod.flights" is looked up in (catalog.h).
  std::string catalog = {};
  /// Rows that the stream is known to have, for `progress` alone; 0: not known.
  int64_t rows_expected = 0;
};

/// What was written. Sizes in bytes.
struct WriteSummary {
  std::string uri;  ///< As users know it, without credentials.
  int64_t rows = 0;
  int64_t files = 0;
  int64_t row_groups = 0;
  int64_t bytes = 0;
  /// Directories of partitions that got files; 0 where there are none.
  int64_t partitions = 0;
  /// Files of the table that these took the place of.
  int64_t files_replaced = 0;
  /// Written to temporary files while sorting.
  int64_t bytes_spilled = 0;
  int64_t memory_peak = 0;
  int64_t memory_budget = 0;
  /// The smallest budget that would have been accepted.
  int64_t memory_floor = 0;
  double seconds = 0;
  /// Of the table, once written. Absent: the table has none.
  std::optional<int64_t> version = {};
  /// Why the catalog was not told of the write, which stands; empty: it was, or there is
  /// none.
  std::string catalog_error = {};

  std::string ToString() const;
  std::string ToJson() const;
};

/// Writes all rows of `data` below `uri`, and returns once they are there. "catalog:NAME"
/// is where the table of that name lies; its entry is then told of columns, counts,
/// version and writer. On an error, files that were written are deleted again, as far as
/// storage lets them be, and no row is visible. `progress` is told rows, and a total of 0
/// where it is not known.
///
/// Errors: InvalidArgument (naming the option), Conflict (mode "error", and files are
/// there), NotFound (a column named), Unsupported (naming a column whose type cannot be
/// stored), SchemaMismatch (a declared field does not suit its column),
/// ResourceExhausted (a budget below the floor, with both numbers), those of storage, and
/// those of the stream.
Result<WriteSummary> Write(const std::shared_ptr<arrow::RecordBatchReader>& data,
                           const std::string& uri, const WriteOptions& options = {},
                           const Progress& progress = {});

/// Rewrites the small files of a Delta table, those below half of `file_bytes`, and those
/// of which rows are deleted, as fewer, larger ones: a version with the same rows. Files
/// of different partitions stay apart. Of the options, sizes, compression, `sort_by` and
/// resources matter. Others may add rows meanwhile; Conflict if they removed what was
/// rewritten. Nothing is committed where there is nothing to gain.
Result<WriteSummary> Compact(const std::string& uri, const WriteOptions& options = {},
                             const Progress& progress = {});

}  // namespace headrace
