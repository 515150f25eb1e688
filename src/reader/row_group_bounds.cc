#include "reader/row_group_bounds.h"

#include <arrow/compute/api.h>
#include <headrace/row_id.h>
#include <parquet/arrow/reader.h>
#include <parquet/bloom_filter.h>
#include <parquet/bloom_filter_reader.h>
#include <parquet/file_reader.h>
#include <parquet/statistics.h>

#include <map>
#include <optional>
#include <utility>

#include "reader/catch_parquet.h"
#include "reader/file_schema.h"
#include "table/delta/file_stats.h"

namespace headrace::reader {
namespace {

using expression::ColumnBounds;
using expression::Verdict;

ColumnBounds ConstantBounds(const std::shared_ptr<arrow::Scalar>& value, int64_t rows) {
  ColumnBounds bounds;
  bounds.rows = rows;
  bounds.null_count = value->is_valid ? 0 : rows;
  if (value->is_valid) bounds.min = bounds.max = value;
  return bounds;
}

// Of `rows` consecutive row ids.
ColumnBounds RowIdBounds(int64_t first, int64_t rows) {
  ColumnBounds bounds;
  bounds.rows = rows;
  bounds.null_count = 0;
  if (rows == 0) return bounds;
  bounds.min = arrow::MakeScalar(first);
  bounds.max = arrow::MakeScalar(first + rows - 1);
  return bounds;
}

// The scalar in the table's type, or null where that is not certain to keep its order.
std::shared_ptr<arrow::Scalar> InTableType(const std::shared_ptr<arrow::Scalar>& value,
                                           const std::shared_ptr<arrow::DataType>& type) {
  if (value == nullptr || !value->is_valid) return nullptr;
  if (value->type->Equals(*type)) return value;
  if (type->id() == arrow::Type::DICTIONARY) {
    const auto& dictionary = static_cast<const arrow::DictionaryType&>(*type);
    return InTableType(value, dictionary.value_type());
  }
  auto cast = arrow::compute::Cast(arrow::Datum(value), type,
                                   arrow::compute::CastOptions::Safe());
  return cast.ok() ? cast->scalar() : nullptr;
}

// The hash that a bloom filter holds for a value, where the physical form is certain.
std::optional<uint64_t> BloomHash(const parquet::BloomFilter& bloom,
                                  parquet::Type::type physical,
                                  const arrow::Scalar& value) {
  if (!value.is_valid) return std::nullopt;
  if (physical == parquet::Type::BYTE_ARRAY &&
      arrow::is_base_binary_like(value.type->id())) {
    const auto& bytes = static_cast<const arrow::BaseBinaryScalar&>(value).value;
    parquet::ByteArray array(static_cast<uint32_t>(bytes->size()), bytes->data());
    return bloom.Hash(&array);
  }
  if (!arrow::is_integer(value.type->id())) return std::nullopt;
  auto wide = value.CastTo(arrow::int64());
  if (!wide.ok()) return std::nullopt;
  const int64_t integer = static_cast<const arrow::Int64Scalar&>(**wide).value;
  if (physical == parquet::Type::INT64) return bloom.Hash(integer);
  if (physical == parquet::Type::INT32) return bloom.Hash(static_cast<int32_t>(integer));
  return std::nullopt;
}

// What the table's log says of a file's values.
ColumnBounds LoggedBounds(const table::Fragment& file, const ReadColumn& column) {
  ColumnBounds bounds;
  bounds.rows = file.rows;
  if (file.stats.empty()) return bounds;
  std::vector<std::string> path;
  path.reserve(column.file_path.size());
  for (const table::FileField& step : column.file_path) path.push_back(step.name);
  auto logged = table::delta::BoundsOf(file.stats, path, column.field->type());
  bounds.min = std::move(logged.min);
  bounds.max = std::move(logged.max);
  bounds.null_count = logged.null_count;
  return bounds;
}

/// One row group's footer and, once asked for, its bloom filters.
class RowGroupFacts {
 public:
  RowGroupFacts(const ReadContext& context, const std::vector<ReadColumn>& columns,
                int64_t fragment, int row_group)
      : context_(context),
        columns_(columns),
        fragment_(fragment),
        row_group_(row_group) {}

