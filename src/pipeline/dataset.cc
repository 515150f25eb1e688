#include <arrow/compute/initialize.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <headrace/catalog.h>
#include <headrace/dataset.h>
#include <headrace/row_id.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "pipeline/catalog.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/dataset_json.h"
#include "pipeline/decoded_reader.h"
#include "pipeline/part_rule.h"
#include "pipeline/scan.h"
#include "pipeline/scan_reader.h"
#include "pipeline/thread_executor.h"
#include "pipeline/time_filter.h"
#include "schema/column_path.h"
#include "schema/dtype.h"
#include "schema/field.h"

namespace headrace {
namespace {

// Arrow's compute kernels are registered once a process.
Status InitializeCompute() {
  static const Status status = arrow::compute::Initialize();
  return status;
}

std::string Quoted(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "\"" : ", \"") + name + "\"";
  }
  return text;
}

// Numbers that are stored as wider ones, as formats without their type need them, become
// what their field says, unless another cast was asked for.
Status CastToDeclared(const arrow::Field& column, schema::ColumnChoices* choices) {
  ARROW_ASSIGN_OR_RAISE(const auto field, schema::DeclaredField(column));
  if (!field || field->codec != "arrow" || !field->shape.empty()) return Status::OK();
  const auto stored = schema::DTypeOf(*column.type());
  if (!stored && !arrow::is_decimal(column.type()->id())) return Status::OK();
  if (stored && DTypeName(*stored) == field->dtype) return Status::OK();
  choices->casts.try_emplace(column.name(), field->dtype);
  return Status::OK();
}

bool Has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

Dataset::Dataset(std::shared_ptr<const DatasetImpl> impl) : impl_(std::move(impl)) {}
Dataset::Dataset(const Dataset&) = default;
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(const Dataset&) = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;
Dataset::~Dataset() = default;

