/// \file
/// How Parquet files are written: compression, what is indexed, what is bounded.
#pragma once

#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/util/thread_pool.h>
#include <headrace/result.h>
#include <parquet/properties.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headrace::writer {

/// As in WriteOptions.
struct EncodingOptions {
  int64_t row_group_bytes = int64_t{32} << 20;
  std::string compression = "zstd";
  std::optional<int> compression_level = {};
  std::vector<std::string> bloom_filters = {};
};

/// The properties of files of one schema.
struct Encoding {
  std::shared_ptr<arrow::Schema> schema;
  EncodingOptions options;
  parquet::Compression::type compression = parquet::Compression::ZSTD;
  int leaves = 0;
  /// Bytes that a dictionary may take, by column.
  int64_t dictionary_bytes = 0;
  /// What an open file needs at most: its row group, twice as it grows, and each column's
  /// dictionary, with what finds its values, and open page.
  int64_t file_memory = 0;

  /// InvalidArgument for a compression, a level or a column of a bloom filter that there
  /// is not; Unsupported for a type that Parquet cannot hold, naming the column.
  static Result<Encoding> Make(std::shared_ptr<arrow::Schema> schema,
                               const EncodingOptions& options);

  /// Of a file that begins with these rows, of `row_bytes` each before encoding: columns
  /// that seem to have more distinct values than a dictionary takes are written without
  /// one, and bloom filters are made for the rows that a row group may have.
  std::shared_ptr<parquet::WriterProperties> Properties(const arrow::RecordBatch& first,
                                                        double row_bytes,
                                                        arrow::MemoryPool* pool) const;
  /// `executor` encodes columns side by side; null: one after the other.
  std::shared_ptr<parquet::ArrowWriterProperties> ArrowProperties(
      arrow::internal::Executor* executor) const;
  /// What stands before ".parquet" in a file's name: ".zstd", or nothing.
  std::string Suffix() const;
};

}  // namespace headrace::writer
