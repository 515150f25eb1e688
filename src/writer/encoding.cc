#include "writer/encoding.h"

#include <arrow/compute/api.h>
#include <arrow/util/byte_size.h>
#include <arrow/util/compression.h>
#include <parquet/arrow/schema.h>
#include <parquet/schema.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "schema/field.h"
#include "writer/catch_write.h"

namespace headrace::writer {
namespace {

// A dictionary costs its values, their index, and what grows by doubling.
constexpr int64_t kDictionaryCost = 6;
constexpr int64_t kDictionaryBytesMin = int64_t{64} << 10;
constexpr int64_t kDictionaryBytesMax = int64_t{1} << 20;
constexpr int64_t kPageBytes = int64_t{1} << 20;
// Of an open page: values of 20,000 rows at most, and its compressed form.
constexpr int64_t kPageCost = int64_t{384} << 10;
// Rows that tell whether a column has a dictionary.
constexpr int64_t kSampleRows = 1 << 16;
constexpr int64_t kSampleRowsMin = 1 << 12;
// Rows that a bloom filter is made for; it is folded to what came.
constexpr int64_t kBloomRowsMin = 1 << 10;
constexpr int64_t kBloomRowsMax = 1 << 23;

struct Compression {
  parquet::Compression::type type;
  int level_max;  // 0: it takes none
  int level;
  const char* suffix;
};

const std::map<std::string, Compression>& Compressions() {
  using Codec = parquet::Compression;
  static const auto& compressions = *new std::map<std::string, Compression>{
      {"zstd", {Codec::ZSTD, 22, 1, ".zstd"}},
      {"snappy", {Codec::SNAPPY, 0, 0, ".snappy"}},
      {"lz4", {Codec::LZ4, 0, 0, ".lz4"}},
      {"gzip", {Codec::GZIP, 9, 6, ".gz"}},
      {"none", {Codec::UNCOMPRESSED, 0, 0, ""}}};
  return compressions;
}

Result<const Compression*> CompressionOf(const EncodingOptions& options) {
  const auto found = Compressions().find(options.compression);
  if (found == Compressions().end()) {
    return Error(ErrorKind::kInvalidArgument,
                 "compression is \"" + options.compression +
                     "\", expected zstd, snappy, lz4, gzip or none");
  }
  const Compression& compression = found->second;
  if (!options.compression_level) return &compression;
  const int level = *options.compression_level;
  if (compression.level_max == 0) {
    return Error(ErrorKind::kInvalidArgument, "compression_level is " +
                                                  std::to_string(level) + ", but " +
                                                  options.compression + " has no levels");
  }
  if (level < 1 || level > compression.level_max) {
    return Error(ErrorKind::kInvalidArgument,
                 "compression_level is " + std::to_string(level) + ", expected 1 to " +
                     std::to_string(compression.level_max) + " for " +
                     options.compression);
  }
  return &compression;
}

// Cells that a field codec made: neither repeated, nor sorted, nor compared.
bool IsCells(const arrow::Field& field) {
  auto declared = schema::DeclaredField(field);
  return declared.ok() && *declared && (*declared)->codec != "arrow";
}

// Cells that are compressed already.
bool IsCompressed(const arrow::Field& field) {
  auto declared = schema::DeclaredField(field);
  return declared.ok() && *declared && (*declared)->codec != "raw" &&
         (*declared)->codec != "npy" && (*declared)->codec != "arrow";
}

// Distinct values of a column of which `drawn` values held `distinct`, if all are about
// as frequent: d = D (1 - exp(-n / D)).
double DistinctOf(double distinct, double drawn) {
  double low = distinct, high = 1e12;
  for (int i = 0; i < 60 && high / low > 1.01; ++i) {
    const double guess = std::sqrt(low * high);
    (guess * -std::expm1(-drawn / guess) < distinct ? low : high) = guess;
  }
  return low;
}

// Whether a dictionary would fill up, and all that went into it be in vain.
bool OutgrowsDictionary(const std::shared_ptr<arrow::Array>& column,
                        int64_t dictionary_bytes, arrow::MemoryPool* pool) {
  const auto id = column->type_id();
  if (!arrow::is_primitive(id) && !arrow::is_base_binary_like(id) &&
      id != arrow::Type::DECIMAL128) {
    return false;
  }
  const auto sample = column->Slice(0, kSampleRows);
  const int64_t values = sample->length() - sample->null_count();
  if (values < kSampleRowsMin) return false;
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  const arrow::compute::CountOptions only_valid(arrow::compute::CountOptions::ONLY_VALID);
  const auto counted =
      arrow::compute::CallFunction("count_distinct", {sample}, &only_valid, &context);
  if (!counted.ok()) return false;
  const auto distinct = counted->scalar_as<arrow::Int64Scalar>().value;
  const auto bytes = arrow::util::ReferencedBufferSize(*sample);
  if (!bytes.ok()) return false;
  const double width = static_cast<double>(*bytes) / static_cast<double>(values);
  return DistinctOf(static_cast<double>(distinct), static_cast<double>(values)) * width >
         static_cast<double>(dictionary_bytes);
}

Result<std::shared_ptr<parquet::SchemaDescriptor>> ParquetSchema(
    const arrow::Schema& schema) {
  std::shared_ptr<parquet::SchemaDescriptor> descriptor;
  ARROW_RETURN_NOT_OK(CatchWrite([&] {
    return parquet::arrow::ToParquetSchema(&schema, *parquet::default_writer_properties(),
                                           &descriptor);
  }));
  return descriptor;
}

// Arrow says what it cannot store of a whole schema, and names no column.
Status CheckColumns(const arrow::Schema& schema) {
  for (const auto& field : schema.fields()) {
    const auto descriptor = ParquetSchema(*arrow::schema({field}));
    if (descriptor.ok()) continue;
    return Error(ErrorKind::kUnsupported,
                 "column \"" + field->name() + "\" is " + field->type()->ToString() +
                     ", which Parquet cannot store: cast it, or leave it out (" +
                     MessageOf(descriptor.status()) + ")");
  }
  return Status::OK();
}

}  // namespace

Result<Encoding> Encoding::Make(std::shared_ptr<arrow::Schema> schema,
                                const EncodingOptions& options) {
  Encoding encoding;
  ARROW_ASSIGN_OR_RAISE(const Compression* compression, CompressionOf(options));
  encoding.compression = compression->type;
  encoding.options = options;
  encoding.schema = std::move(schema);
  ARROW_RETURN_NOT_OK(CheckColumns(*encoding.schema));
  ARROW_ASSIGN_OR_RAISE(const auto descriptor, ParquetSchema(*encoding.schema));
  encoding.leaves = descriptor->num_columns();
  for (const std::string& name : options.bloom_filters) {
    int found = 0;
    for (int i = 0; i < encoding.leaves; ++i) {
      const auto* column = descriptor->Column(i);
      if (column->path()->ToDotString() != name) continue;
      if (column->physical_type() == parquet::Type::BOOLEAN) {
        return Error(ErrorKind::kInvalidArgument,
                     "bloom_filters names \"" + name + "\", a column of booleans");
      }
      ++found;
    }
    if (found > 0) continue;
    return Error(ErrorKind::kNotFound,
                 "bloom_filters names \"" + name +
                     "\", expected a column of numbers or text that the files hold");
  }
  encoding.dictionary_bytes =
      std::clamp(options.row_group_bytes / std::max(encoding.leaves, 1),
                 kDictionaryBytesMin, kDictionaryBytesMax);
  encoding.file_memory =
      2 * options.row_group_bytes +
      encoding.leaves * (kDictionaryCost * encoding.dictionary_bytes +
                         std::min(kPageCost, 2 * options.row_group_bytes));
  return encoding;
}

std::shared_ptr<parquet::WriterProperties> Encoding::Properties(
    const arrow::RecordBatch& first, double row_bytes, arrow::MemoryPool* pool) const {
  parquet::WriterProperties::Builder builder;
  builder.memory_pool(pool)
      ->version(parquet::ParquetVersion::PARQUET_2_6)
      ->compression(compression)
      ->data_pagesize(kPageBytes)
      // A page's size is looked at once so many values are in it: few, where they are
      // large.
      ->write_batch_size(std::clamp(static_cast<int64_t>(static_cast<double>(kPageBytes) /
                                                         std::max(row_bytes, 1.0)),
                                    int64_t{1}, parquet::DEFAULT_WRITE_BATCH_SIZE))
      ->dictionary_pagesize_limit(dictionary_bytes)
      // Row groups end where they are large enough, never by a number of rows.
      ->max_row_group_length(std::numeric_limits<int64_t>::max())
      ->enable_write_page_index()
      ->enable_page_checksum();
  const Compression& chosen = Compressions().at(options.compression);
  if (chosen.level_max > 0) {
    builder.compression_level(options.compression_level.value_or(chosen.level));
  }
  for (int i = 0; i < schema->num_fields(); ++i) {
    const auto& field = schema->field(i);
    if (!IsCells(*field)) {
      if (OutgrowsDictionary(first.column(i), dictionary_bytes, pool)) {
        builder.disable_dictionary(field->name());
      }
      continue;
    }
    builder.disable_dictionary(field->name())->disable_statistics(field->name());
    if (IsCompressed(*field)) {
      builder.compression(field->name(), parquet::Compression::UNCOMPRESSED)
          ->compression_level(field->name(), arrow::util::kUseDefaultCompressionLevel);
    }
  }
  parquet::BloomFilterOptions bloom;
  const double rows =
      static_cast<double>(options.row_group_bytes) / std::max(row_bytes, 1.0);
  bloom.ndv = std::clamp(static_cast<int64_t>(2 * rows), kBloomRowsMin, kBloomRowsMax);
  bloom.fpp = 0.01;
  for (const std::string& name : options.bloom_filters) {
    builder.enable_bloom_filter(name, bloom);
  }
  return builder.build();
}

std::shared_ptr<parquet::ArrowWriterProperties> Encoding::ArrowProperties(
    arrow::internal::Executor* executor) const {
  parquet::ArrowWriterProperties::Builder builder;
  builder.store_schema();
  if (executor != nullptr) builder.set_use_threads(true)->set_executor(executor);
  return builder.build();
}

std::string Encoding::Suffix() const {
  return Compressions().at(options.compression).suffix;
}

}  // namespace headrace::writer
