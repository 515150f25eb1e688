/// \file
/// A Dataset as JSON (docs/format/dataset.md) and as text.
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schema/column_plan.h"

namespace headrace::pipeline {

/// What a dataset's JSON says.
struct DatasetDescription {
  std::vector<std::string> uris;
  OpenOptions options;
  std::string fingerprint;
  int64_t files = 0;
  int64_t rows = 0;
  std::optional<std::vector<std::string>> select;
  std::string where;  ///< As SerializeExpression gives it; empty: none.
  std::string part;   ///< Likewise.
  schema::ColumnChoices choices;

  static Result<DatasetDescription> FromJson(const std::string& json);
};

std::string DatasetToJson(const DatasetImpl& dataset);
std::string DatasetToString(const DatasetImpl& dataset);

}  // namespace headrace::pipeline
