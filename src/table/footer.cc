#include "table/footer.h"

#include <arrow/util/endian.h>
#include <parquet/arrow/schema.h>
#include <parquet/exception.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "base/hash.h"
#include "base/one_line.h"

namespace headrace::table {
namespace {

constexpr int64_t kTailBytes = 64 << 10;
// The footer's length and the magic number end a file; the magic number begins it, too.
constexpr int64_t kEndBytes = 8;
constexpr int64_t kFileBytesMin = 12;
// More is no table, but an attempt to have blocks by the billion.
constexpr int64_t kRowGroupRowsMax = int64_t{1} << 40;

Status Corrupt(const std::string& path, const std::string& what) {
  return Error(ErrorKind::kCorrupt,
               path + ": " + what + ": restore the file, or leave it out");
}

std::string Printable(std::string_view bytes) {
  std::string text;
  for (char c : bytes) text += c >= ' ' && c <= '~' ? c : '?';
  return text;
}

// Column chunks must lie inside the file, before its footer.
Status CheckChunks(const parquet::FileMetaData& metadata, int64_t end,
                   const std::string& path) {
  for (int g = 0; g < metadata.num_row_groups(); ++g) {
    auto group = metadata.RowGroup(g);
    if (group->num_rows() < 0 || group->num_rows() > kRowGroupRowsMax) {
      return Corrupt(path, "row group " + std::to_string(g) + " has " +
                               std::to_string(group->num_rows()) +
                               " rows, expected 0 to " +
                               std::to_string(kRowGroupRowsMax));
    }
    for (int c = 0; c < group->num_columns(); ++c) {
      auto chunk = group->ColumnChunk(c);
      const int64_t begin =
          chunk->has_dictionary_page() && chunk->dictionary_page_offset() > 0
              ? std::min(chunk->dictionary_page_offset(), chunk->data_page_offset())
              : chunk->data_page_offset();
      const int64_t size = chunk->total_compressed_size();
      if (begin >= 0 && size >= 0 && size <= end && begin <= end - size) continue;
      return Corrupt(path, "row group " + std::to_string(g) + ", column \"" +
                               chunk->path_in_schema()->ToDotString() +
                               "\" lies at bytes " + std::to_string(begin) + " to " +
                               std::to_string(begin + size) + ", outside the file's " +
                               std::to_string(end));
    }
  }
  return Status::OK();
}

Result<std::shared_ptr<parquet::FileMetaData>> Parse(const uint8_t* bytes, int64_t size,
                                                     const std::string& path) {
  try {
    return std::shared_ptr<parquet::FileMetaData>(
        parquet::FileMetaData::Make(bytes, size));
  } catch (const parquet::ParquetException& e) {
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
    return Error(ErrorKind::kUnsupported,
                 path + ": the file is encrypted, which this build does not read");
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
  ARROW_ASSIGN_OR_RAISE(footer.metadata, Parse(bytes->data(), length, path));
  ARROW_RETURN_NOT_OK(CheckChunks(*footer.metadata, footer_begin, path));
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
  } catch (const parquet::ParquetException& e) {
    status = Error(ErrorKind::kCorrupt, e.what());
  }
  if (!status.ok()) return WithContext(status, path);
  std::set<std::string> names;
  arrow::FieldVector fields;
  for (const auto& field : schema->fields()) {
    if (!names.insert(field->name()).second) {
      return Error(ErrorKind::kSchemaMismatch,
                   path + ": two columns are named \"" + field->name() + "\"");
    }
    fields.push_back(field->RemoveMetadata());
  }
  return arrow::schema(std::move(fields));
}

}  // namespace headrace::table