  Status Init() {
    ARROW_ASSIGN_OR_RAISE(metadata_, context_.table->Footer(fragment_));
    parquet::ArrowReaderProperties properties;
    ARROW_RETURN_NOT_OK(parquet::arrow::SchemaManifest::Make(
        metadata_->schema(), metadata_->key_value_metadata(), properties, &manifest_));
    group_ = metadata_->RowGroup(row_group_);
    return Status::OK();
  }

  int64_t rows() const { return group_->num_rows(); }

  const parquet::arrow::SchemaField* Field(const ReadColumn& column) const {
    return column.stored() ? FindField(manifest_.schema_fields, column.file_path)
                           : nullptr;
  }

  int64_t CompressedBytes(const ReadColumn& column) const {
    const auto* field = Field(column);
    if (field == nullptr) return 0;
    std::vector<int> leaves;
    CollectLeaves(*field, &leaves);
    int64_t bytes = 0;
    for (int leaf : leaves) bytes += group_->ColumnChunk(leaf)->total_compressed_size();
    return bytes;
  }

  ColumnBounds Bounds(int i) {
    const ReadColumn& column = columns_[static_cast<size_t>(i)];
    const auto& type = column.field->type();
    if (column.partition >= 0) {
      const auto& values = context_.table->fragments()[fragment_].partition_values;
      return ConstantBounds(values[column.partition], rows());
    }
    if (column.row_id) {
      const int64_t row = context_.table->FirstRowInFile(fragment_, row_group_);
      return RowIdBounds(RowId(fragment_, row), rows());
    }
    const auto* field = Field(column);
    if (field == nullptr) return ConstantBounds(arrow::MakeNullScalar(type), rows());
    ColumnBounds bounds;
    bounds.rows = rows();
    if (!field->is_leaf()) return bounds;
    const auto* descriptor = metadata_->schema()->Column(field->column_index);
    if (descriptor->max_repetition_level() > 0) return bounds;
    if (descriptor->max_definition_level() == 0) bounds.null_count = 0;
    auto chunk = group_->ColumnChunk(field->column_index);
    if (auto statistics = chunk->statistics()) {
      if (statistics->HasNullCount()) bounds.null_count = statistics->null_count();
      std::shared_ptr<arrow::Scalar> min, max;
      if (statistics->HasMinMax() &&
          parquet::arrow::StatisticsAsScalars(*statistics, &min, &max).ok()) {
        bounds.min = InTableType(min, type);
        bounds.max = InTableType(max, type);
      }
    }
    if (chunk->bloom_filter_offset()) {
      const int leaf = field->column_index;
      bounds.may_contain =
          [this, leaf, file_type = field->field->type()](const arrow::Scalar& value) {
            return MayContain(leaf, *file_type, value);
          };
    }
    return bounds;
  }

  const Status& bloom_status() const { return bloom_status_; }

 private:
  bool MayContain(int leaf, const arrow::DataType& file_type,
                  const arrow::Scalar& value) {
    // A widened column was hashed in its narrower stored form: integers survive that, as
    // BloomHash narrows them back; strings have one form.
    if (!bloom_status_.ok()) return true;
    bloom_status_ = CatchParquet([&] { return LoadBloom(leaf); });
    if (!bloom_status_.ok() && KindOf(bloom_status_) == ErrorKind::kUnavailable) {
      const table::Table& table = *context_.table;
      bloom_status_ = table.storage().Translate(bloom_status_,
                                                table.fragments()[fragment_].file.path);
    }
    if (!bloom_status_.ok() || blooms_[leaf] == nullptr) return true;
    const auto physical = metadata_->schema()->Column(leaf)->physical_type();
    auto hash = BloomHash(*blooms_[leaf], physical, value);
    return !hash || blooms_[leaf]->FindHash(*hash);
  }

