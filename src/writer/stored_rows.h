/// \file
/// Rows as they come, and as they are stored.
#pragma once

#include <arrow/record_batch.h>
#include <headrace/result.h>
#include <headrace/schema.h>

#include <memory>
#include <optional>
#include <vector>

namespace headrace::writer {

/// What becomes of each column on its way to the files. Dictionaries, views and large
/// text become plain. Columns with a declared field get its metadata.
class StoredRows {
 public:
  /// `declared`: fields of columns. NotFound for a field of no column, SchemaMismatch for
  /// one that does not suit its column.
  static Result<StoredRows> Make(const arrow::Schema& given,
                                 const std::optional<Schema>& declared);

  /// Of what is stored, partition columns included.
  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }
  /// InvalidArgument for a value that cannot be stored, naming column and value.
  Result<std::shared_ptr<arrow::RecordBatch>> Convert(
      const std::shared_ptr<arrow::RecordBatch>& batch, arrow::MemoryPool* pool) const;

 private:
  std::shared_ptr<arrow::Schema> schema_;
};

}  // namespace headrace::writer
