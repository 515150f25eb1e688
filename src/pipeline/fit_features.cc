#include <arrow/type.h>
#include <headrace/features.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "pipeline/column_fit.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/scan.h"
#include "pipeline/scan_reader.h"
#include "pipeline/thread_executor.h"
#include "schema/column_path.h"
#include "schema/dtype.h"
#include "schema/field.h"
#include "schema/text.h"

namespace headrace {
namespace {

using pipeline::ColumnFit;
using pipeline::NumberFit;
using pipeline::TextFit;
using Fits = std::vector<ColumnFit>;

// What a column is before any value of it was seen.
Result<ColumnFit> MakeFit(const arrow::Field& column) {
  ARROW_ASSIGN_OR_RAISE(const auto field, schema::DeclaredField(column));
  const bool encoded = field && field->codec != "arrow";
  if (!encoded && schema::DTypeOf(*column.type())) return NumberFit();
  if (!encoded && schema::IsText(*column.type())) return TextFit();
  std::string advice = ": leave it out, by naming the columns that are wanted";
  if (arrow::is_decimal(column.type()->id())) advice = ": cast it to \"float64\"";
  if (column.type()->id() == arrow::Type::STRUCT) {
    advice = ": select its fields by dotted name";
  }
  return Error(ErrorKind::kUnsupported,
               "column \"" + column.name() + "\": features are of numbers, strings and " +
                   "bytes, found " +
                   (encoded ? field->ToString() : column.type()->ToString()) + advice);
}

bool IsBinary(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY) {
    return IsBinary(*static_cast<const arrow::DictionaryType&>(type).value_type());
  }
  return type.id() != arrow::Type::STRING && type.id() != arrow::Type::LARGE_STRING &&
         type.id() != arrow::Type::STRING_VIEW;
}

// The dataset with these columns alone, and of its policies the casts.
Result<std::shared_ptr<const DatasetImpl>> Narrowed(
    const DatasetImpl& dataset, const std::vector<std::string>& columns) {
  for (const std::string& name : columns) {
    if (std::ranges::count(columns, name) == 1) continue;
    return Error(ErrorKind::kInvalidArgument,
                 "fit_features names column \"" + name + "\" twice, expected it once");
  }
  auto narrow = std::make_shared<DatasetImpl>(dataset);
  narrow->choices = {};
  if (!columns.empty()) narrow->select = columns;
  ARROW_RETURN_NOT_OK(narrow->Bind());
  for (const std::string& name : narrow->columns) {
    if (std::ranges::count(dataset.columns, name) == 0) {
      return Error(ErrorKind::kNotFound, "fit_features names column \"" + name +
                                             "\", which is not selected: select it, or "
                                             "leave it out");
    }
    const auto cast = dataset.choices.casts.find(name);
    if (cast != dataset.choices.casts.end()) narrow->choices.casts.insert(*cast);
  }
  ARROW_RETURN_NOT_OK(narrow->Bind());
  return narrow;
}

// The fits of all blocks, which may come in any order. Thread-safe.
class Merged {
 public:
  Merged(Fits empty, const arrow::Schema& schema, const FitOptions& options,
         int64_t rows_total)
      : fits_(std::move(empty)),
        schema_(schema),
        options_(options),
        rows_total_(rows_total) {}

  Status Put(int64_t block, int64_t block_rows, int64_t rows, Fits fits) {
    std::lock_guard lock(mutex_);
    for (size_t c = 0; c < fits.size(); ++c) {
      auto* text = std::get_if<TextFit>(&fits[c]);
      if (text == nullptr) continue;
      Status merged = std::get<TextFit>(fits_[c]).Merge(std::exchange(*text, TextFit()),
                                                        options_.vocabulary_max);
      if (!merged.ok()) return WithContext(merged, Named(c));
    }
    waiting_.emplace(block, std::move(fits));
    for (; waiting_.contains(next_); ++next_) {
      const Fits next = std::move(waiting_.extract(next_).mapped());
      for (size_t c = 0; c < next.size(); ++c) {
        const auto* numbers = std::get_if<NumberFit>(&next[c]);
        if (numbers != nullptr) std::get<NumberFit>(fits_[c]).Merge(*numbers);
      }
    }
    rows_ += rows;
    rows_done_ += block_rows;
    if (options_.progress) options_.progress(rows_done_, rows_total_);
    return Status::OK();
  }