Status DatasetImpl::Bind() {
  columns.clear();
  if (select) {
    columns = *select;
  } else {
    for (const auto& field : table->schema()->fields()) columns.push_back(field->name());
  }
  arrow::FieldVector stored, cast;
  for (const std::string& name : columns) {
    ARROW_ASSIGN_OR_RAISE(auto column, Declared(name));
    ARROW_RETURN_NOT_OK(CastToDeclared(*column, &choices));
    stored.push_back(std::move(column));
  }
  stored_schema = arrow::schema(stored);
  // Names of no column at all are told from those that are not selected.
  for (const std::string& name : choices.Names()) {
    ARROW_RETURN_NOT_OK(schema::ResolveColumn(*table->named_schema(), name).status());
  }
  ARROW_RETURN_NOT_OK(schema::CheckChoices(*stored_schema, choices));
  for (const auto& field : stored) {
    ARROW_ASSIGN_OR_RAISE(auto type, schema::CastType(*field, choices));
    cast.push_back(field->WithType(type));
  }
  schema = arrow::schema(std::move(cast));
  filter.reset();
  if (where) {
    const auto epochs = pipeline::WithEpochs(*where, table->partition_columns());
    ARROW_ASSIGN_OR_RAISE(filter,
                          expression::Filter::Bind(epochs, *table->named_schema()));
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::Field>> DatasetImpl::Declared(
    const std::string& name) const {
  ARROW_ASSIGN_OR_RAISE(auto column, schema::ResolveColumn(*table->named_schema(), name));
  auto field = column.field->WithName(name);
  const Field* declared = options.schema ? options.schema->Find(name) : nullptr;
  return declared == nullptr ? field : schema::Declare(field, *declared);
}

namespace {

// A table whole, or the part of it that `rule` leaves, if there is one.
Result<std::shared_ptr<DatasetImpl>> OpenImpl(const std::vector<std::string>& uris,
                                              const OpenOptions& options,
                                              table::PartRule rule) {
  if (uris.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "open got an empty list, expected at least one URI");
  }
  if (options.num_threads < 1) {
    return Error(ErrorKind::kInvalidArgument, "num_threads is " +
                                                  std::to_string(options.num_threads) +
                                                  ", expected at least 1");
  }
  table::TableOptions table_options;
  table_options.storage_options = options.storage_options;
  table_options.partition_types = options.partition_types;
  table_options.version = options.version;
  table_options.actions = options.actions;
  if (!options.as_of.empty()) {
    ARROW_ASSIGN_OR_RAISE(table_options.as_of_ms, table::delta::ParseTime(options.as_of));
  }
  table_options.root = options.root;
  table_options.part = std::move(rule);
  pipeline::ThreadExecutor executor(options.num_threads);
  auto impl = std::make_shared<DatasetImpl>();
  ARROW_ASSIGN_OR_RAISE(impl->table, table::Table::Open(uris, table_options, executor));
  impl->survivors = std::make_shared<pipeline::SurvivorCache>(options.cache_folder);
  impl->vocabularies = std::make_shared<pipeline::VocabularyCache>();
  impl->options = options;
  impl->options.version = impl->table->version();
  impl->options.as_of.clear();
  impl->options.where.clear();
  impl->options.between.reset();
  if (options.schema) {
    for (const Field& field : options.schema->fields()) {
      if (Status known = impl->Declared(field.name).status(); !known.ok()) {
        return WithContext(known, "the schema given to open");
      }
    }
  }
  ARROW_RETURN_NOT_OK(impl->Bind());
  return impl;
}

}  // namespace

Result<Dataset> Dataset::Open(const std::string& uri, const OpenOptions& options) {
  return Open(std::vector<std::string>{uri}, options);
}

Result<Dataset> Dataset::Open(const std::vector<std::string>& uris,
                              const OpenOptions& options) {
  ARROW_RETURN_NOT_OK(InitializeCompute());
  if (!uris.empty() && uris[0].starts_with(kCatalogScheme)) {
    if (uris.size() == 1) return pipeline::OpenByName(uris[0], options);
    return Error(ErrorKind::kInvalidArgument,
                 "open got " + uris[0] + " in a list, expected it alone");
  }
  std::optional<arrow::compute::Expression> where;
  if (!options.where.empty()) {
    ARROW_ASSIGN_OR_RAISE(where, expression::ParseFilter(options.where));
  }
  ARROW_ASSIGN_OR_RAISE(auto rule, pipeline::MakePartRule(where, options.between));
  ARROW_ASSIGN_OR_RAISE(auto impl, OpenImpl(uris, options, std::move(rule)));
  const auto table = impl->table;
  Dataset dataset(std::move(impl));
  if (where) {
    const auto epochs = pipeline::WithEpochs(*where, table->partition_columns());
    ARROW_ASSIGN_OR_RAISE(dataset, dataset.Where(epochs));
  }
  if (options.between) {
    ARROW_ASSIGN_OR_RAISE(const auto range,
                          pipeline::BetweenFilter(*table, *options.between));
    ARROW_ASSIGN_OR_RAISE(dataset, dataset.Where(range));
  }
  if (!where && !options.between) return dataset;
  impl = std::make_shared<DatasetImpl>(*dataset.impl_);
  impl->part = impl->where;
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::FromJson(const std::string& json) {
  ARROW_RETURN_NOT_OK(InitializeCompute());
  ARROW_ASSIGN_OR_RAISE(auto description, pipeline::DatasetDescription::FromJson(json));
  std::optional<arrow::compute::Expression> part;
  if (!description.part.empty()) {
    ARROW_ASSIGN_OR_RAISE(part, expression::DeserializeExpression(description.part));
  }
  ARROW_ASSIGN_OR_RAISE(auto rule, pipeline::MakePartRule(part, {}));
  ARROW_ASSIGN_OR_RAISE(auto impl,
                        OpenImpl(description.uris, description.options, std::move(rule)));
  const table::Table& table = *impl->table;
  if (table.fingerprint() != description.fingerprint) {
    return Error(ErrorKind::kConflict,
                 description.uris[0] +
                     ": the table has changed since the dataset was described: "
                     "found fingerprint " +
                     table.fingerprint() + " (" +
                     std::to_string(table.fragments().size()) + " files, " +
                     std::to_string(table.rows()) + " rows), expected " +
                     description.fingerprint + " (" + std::to_string(description.files) +
                     " files, " + std::to_string(description.rows) +
                     " rows): open it anew to take the new files");
  }
  impl->select = description.select;
  impl->choices = description.choices;
  impl->part = std::move(part);
  if (!description.where.empty()) {
    ARROW_ASSIGN_OR_RAISE(impl->where,
                          expression::DeserializeExpression(description.where));
  }
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::Select(const std::vector<std::string>& columns,
                                bool row_id) const {
  if (row_id) return SelectWithRowId(columns);
  if (columns.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "select got no columns, expected at least one");
  }
  std::set<std::string> seen;
  for (const std::string& name : columns) {
    if (!seen.insert(name).second) {
      return Error(ErrorKind::kInvalidArgument,
                   "select names column \"" + name + "\" twice");
    }
    // A second select narrows the first.
    if (impl_->select && !Has(impl_->columns, name)) {
      return Error(ErrorKind::kNotFound, "column \"" + name +
                                             "\" is not among the selected columns " +
                                             Quoted(impl_->columns));
    }
  }
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  impl->select = columns;
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::SelectWithRowId(std::vector<std::string> columns) const {
  const std::string name(kRowIdName);
  if (impl_->table->stores_row_id()) {
    return Error(ErrorKind::kInvalidArgument,
                 "select got row_id=True, but the table stores a column \"" + name +
                     "\" of its own: rename that one to have row ids");
  }
  if (columns.empty()) columns = impl_->columns;
  std::erase(columns, name);
  Dataset narrowed = *this;
  if (!columns.empty()) {
    ARROW_ASSIGN_OR_RAISE(narrowed, Select(columns));
  }
  auto impl = std::make_shared<DatasetImpl>(*narrowed.impl_);
  columns.push_back(name);
  impl->select = std::move(columns);
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::Where(std::string_view filter) const {
  ARROW_ASSIGN_OR_RAISE(auto expression, expression::ParseFilter(filter));
  return Where(expression);
}

Result<Dataset> Dataset::Where(const arrow::compute::Expression& filter) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  impl->where =
      impl->where ? arrow::compute::call("and_kleene", {*impl->where, filter}) : filter;
  // Bound alone first, so that an error speaks of what was given.
  const table::Table& table = *impl->table;
  const auto epochs = pipeline::WithEpochs(filter, table.partition_columns());
  ARROW_RETURN_NOT_OK(expression::Filter::Bind(epochs, *table.named_schema()).status());
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::Between(const Moment& start, const Moment& end,
                                 const std::optional<std::string>& column) const {
  ARROW_ASSIGN_OR_RAISE(auto filter,
                        pipeline::BetweenFilter(*impl_->table, {start, end, column}));
  return Where(filter);
}

namespace {

// Later policies replace earlier ones of the same column.
template <typename Map>
void Merge(const Map& from, Map* to) {
  for (const auto& [name, policy] : from) to->insert_or_assign(name, policy);
}

}  // namespace

Result<Dataset> Dataset::Cast(const std::map<std::string, std::string>& types) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  Merge(types, &impl->choices.casts);
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::Nulls(const std::map<std::string, NullPolicy>& policies) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  Merge(policies, &impl->choices.nulls);
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::Ragged(
    const std::map<std::string, RaggedPolicy>& policies) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  Merge(policies, &impl->choices.ragged);
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::Codes(const std::map<std::string, CodesPolicy>& policies) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  Merge(policies, &impl->choices.codes);
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::OneHot(
    const std::map<std::string, CodesPolicy>& policies) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  Merge(policies, &impl->choices.one_hot);
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::Standardize(
    const std::map<std::string, StandardizePolicy>& policies) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  Merge(policies, &impl->choices.standardize);
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::Map(const std::map<std::string, ImageOps>& ops) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  Merge(ops, &impl->choices.maps);
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::Pack(const std::string& name,
                              const std::vector<std::string>& columns) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  impl->choices.packs.push_back(PackSpec{name, columns});
  ARROW_RETURN_NOT_OK(impl->Bind());
  return Dataset(std::move(impl));
}

Result<Dataset> Dataset::OnError(ErrorPolicy policy) const {
  auto impl = std::make_shared<DatasetImpl>(*impl_);
  impl->choices.on_error = policy;
  return Dataset(std::move(impl));
}

const std::shared_ptr<arrow::Schema>& Dataset::schema() const { return impl_->schema; }
std::optional<int64_t> Dataset::version() const { return impl_->table->version(); }
const std::string& Dataset::fingerprint() const { return impl_->table->fingerprint(); }
std::string Dataset::ToJson() const { return pipeline::DatasetToJson(*impl_); }
std::string Dataset::ToString() const { return pipeline::DatasetToString(*impl_); }

namespace {

// A scan outside of a loader: counted by nobody, bounded by what one tile takes.
struct PlainScan {
  reader::ReadCounters counters;
  reader::ReadContext context;

  PlainScan() {
    context.pool = arrow::default_memory_pool();
    context.counters = &counters;
  }
};

}  // namespace

Result<int64_t> Dataset::CountRows() const {
  if (!impl_->filter) return impl_->table->rows();
  PlainScan plain;
  pipeline::ThreadExecutor executor(impl_->options.num_threads);
  ARROW_ASSIGN_OR_RAISE(auto scan, pipeline::Scan::Make(impl_, plain.context, executor));
  ARROW_ASSIGN_OR_RAISE(auto counts, scan->CountSurvivors(plain.context, executor));
  int64_t rows = 0;
  for (int64_t count : *counts) rows += count;
  return rows;
}

Result<std::shared_ptr<arrow::RecordBatchReader>> Dataset::ToReader(bool decode) const {
  pipeline::ThreadExecutor executor(impl_->options.num_threads);
  ARROW_ASSIGN_OR_RAISE(auto reader, pipeline::ScanReader::Make(impl_, executor));
  if (!decode) return reader;
  return pipeline::DecodedReader::Make(std::move(reader), impl_->choices);
}

Result<std::shared_ptr<arrow::Table>> Dataset::ToTable(bool decode) const {
  ARROW_ASSIGN_OR_RAISE(auto reader, ToReader(decode));
  return reader->ToTable();
}

Result<ScanSummary> Dataset::Explain() const {
  PlainScan plain;
  pipeline::ThreadExecutor executor(impl_->options.num_threads);
  ARROW_ASSIGN_OR_RAISE(auto scan, pipeline::Scan::Make(impl_, plain.context, executor));
  return scan->Summarize(plain.context);
}

}  // namespace headrace
