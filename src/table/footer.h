/// \file
/// Parquet footers, as read from files.
#pragma once

#include <arrow/io/interfaces.h>
#include <headrace/result.h>
#include <parquet/metadata.h>

#include <cstdint>
#include <memory>
#include <string>

namespace headrace::table {

/// A footer as read: its checksum is over the raw bytes.
struct Footer {
  std::shared_ptr<parquet::FileMetaData> metadata;
  uint64_t checksum = 0;
  int64_t serialized_bytes = 0;
};

/// Reads one footer, in one read where it fits 64 KiB, else two. Corrupt (naming
/// `display_path`) for an empty, truncated or foreign file; Unsupported for an encrypted
/// one.
Result<Footer> ReadFooter(arrow::io::RandomAccessFile& file, int64_t file_size,
                          const std::string& display_path);

/// The file's columns as Arrow types. SchemaMismatch for two columns of one name.
Result<std::shared_ptr<arrow::Schema>> FileSchema(const parquet::FileMetaData& metadata,
                                                  const std::string& display_path);

}  // namespace headrace::table
