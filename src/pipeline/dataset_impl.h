/// \file
/// What a Dataset holds, for the rest of the pipeline.
#pragma once

#include <arrow/compute/expression.h>
#include <headrace/dataset.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "expression/filter.h"
#include "pipeline/survivor_cache.h"
#include "pipeline/vocabulary.h"
#include "schema/column_plan.h"
#include "table/table.h"

namespace headrace {

/// What a Dataset is made of.
struct DatasetImpl {
  std::shared_ptr<const table::Table> table;
  /// Shared by all datasets of the table.
  std::shared_ptr<pipeline::SurvivorCache> survivors;
  std::shared_ptr<pipeline::VocabularyCache> vocabularies;
  OpenOptions options;

  /// Absent: all columns.
  std::optional<std::vector<std::string>> select;
  std::optional<arrow::compute::Expression> where;
  /// What was given to `Open` beside the table, with all that its partitions said of it:
  /// opened by it again, the table is of the same files. `where` holds it too.
  std::optional<arrow::compute::Expression> part;
  schema::ColumnChoices choices;

  /// Which files are read, of 0 none of their rows; empty: all. What compacting chooses.
  std::vector<uint8_t> files;

  // Derived by Bind.
  std::vector<std::string> columns;              // the selected names
  std::shared_ptr<arrow::Schema> stored_schema;  // with the table's types
  std::shared_ptr<arrow::Schema> schema;         // with casts
  std::optional<expression::Filter> filter;

  /// Checks the choice against the table and fills what is derived.
  Status Bind();
  /// A column of the table, as its metadata or the schema given to `Open` declare it.
  Result<std::shared_ptr<arrow::Field>> Declared(const std::string& name) const;
  const expression::Filter* filter_or_null() const { return filter ? &*filter : nullptr; }
};

/// The inside of a Dataset.
class DatasetAccess {
 public:
  static const DatasetImpl& Impl(const Dataset& dataset) { return *dataset.impl_; }
  static std::shared_ptr<const DatasetImpl> SharedImpl(const Dataset& dataset) {
    return dataset.impl_;
  }
  static const table::Table& Table(const Dataset& dataset) {
    return *dataset.impl_->table;
  }
};

}  // namespace headrace