  Status LoadBloom(int leaf) {
    if (blooms_.count(leaf)) return Status::OK();
    if (parquet_ == nullptr) {
      ARROW_ASSIGN_OR_RAISE(auto input, context_.table->OpenFile(fragment_));
      parquet_ = parquet::ParquetFileReader::Open(
          std::move(input), parquet::ReaderProperties(context_.pool), metadata_);
    }
    auto group = parquet_->GetBloomFilterReader().RowGroup(row_group_);
    blooms_[leaf] = group == nullptr ? nullptr : group->GetColumnBloomFilter(leaf);
    return Status::OK();
  }

  const ReadContext& context_;
  const std::vector<ReadColumn>& columns_;
  int64_t fragment_;
  int row_group_;
  std::shared_ptr<parquet::FileMetaData> metadata_;
  parquet::arrow::SchemaManifest manifest_;
  std::unique_ptr<parquet::RowGroupMetaData> group_;
  std::unique_ptr<parquet::ParquetFileReader> parquet_;
  std::map<int, std::unique_ptr<parquet::BloomFilter>> blooms_;
  Status bloom_status_;
};

}  // namespace

Result<Verdict> DecideRowGroup(const ReadContext& context,
                               const expression::Filter& filter,
                               const std::vector<ReadColumn>& columns, int64_t fragment,
                               int row_group) {
  RowGroupFacts facts(context, columns, fragment, row_group);
  auto verdict = CatchParquet([&]() -> Result<Verdict> {
    ARROW_RETURN_NOT_OK(facts.Init());
    ARROW_ASSIGN_OR_RAISE(Verdict decided,
                          filter.Decide([&](int i) { return facts.Bounds(i); }));
    ARROW_RETURN_NOT_OK(facts.bloom_status());
    return decided;
  });
  if (verdict.ok()) return verdict;
  return WithContext(verdict.status(), context.table->DisplayPath(fragment) +
                                           ": row group " + std::to_string(row_group));
}

Result<Verdict> DecideFragment(const table::Table& table,
                               const expression::Filter& filter,
                               const std::vector<ReadColumn>& columns, int64_t fragment) {
  const table::Fragment& file = table.fragments()[fragment];
  return filter.Decide([&](int i) {
    const ReadColumn& column = columns[static_cast<size_t>(i)];
    if (column.partition >= 0) {
      return ConstantBounds(file.partition_values[column.partition], file.rows);
    }
    if (column.row_id) return RowIdBounds(RowId(fragment, 0), file.rows);
    return LoggedBounds(file, column);
  });
}

Result<std::vector<ColumnBounds>> BoundsOf(const ReadContext& context,
                                           const std::vector<ReadColumn>& columns,
                                           int64_t fragment, int row_group) {
  RowGroupFacts facts(context, columns, fragment, row_group);
  return CatchParquet([&]() -> Result<std::vector<ColumnBounds>> {
    ARROW_RETURN_NOT_OK(facts.Init());
    std::vector<ColumnBounds> all;
    for (size_t c = 0; c < columns.size(); ++c) {
      all.push_back(facts.Bounds(static_cast<int>(c)));
      all.back().may_contain = nullptr;  // it would outlive the facts
    }
    return all;
  });
}

Result<int64_t> ColumnBytes(const ReadContext& context,
                            const std::vector<ReadColumn>& columns, int64_t fragment,
                            int row_group) {
  RowGroupFacts facts(context, columns, fragment, row_group);
  return CatchParquet([&]() -> Result<int64_t> {
    ARROW_RETURN_NOT_OK(facts.Init());
    int64_t bytes = 0;
    for (const ReadColumn& column : columns) bytes += facts.CompressedBytes(column);
    return bytes;
  });
}

}  // namespace headrace::reader
