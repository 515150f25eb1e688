/// \file
/// Small lakes for tests: temporary folders, and Parquet files written as told.
///
/// Everything throws std::runtime_error on failure, which GoogleTest reports as a failed
/// test.
#pragma once

#include <arrow/io/file.h>
#include <arrow/json/from_string.h>
#include <arrow/table.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace headrace::testing {

inline void Check(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

template <typename T>
T Check(arrow::Result<T> result) {
  Check(result.status());
  return std::move(result).ValueUnsafe();
}

/// A folder of its own that is removed with the object.
class TempDir {
 public:
  TempDir() {
    std::string name =
        (std::filesystem::temp_directory_path() / "headrace-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  /// The path of something below the folder; its parent folders are made.
  std::string operator/(const std::string& name) const {
    const std::filesystem::path full = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(full.parent_path());
    return full.string();
  }

 private:
  std::string path_;
};

inline void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

inline std::string ReadWholeFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// A table from rows in JSON, for example `[{"x": 1}, {"x": null}]`.
inline std::shared_ptr<arrow::Table> TableFromJson(
    const std::shared_ptr<arrow::Schema>& schema, const std::string& rows) {
  const auto array =
      Check(arrow::json::ArrayFromJSONString(arrow::struct_(schema->fields()), rows));
  const auto batch = Check(arrow::RecordBatch::FromStructArray(array));
  return Check(arrow::Table::FromRecordBatches(schema, {batch}));
}

/// A table of one int64 column, `first` ... `first + rows - 1`.
inline std::shared_ptr<arrow::Table> Numbers(int64_t first, int64_t rows,
                                             const std::string& name = "x") {
  arrow::Int64Builder builder;
  for (int64_t i = 0; i < rows; ++i) Check(builder.Append(first + i));
  return arrow::Table::Make(arrow::schema({arrow::field(name, arrow::int64())}),
                            {Check(builder.Finish())});
}

struct ParquetOptions {
  int64_t row_group_rows = 1 << 20;
  int64_t data_page_bytes = 1 << 20;
  bool page_index = false;
  bool page_checksums = false;
  bool dictionary = true;
  /// A column that gets a bloom filter; empty: none.
  std::string bloom_column = {};
  /// Keeps Arrow types that Parquet has not (ARROW:schema).
  bool store_schema = true;
  parquet::Compression::type compression = parquet::Compression::SNAPPY;
  parquet::ParquetDataPageVersion page_version = parquet::ParquetDataPageVersion::V1;
};

inline void WriteParquet(const std::string& path,
                         const std::shared_ptr<arrow::Table>& table,
                         const ParquetOptions& options = {}) {
  parquet::WriterProperties::Builder properties;
  properties.compression(options.compression)
      ->data_pagesize(options.data_page_bytes)
      ->data_page_version(options.page_version)
      ->max_row_group_length(options.row_group_rows);
  if (options.data_page_bytes < 1 << 20) properties.write_batch_size(16);
  // Arrow's own default has changed from one to the other.
  if (options.page_index) {
    properties.enable_write_page_index();
  } else {
    properties.disable_write_page_index();
  }
  if (options.page_checksums) properties.enable_page_checksum();
  if (!options.bloom_column.empty()) {
    properties.enable_bloom_filter(options.bloom_column,
                                   parquet::BloomFilterOptions{.ndv = 100, .fpp = 0.001});
  }
  if (!options.dictionary) properties.disable_dictionary();
  parquet::ArrowWriterProperties::Builder arrow_properties;
  if (options.store_schema) arrow_properties.store_schema();
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  const auto file = Check(arrow::io::FileOutputStream::Open(path));
  Check(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), file,
                                   options.row_group_rows, properties.build(),
                                   arrow_properties.build()));
  Check(file->Close());
}

}  // namespace headrace::testing
