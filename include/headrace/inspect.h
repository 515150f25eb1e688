/// \file
/// Looking at a table without training on it: what `headrace inspect` and `verify` print.
#pragma once

#include <arrow/scalar.h>
#include <headrace/dataset.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headrace {

/// What is known of a table from its footers.
struct TableInfo {
  struct Column {
    std::string name;
    std::string type;
    bool nullable = true;
    bool is_partition = false;
    /// Compressed and uncompressed bytes over all files; 0 for partition columns.
    int64_t compressed_bytes = 0;
    int64_t uncompressed_bytes = 0;
    /// Compressions met, for example "SNAPPY".
    std::vector<std::string> compressions;
  };
  std::string uri;
  std::string format;  ///< "parquet"
  /// Absent for plain Parquet.
  std::optional<int64_t> version;
  std::string fingerprint;
  int64_t files = 0;
  int64_t row_groups = 0;
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t row_group_rows_min = 0;
  int64_t row_group_rows_max = 0;
  std::vector<std::string> partition_columns;
  std::vector<Column> columns;
  /// Advice: tiny files, huge row groups.
  std::vector<std::string> warnings;

  std::string ToString() const;
  std::string ToJson() const;
};

Result<TableInfo> Inspect(const Dataset& dataset);

/// What is known of the values of each column.
struct TableStats {
  struct Column {
    std::string name;
    std::string type;
    /// Absent where it is not known.
    std::optional<int64_t> nulls;
    /// Null where they are not known: of lists and structs, and where a row group's
    /// footer has no statistics. NaN counts as no value. Writers may cut those of long
    /// strings.
    std::shared_ptr<arrow::Scalar> min;
    std::shared_ptr<arrow::Scalar> max;
    /// Exact up to 1,024, else an estimate with a standard error of 1.6 %. Footers do not
    /// tell it.
    std::optional<int64_t> distinct;
  };
  int64_t rows = 0;
  /// The values were read, else the footers alone.
  bool scanned = false;
  std::vector<Column> columns;
};

/// Statistics of the dataset's columns. They come from footers, unless `scan` is set or
/// the dataset has a filter: then from the rows that pass it. `progress` is told rows.
Result<TableStats> Stats(const Dataset& dataset, bool scan,
                         const Progress& progress = {});

/// One thing that is broken, and where.
struct Defect {
  std::string path;
  int row_group = -1;  ///< -1: the file itself (its footer).
  std::string column;
  std::string message;
};

struct VerifyReport {
  int64_t files = 0;
  int64_t row_groups = 0;
  int64_t pages = 0;
  int64_t pages_with_checksum = 0;
  std::vector<Defect> defects;

  std::string ToString() const;
  std::string ToJson() const;
};

/// Decodes every page of every file and checks page checksums where there are any. Of a
/// Delta table they are the files of a version (`version` or `as_of` of the options, else
/// the last), and their deletion vectors; the log itself has to be whole.
/// Reports broken files, footers included, and goes on. Errors only where nothing can be
/// listed. `progress` is told files.
Result<VerifyReport> Verify(const std::vector<std::string>& uris,
                            const OpenOptions& options, const Progress& progress = {});

}  // namespace headrace
