#include "reader/bytes_source.h"
#include "reader/chunk_pages.h"
#include "reader/column_source.h"
#include "reader/fixed_source.h"

namespace headrace::reader {
namespace {

int PhysicalWidth(parquet::Type::type physical) {
  switch (physical) {
    case parquet::Type::BOOLEAN:
      return 1;
    case parquet::Type::INT32:
    case parquet::Type::FLOAT:
      return 4;
    case parquet::Type::INT64:
    case parquet::Type::DOUBLE:
      return 8;
    default:
      return 0;
  }
}

bool IsNarrowInteger(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::INT8:
    case arrow::Type::UINT8:
    case arrow::Type::INT16:
    case arrow::Type::UINT16:
    case arrow::Type::UINT32:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool IsFlat(const parquet::ColumnDescriptor& descriptor, const arrow::DataType& type) {
  if (descriptor.max_repetition_level() > 0) return false;
  const int width = PhysicalWidth(descriptor.physical_type());
  switch (type.id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return descriptor.physical_type() == parquet::Type::BYTE_ARRAY;
    case arrow::Type::HALF_FLOAT:
      return descriptor.physical_type() == parquet::Type::FIXED_LEN_BYTE_ARRAY &&
             descriptor.type_length() == 2;
    case arrow::Type::BOOL:
      return descriptor.physical_type() == parquet::Type::BOOLEAN;
    case arrow::Type::FLOAT:
      return descriptor.physical_type() == parquet::Type::FLOAT;
    case arrow::Type::DOUBLE:
      return descriptor.physical_type() == parquet::Type::DOUBLE;
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::INT64:
    case arrow::Type::UINT8:
    case arrow::Type::UINT16:
    case arrow::Type::UINT32:
    case arrow::Type::UINT64:
    case arrow::Type::DATE32:
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP:
    case arrow::Type::DURATION:
      if (descriptor.physical_type() != parquet::Type::INT32 &&
          descriptor.physical_type() != parquet::Type::INT64) {
        return false;
      }
      return type.byte_width() == width ||
             (type.byte_width() < width && IsNarrowInteger(type));
    default:
      return false;
  }
}

Result<std::unique_ptr<ColumnSource>> MakeFlatSource(
    const ReadContext& context, const ColumnChunk& chunk, int leaf,
    std::shared_ptr<arrow::DataType> type) {
  const auto* descriptor = chunk.file->metadata()->schema()->Column(leaf);
  const bool bytes = descriptor->physical_type() == parquet::Type::BYTE_ARRAY;
  ARROW_ASSIGN_OR_RAISE(ChunkPages pages,
                        OpenPages(chunk, leaf, /*dictionary_apart=*/!bytes,
                                  context.shared_pages, context.pool));
  if (bytes) {
    return MakeBytesSource(context, descriptor, std::move(pages), chunk.first_row,
                           std::move(type));
  }
  return MakeFixedSource(context, descriptor, std::move(pages), chunk.first_row,
                         std::move(type));
}

}  // namespace headrace::reader
