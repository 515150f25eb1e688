/// \file
/// Rows as they come, and as they are stored.
#pragma once

#include <arrow/record_batch.h>
#include <headrace/result.h>
#include <headrace/schema.h>

#include <memory>
#include <optional>
#include <vector>

#include "codec/field_codec.h"
#include "writer/stored_type.h"

namespace headrace::writer {

/// What becomes of each column on its way to the files: its type (`StoredType`), or cells
/// that a field codec makes. The schema keeps fields' metadata: a column that is stored
/// as another number than it was is a field of its old dtype.
class StoredRows {
 public:
  /// `declared`: fields of columns. NotFound for a field of no column, SchemaMismatch for
  /// one that does not suit its column, Unsupported for types that the rules have not.
  static Result<StoredRows> Make(const arrow::Schema& given,
                                 const std::optional<Schema>& declared,
                                 TypeRules rules = TypeRules::kParquet);

  /// Of what is stored, partition columns included.
  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }
  /// InvalidArgument for a value that cannot be stored, naming the column. `first_row`:
  /// for messages.
  Result<std::shared_ptr<arrow::RecordBatch>> Convert(const arrow::RecordBatch& batch,
                                                      int64_t first_row,
                                                      arrow::MemoryPool* pool) const;

 private:
  struct Column {
    std::shared_ptr<arrow::Field> stored;
    /// What a codec is to encode; nothing for columns that are cast.
    std::optional<Field> encoded;
  };
  static Result<Column> MakeColumn(const arrow::Field& given, const Field* declared,
                                   TypeRules rules);

  std::vector<Column> columns_;
  std::shared_ptr<arrow::Schema> schema_;
};

}  // namespace headrace::writer
