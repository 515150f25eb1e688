/// \file
/// What the tests of reading share: an opened table and short ways to read from it.
#pragma once

#include <arrow/array/concatenate.h>
#include <arrow/compute/api.h>
#include <parquet/file_reader.h>
#include <parquet/page_index.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "base/memory_budget.h"
#include "reader/read_context.h"
#include "reader/row_group_reader.h"
#include "table/table.h"
#include "tests/cpp/lake.h"

namespace headrace::reader {

/// An opened table, and what readers of it need. All that is read is counted.
struct Lake {
  explicit Lake(const std::vector<std::string>& uris) {
    base::InlineExecutor executor;
    table = testing::Check(table::Table::Open(uris, {}, executor));
    context.table = table.get();
    context.pool = &pool;
    context.counters = &counters;
    context.read_buffer_bytes = 1 << 10;
  }
  explicit Lake(const std::string& uri) : Lake(std::vector<std::string>{uri}) {}

  ReadColumn Column(const std::string& name) const {
    return testing::Check(ResolveColumns(*table, {name})).front();
  }

  Result<std::unique_ptr<RowGroupReader>> Open(const std::vector<std::string>& columns,
                                               int64_t first_row = 0, int row_group = 0,
                                               int64_t fragment = 0) const {
    ARROW_ASSIGN_OR_RAISE(auto resolved, ResolveColumns(*table, columns));
    return RowGroupReader::Open(context, fragment, row_group, {first_row}, resolved);
  }

  /// Rows [first, first + rows) of one column of a row group.
  Result<std::shared_ptr<arrow::Array>> Read(const std::string& column, int64_t first,
                                             int64_t rows, int row_group = 0,
                                             int64_t fragment = 0) const {
    ARROW_ASSIGN_OR_RAISE(auto reader, Open({column}, first, row_group, fragment));
    return reader->Read(0, rows);
  }

  base::MemoryBudget pool{arrow::default_memory_pool()};
  mutable ReadCounters counters;
  ReadContext context;
  std::shared_ptr<const table::Table> table;
};

inline std::shared_ptr<arrow::Array> Cast(
    const std::shared_ptr<arrow::Array>& values,
    const std::shared_ptr<arrow::DataType>& type,
    const arrow::compute::CastOptions& options = arrow::compute::CastOptions::Safe()) {
  if (values->type()->Equals(*type)) return values;
  return testing::Check(arrow::compute::Cast(values, type, options)).make_array();
}

/// Dictionaries as the values that they stand for: two of them may be equal otherwise.
inline std::shared_ptr<arrow::Array> Plain(const std::shared_ptr<arrow::Array>& values) {
  if (values->type_id() != arrow::Type::DICTIONARY) return values;
  return Cast(values,
              static_cast<const arrow::DictionaryType&>(*values->type()).value_type());
}

/// A column of a table as one array.
inline std::shared_ptr<arrow::Array> Joined(const arrow::ChunkedArray& column) {
  return testing::Check(arrow::Concatenate(column.chunks()));
}

inline std::shared_ptr<arrow::Array> FromJson(
    const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
  return testing::Check(arrow::json::ArrayFromJSONString(type, json));
}

inline void WriteParquetAs(
    const std::string& path, const std::shared_ptr<arrow::Table>& table,
    const std::shared_ptr<parquet::WriterProperties>& properties,
    const std::shared_ptr<parquet::ArrowWriterProperties>& arrow_properties =
        parquet::ArrowWriterProperties::Builder().store_schema()->build()) {
  const auto file = testing::Check(arrow::io::FileOutputStream::Open(path));
  testing::Check(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), file,
                                            properties->max_row_group_length(),
                                            properties, arrow_properties));
  testing::Check(file->Close());
}

/// Bytes [begin, end) of a file.
struct PageBytes {
  int64_t begin = 0;
  int64_t end = 0;
};

/// Where the data pages of a column chunk lie, headers included, by its offset index.
inline std::vector<PageBytes> PagesOf(const std::string& path, int row_group,
                                      int column) {
  auto file = parquet::ParquetFileReader::OpenFile(path);
  auto index = file->GetPageIndexReader()->RowGroup(row_group)->GetOffsetIndex(column);
  std::vector<PageBytes> pages;
  for (const parquet::PageLocation& page : index->page_locations()) {
    pages.push_back({page.offset, page.offset + page.compressed_page_size});
  }
  return pages;
}

}  // namespace headrace::reader
