// Statistics of a table's columns: from its footers, or from a scan.

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <headrace/inspect.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/distinct_sketch.h"
#include "base/hash.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/scan_reader.h"
#include "pipeline/thread_executor.h"
#include "reader/row_group_bounds.h"

namespace headrace {
namespace {

using arrow::compute::ScalarAggregateOptions;

/// Whether values of the type have an order and can be counted.
bool IsPlain(const arrow::DataType& type) {
  return type.id() != arrow::Type::NA && type.id() != arrow::Type::EXTENSION &&
         (arrow::is_primitive(type.id()) || arrow::is_decimal(type.id()) ||
          arrow::is_base_binary_like(type.id()) ||
          type.id() == arrow::Type::FIXED_SIZE_BINARY);
}

/// The least and the greatest of values; null where there is none.
Result<std::pair<std::shared_ptr<arrow::Scalar>, std::shared_ptr<arrow::Scalar>>>
MinMaxOf(const arrow::Datum& values) {
  ARROW_ASSIGN_OR_RAISE(const arrow::Datum found,
                        arrow::compute::MinMax(values, ScalarAggregateOptions(true, 1)));
  const auto& both = found.scalar_as<arrow::StructScalar>().value;
  auto known = [](const std::shared_ptr<arrow::Scalar>& value) {
    return value->is_valid ? value : nullptr;
  };
  return std::pair(known(both[0]), known(both[1]));
}

/// Extends bounds by others, which may be null.
Status Widen(const std::shared_ptr<arrow::Scalar>& min,
             const std::shared_ptr<arrow::Scalar>& max, TableStats::Column* column) {
  if (min == nullptr || max == nullptr) return Status::OK();
  if (column->min == nullptr) {
    column->min = min;
    column->max = max;
    return Status::OK();
  }
  std::unique_ptr<arrow::ArrayBuilder> builder;
  ARROW_RETURN_NOT_OK(
      arrow::MakeBuilder(arrow::default_memory_pool(), min->type, &builder));
  for (const auto& value : {column->min, column->max, min, max}) {
    ARROW_RETURN_NOT_OK(builder->AppendScalar(*value));
  }
  ARROW_ASSIGN_OR_RAISE(auto all, builder->Finish());
  ARROW_ASSIGN_OR_RAISE(std::tie(column->min, column->max), MinMaxOf(all));
  return Status::OK();
}

template <typename Array>
void AddViews(const Array& values, base::DistinctSketch* sketch) {
  for (int64_t i = 0; i < values.length(); ++i) {
    if (values.IsValid(i)) sketch->Add(base::Hash64(values.GetView(i)));
  }
}

void AddDistinct(const arrow::Array& values, base::DistinctSketch* sketch) {
  switch (values.type_id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return AddViews(static_cast<const arrow::BinaryArray&>(values), sketch);
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return AddViews(static_cast<const arrow::LargeBinaryArray&>(values), sketch);
    case arrow::Type::BOOL: {
      const auto& flags = static_cast<const arrow::BooleanArray&>(values);
      for (int64_t i = 0; i < flags.length(); ++i) {
        if (flags.IsValid(i)) sketch->Add(base::Hash64(flags.Value(i) ? "t" : "f"));
      }
      return;
    }
    default: {
      const int width = values.type()->byte_width();
      const auto* bytes =
          reinterpret_cast<const char*>(values.data()->buffers[1]->data()) +
          values.offset() * width;
      for (int64_t i = 0; i < values.length(); ++i) {
        if (values.IsNull(i)) continue;
        sketch->Add(base::Hash64(
            std::string_view(bytes + i * width, static_cast<size_t>(width))));
      }
    }
  }
}

TableStats Empty(const arrow::Schema& schema) {
  TableStats stats;
  for (const auto& field : schema.fields()) {
    TableStats::Column column;
    column.name = field->name();
    column.type = field->type()->ToString();
    column.nulls = 0;
    stats.columns.push_back(std::move(column));
  }
  return stats;
}

Result<TableStats> OfFooters(const DatasetImpl& dataset, const Progress& progress) {
  pipeline::ThreadExecutor executor(dataset.options.num_threads);
  ARROW_ASSIGN_OR_RAISE(const auto loaded,
                        table::Table::Load(dataset.table, {}, executor));
  const table::Table& table = *loaded;
  TableStats stats = Empty(*dataset.stored_schema);
  stats.rows = table.rows();
  ARROW_ASSIGN_OR_RAISE(auto columns, reader::ResolveColumns(table, dataset.columns));
  reader::ReadCounters counters;
  reader::ReadContext context;
  context.table = &table;
  context.pool = arrow::default_memory_pool();
  context.counters = &counters;
  std::vector<bool> bounded(columns.size(), true);
  const auto files = static_cast<int64_t>(table.fragments().size());
  int64_t rows_done = 0;
  for (int64_t f = 0; f < files; ++f) {
    const table::Fragment& fragment = table.fragments()[static_cast<size_t>(f)];
    for (int g = 0; g < fragment.row_group_count; ++g) {
      ARROW_ASSIGN_OR_RAISE(const auto all, reader::BoundsOf(context, columns, f, g));
      for (size_t c = 0; c < columns.size(); ++c) {
        TableStats::Column& column = stats.columns[c];
        const expression::ColumnBounds& bounds = all[c];
        if (!bounds.null_count) column.nulls.reset();
        if (column.nulls) *column.nulls += *bounds.null_count;
        const bool only_nulls = bounds.null_count == bounds.rows;
        if (!only_nulls && (bounds.min == nullptr || bounds.max == nullptr)) {
          bounded[c] = false;
        }
        if (bounded[c] && IsPlain(*columns[c].field->type())) {
          ARROW_RETURN_NOT_OK(Widen(bounds.min, bounds.max, &column));
        }
      }
    }
    rows_done += fragment.rows;
    if (progress) progress(rows_done, table.rows());
  }
  for (size_t c = 0; c < columns.size(); ++c) {
    if (!bounded[c]) stats.columns[c].min = stats.columns[c].max = nullptr;
  }
  return stats;
}

Result<TableStats> OfScan(const std::shared_ptr<const DatasetImpl>& dataset,
                          const Progress& progress) {
  TableStats stats = Empty(*dataset->schema);
  stats.scanned = true;
  pipeline::ThreadExecutor executor(dataset->options.num_threads);
  ARROW_ASSIGN_OR_RAISE(auto reader, pipeline::ScanReader::Make(dataset, executor));
  std::vector<base::DistinctSketch> sketches(stats.columns.size());
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto batch, reader->Next());
    if (batch == nullptr) break;
    stats.rows += batch->num_rows();
    for (size_t c = 0; c < stats.columns.size(); ++c) {
      std::shared_ptr<arrow::Array> values = batch->column(static_cast<int>(c));
      TableStats::Column& column = stats.columns[c];
      *column.nulls += values->null_count();
      if (values->type_id() == arrow::Type::DICTIONARY) {
        const auto& type = static_cast<const arrow::DictionaryType&>(*values->type());
        ARROW_ASSIGN_OR_RAISE(values, arrow::compute::Cast(*values, type.value_type()));
      }
      if (!IsPlain(*values->type())) continue;
      AddDistinct(*values, &sketches[c]);
      column.distinct = sketches[c].Estimate();
      ARROW_ASSIGN_OR_RAISE(const auto bounds, MinMaxOf(values));
      ARROW_RETURN_NOT_OK(Widen(bounds.first, bounds.second, &column));
    }
    if (progress) progress(stats.rows, dataset->table->rows());
  }
  return stats;
}

}  // namespace

Result<TableStats> Stats(const Dataset& dataset, bool scan, const Progress& progress) {
  const auto impl = DatasetAccess::SharedImpl(dataset);
  const bool as_stored = impl->schema->Equals(*impl->stored_schema);
  if (scan || impl->filter || !as_stored) return OfScan(impl, progress);
  return OfFooters(*impl, progress);
}

}  // namespace headrace
