/// \file
/// One Parquet file that is being written, its row groups measured as they grow.
#pragma once

#include <arrow/io/interfaces.h>
#include <arrow/record_batch.h>
#include <headrace/result.h>
#include <parquet/arrow/writer.h>
#include <parquet/file_writer.h>

#include <cstdint>
#include <memory>
#include <string>

#include "storage/storage.h"
#include "writer/encoding.h"

namespace headrace::writer {

/// Rows go to a row group until it has the size that the encoding asks for: what is
/// compressed counts as it is, what is in open pages as it would likely be.
///
/// Thread-safety: one thread at a time.
class ParquetFile {
 public:
  struct Context {
    const storage::Storage* storage = nullptr;
    arrow::MemoryPool* pool = nullptr;
    arrow::internal::Executor* executor = nullptr;
    /// What compression is likely to leave: `ratio()` of a file before.
    double ratio = 1;
  };

  /// Creates a file that is to begin with these rows. The encoding outlives it.
  static Result<std::unique_ptr<ParquetFile>> Create(const Encoding& encoding,
                                                     const Context& context,
                                                     std::string path,
                                                     const arrow::RecordBatch& first);
  ~ParquetFile();
  ParquetFile(const ParquetFile&) = delete;
  ParquetFile& operator=(const ParquetFile&) = delete;

  /// Appends rows of the encoding's schema, from `offset` on, until they end or a row
  /// group does; returns how many.
  Result<int64_t> Append(const arrow::RecordBatch& batch, int64_t offset);
  /// Writes what is held, and the footer.
  Result<std::shared_ptr<parquet::FileMetaData>> Close();
  /// Gives up: what was written is no file, or one that is to be deleted.
  void Abandon();

  const std::string& path() const { return path_; }
  int64_t rows() const { return rows_; }
  /// Of row groups that are whole; all of it once closed.
  int64_t bytes() const { return bytes_; }
  int64_t row_groups() const { return row_groups_; }
  /// Compressed to encoded bytes, of the last row group.
  double ratio() const { return ratio_; }
  /// No row is held: the last row group is whole.
  bool between_row_groups() const { return group_ == nullptr; }

 private:
  ParquetFile(const Encoding& encoding, const Context& context, std::string path)
      : encoding_(encoding),
        context_(context),
        path_(std::move(path)),
        ratio_(context.ratio) {}

  Status Open(const arrow::RecordBatch& first);
  Status EndRowGroup();
  /// Compressed to encoded bytes, of the pages of the open row group that are written.
  double Ratio() const;
  /// Bytes that the open row group would have if it ended now.
  double Measured() const;
  int64_t NextRows(double row_bytes) const;
  Status Translate(const Status& status) const;

  const Encoding& encoding_;
  const Context context_;
  const std::string path_;
  std::shared_ptr<arrow::io::OutputStream> sink_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  parquet::RowGroupWriter* group_ = nullptr;  // null: none is open
  int64_t group_rows_ = 0;
  double ratio_;  // of the last row group
  int64_t rows_ = 0;
  int64_t bytes_ = 0;
  int64_t row_groups_ = 0;
};

}  // namespace headrace::writer
