/// \file
/// Looking at a table without training on it: what `headrace inspect` and `verify` print.
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>

#include <cstdint>
#include <functional>
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

/// Called now and then with (files done, files in all), from one thread at a time.
using Progress = std::function<void(int64_t, int64_t)>;

/// Decodes every page of every file and checks page checksums where there are any.
/// Reports broken files, footers included, and goes on. Errors only where nothing can be
/// listed.
Result<VerifyReport> Verify(const std::vector<std::string>& uris,
                            const OpenOptions& options, const Progress& progress = {});

}  // namespace headrace
