/// \file
/// Proof that a column chunk can be read: every page decoded, and compared with the
/// footer.
#pragma once

#include <arrow/io/interfaces.h>
#include <headrace/result.h>
#include <parquet/file_reader.h>

#include <cstdint>
#include <memory>

namespace headrace::pipeline {

/// What was met on the way.
struct PageCounts {
  int64_t pages = 0;
  int64_t with_checksum = 0;
};

/// A file whose chunks are checked. `input` is what `reader` reads.
struct CheckedFile {
  std::shared_ptr<arrow::io::RandomAccessFile> input;
  int64_t size = 0;
  parquet::ParquetFileReader* reader = nullptr;
};

/// Decodes every value of a column chunk: headers, checksums, compression, levels,
/// encodings, dictionary indices; then holds the counts of values and rows against the
/// footer and the pages against the offset index. The failure says what is wrong in the
/// chunk, not where the chunk is. `counts` grows also where it fails. Does not throw.
Status CheckColumnChunk(const CheckedFile& file, int row_group, int column,
                        PageCounts* counts);

}  // namespace headrace::pipeline
