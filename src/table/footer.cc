#include "table/footer.h"

#include <arrow/util/endian.h>
#include <parquet/arrow/schema.h>
#include <parquet/exception.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <set>
#include <string_view>
#include <utility>

#include "base/hash.h"
#include "base/one_line.h"
#include "schema/field.h"

namespace headrace::table {
namespace {

constexpr int64_t kTailBytes = 64 << 10;
// The footer's length and the magic number end a file; the magic number begins it, too.
constexpr int64_t kEndBytes = 8;
constexpr int64_t kFileBytesMin = 12;
// More in a file is no table, but an attempt to have blocks by the billion, or sums over
// all files that do not fit 64 bits.
constexpr int64_t kRowsMax = int64_t{1} << 40;
constexpr int64_t kUncompressedBytesMax = int64_t{1} << 44;

Status Corrupt(const std::string& path, const std::string& what) {
  return Error(ErrorKind::kCorrupt,
               path + ": " + what + ": restore the file, or leave it out");
}

Status Encrypted(const std::string& path) {
  return Error(ErrorKind::kUnsupported,
               path + ": the file is encrypted, which this build does not read");
}

std::string Printable(std::string_view bytes) {
  std::string text;
  for (char c : bytes) text += c >= ' ' && c <= '~' ? c : '?';
  return text;
}

// What all row groups so far have.
struct Totals {
  int64_t rows = 0;
  int64_t uncompressed_bytes = 0;
};

// What is wrong with a column chunk, which must lie inside the file, before its footer;
// empty if nothing is.
std::string FaultOf(const parquet::ColumnChunkMetaData& chunk, int64_t rows, int64_t end,
                    Totals* totals) {
  const int64_t begin =
      chunk.has_dictionary_page() && chunk.dictionary_page_offset() > 0
          ? std::min(chunk.dictionary_page_offset(), chunk.data_page_offset())
          : chunk.data_page_offset();
  const int64_t size = chunk.total_compressed_size();
  if (begin < 0 || size < 0 || size > end || begin > end - size) {
    return "has " + std::to_string(size) + " bytes from " + std::to_string(begin) +
           " on, outside the file's " + std::to_string(end);
  }
  if (size == 0 && rows > 0) return "has 0 bytes for " + std::to_string(rows) + " rows";
  const int64_t uncompressed = chunk.total_uncompressed_size();
  if (uncompressed < 0 ||
      uncompressed > kUncompressedBytesMax - totals->uncompressed_bytes) {
    return "has " + std::to_string(uncompressed) + " uncompressed bytes, expected 0 to " +
           std::to_string(kUncompressedBytesMax - totals->uncompressed_bytes);
  }
  totals->uncompressed_bytes += uncompressed;
  return "";
}

Status CheckRowGroup(const parquet::FileMetaData& metadata, int g, int64_t end,
                     const std::string& path, Totals* totals) {
  const auto group = metadata.RowGroup(g);
  const int64_t rows = group->num_rows();
  if (rows < 0 || rows > kRowsMax - totals->rows) {
    return Corrupt(path, "row group " + std::to_string(g) + " has " +
                             std::to_string(rows) + " rows, expected 0 to " +
                             std::to_string(kRowsMax - totals->rows));
  }
  totals->rows += rows;
  if (group->num_columns() != metadata.num_columns()) {
    return Corrupt(path, "row group " + std::to_string(g) + " has " +
                             std::to_string(group->num_columns()) +
                             " columns, expected the schema's " +
                             std::to_string(metadata.num_columns()));
  }
  for (int c = 0; c < group->num_columns(); ++c) {
    const std::string fault = FaultOf(*group->ColumnChunk(c), rows, end, totals);
    if (fault.empty()) continue;
    return Corrupt(path, "row group " + std::to_string(g) + ", column \"" +
                             metadata.schema()->Column(c)->path()->ToDotString() + "\" " +
                             fault);
  }
  return Status::OK();
}

Result<std::shared_ptr<parquet::FileMetaData>> Parse(const uint8_t* bytes, int64_t size,
                                                     int64_t end,
                                                     const std::string& path) {
  try {
    std::shared_ptr<parquet::FileMetaData> metadata =
        parquet::FileMetaData::Make(bytes, static_cast<uint32_t>(size));
    if (metadata->is_encryption_algorithm_set()) return Encrypted(path);
    Totals totals;
    for (int g = 0; g < metadata->num_row_groups(); ++g) {
      ARROW_RETURN_NOT_OK(CheckRowGroup(*metadata, g, end, path, &totals));
    }
    return metadata;
  } catch (const std::exception& e) {
    return Corrupt(
        path, std::string("the footer does not parse (") + base::OneLine(e.what()) + ")");
  }
}

}  // namespace

Result<Footer> ReadFooter(arrow::io::RandomAccessFile& file, int64_t file_size,
                          const std::string& path) {
  if (file_size == 0) return Corrupt(path, "the file is empty, expected Parquet");
  if (file_size < kFileBytesMin) {
    return Corrupt(path, "the file has " + std::to_string(file_size) +
                             " bytes, too few for Parquet");
  }
  const int64_t tail_size = std::min(file_size, kTailBytes);
  ARROW_ASSIGN_OR_RAISE(auto tail, file.ReadAt(file_size - tail_size, tail_size));
  if (tail->size() != tail_size) {
    return Corrupt(path,
                   "the file ended before its " + std::to_string(file_size) + " bytes");
  }
  const std::string_view magic(
      reinterpret_cast<const char*>(tail->data()) + tail_size - 4, 4);
  if (magic == "PARE") {
    return Encrypted(path);
  }
  if (magic != "PAR1") {
    return Corrupt(path, "the file ends in '" + Printable(magic) +
                             "', expected 'PAR1': it is truncated or not Parquet");
  }
  uint32_t length;
  std::memcpy(&length, tail->data() + tail_size - kEndBytes, sizeof(length));
  length = arrow::bit_util::FromLittleEndian(length);
  const int64_t footer_begin = file_size - kEndBytes - static_cast<int64_t>(length);
  if (footer_begin < 4) {
    return Corrupt(path, "the footer claims " + std::to_string(length) +
                             " bytes of a file of " + std::to_string(file_size));
  }
  std::shared_ptr<arrow::Buffer> bytes;
  if (length + kEndBytes <= tail_size) {
    bytes = arrow::SliceBuffer(tail, tail_size - kEndBytes - length, length);
  } else {
    ARROW_ASSIGN_OR_RAISE(bytes, file.ReadAt(footer_begin, length));
    if (bytes->size() != length) return Corrupt(path, "the footer ended early");
  }
  Footer footer;
  footer.checksum = base::Hash64(std::string_view(*bytes));
  footer.serialized_bytes = length;
  ARROW_ASSIGN_OR_RAISE(footer.metadata,
                        Parse(bytes->data(), length, footer_begin, path));
  return footer;
}

Result<std::shared_ptr<arrow::Schema>> FileSchema(const parquet::FileMetaData& metadata,
                                                  const std::string& path) {
  std::shared_ptr<arrow::Schema> schema;
  Status status;
  try {
    status = parquet::arrow::FromParquetSchema(metadata.schema(),
                                               parquet::ArrowReaderProperties(),
                                               metadata.key_value_metadata(), &schema);
  } catch (const std::exception& e) {
    status = Error(ErrorKind::kCorrupt, e.what());
  }
  if (!status.ok() && KindOf(status) == ErrorKind::kUnsupported) {
    return WithContext(status, path);
  }
  // Arrow calls it bad arguments, or a failed read.
  if (!status.ok()) {
    return Corrupt(
        path, "the schema does not parse (" + base::OneLine(MessageOf(status)) + ")");
  }
  std::set<std::string> names;
  arrow::FieldVector fields;
  for (const auto& field : schema->fields()) {
    if (!names.insert(field->name()).second) {
      return Error(ErrorKind::kSchemaMismatch,
                   path + ": two columns are named \"" + field->name() + "\"");
    }
    fields.push_back(schema::WithFieldMetadataOnly(field));
  }
  return arrow::schema(std::move(fields));
}

}  // namespace headrace::table