  std::string Named(size_t column) const {
    return "column \"" + schema_.field(static_cast<int>(column))->name() + "\"";
  }

  Features Finish() && {
    Features features;
    features.rows = rows_;
    for (size_t c = 0; c < fits_.size(); ++c) {
      const auto& field = schema_.field(static_cast<int>(c));
      Feature feature{field->name(), {}};
      if (const auto* numbers = std::get_if<NumberFit>(&fits_[c])) {
        feature.value = numbers->Finish();
      } else {
        feature.value =
            std::get<TextFit>(std::move(fits_[c])).Finish(IsBinary(*field->type()));
      }
      features.columns.push_back(std::move(feature));
    }
    return features;
  }

 private:
  std::mutex mutex_;
  Fits fits_;
  std::map<int64_t, Fits> waiting_;  // later blocks than the one that is next
  int64_t next_ = 0;
  int64_t rows_ = 0;
  int64_t rows_done_ = 0;
  const arrow::Schema& schema_;
  const FitOptions& options_;
  const int64_t rows_total_;
};

// Reads a block into its fits; the rows there were.
Result<int64_t> FitBlock(pipeline::ScanReader& reader, const Merged& merged,
                         int64_t vocabulary_max, Fits* fits) {
  int64_t rows = 0;
  while (true) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
    if (batch == nullptr) return rows;
    rows += batch->num_rows();
    for (size_t c = 0; c < fits->size(); ++c) {
      const arrow::Array& values = *batch->column(static_cast<int>(c));
      auto* numbers = std::get_if<NumberFit>(&(*fits)[c]);
      const Status added =
          numbers != nullptr ? numbers->Add(values)
                             : std::get<TextFit>((*fits)[c]).Add(values, vocabulary_max);
      if (!added.ok()) return WithContext(added, merged.Named(c));
    }
  }
}

Status CheckAtLeastOne(const char* name, int64_t value) {
  if (value >= 1) return Status::OK();
  return Error(
      ErrorKind::kInvalidArgument,
      std::string(name) + " is " + std::to_string(value) + ", expected at least 1");
}

}  // namespace

Result<Features> FitFeatures(const Dataset& dataset,
                             const std::vector<std::string>& columns,
                             const FitOptions& options) {
  const DatasetImpl& impl = DatasetAccess::Impl(dataset);
  const int num_threads = options.num_threads.value_or(impl.options.num_threads);
  ARROW_RETURN_NOT_OK(CheckAtLeastOne("num_threads", num_threads));
  ARROW_RETURN_NOT_OK(CheckAtLeastOne("vocabulary_max", options.vocabulary_max));
  ARROW_ASSIGN_OR_RAISE(const auto narrow, Narrowed(impl, columns));
  Fits empty;
  for (const auto& field : narrow->schema->fields()) {
    ARROW_ASSIGN_OR_RAISE(auto fit, MakeFit(*field));
    empty.push_back(std::move(fit));
  }
  pipeline::ThreadExecutor executor(num_threads);
  reader::ReadCounters counters;
  reader::ReadContext context;
  context.pool = arrow::default_memory_pool();
  context.counters = &counters;
  ARROW_ASSIGN_OR_RAISE(const auto scan, pipeline::Scan::Make(narrow, context, executor));
  std::vector<size_t> wanted;  // blocks that may have rows
  int64_t rows_total = 0;
  for (size_t b = 0; b < scan->blocks().size(); ++b) {
    const plan::Block& block = scan->blocks()[b];
    if (scan->verdict(block) == expression::Verdict::kNone) continue;
    wanted.push_back(b);
    rows_total += block.rows;
  }
  Merged merged(empty, *narrow->schema, options, rows_total);
  ARROW_RETURN_NOT_OK(executor.ForEach(std::ssize(wanted), [&](int64_t i) -> Status {
    const size_t block = wanted[static_cast<size_t>(i)];
    const auto reader = pipeline::ScanReader::OfBlock(narrow, scan, block);
    Fits fits = empty;
    ARROW_ASSIGN_OR_RAISE(const int64_t rows,
                          FitBlock(*reader, merged, options.vocabulary_max, &fits));
    return merged.Put(i, scan->blocks()[block].rows, rows, std::move(fits));
  }));
  return std::move(merged).Finish();
}

}  // namespace headrace
