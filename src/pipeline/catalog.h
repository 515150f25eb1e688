/// \file
/// Tables by their names.
#pragma once

#include <arrow/type_fwd.h>
#include <headrace/dataset.h>
#include <headrace/result.h>
#include <headrace/write.h>

#include <memory>
#include <string>
#include <vector>

namespace headrace::pipeline {

/// Where the table of a name lies, and how it is opened there.
struct NamedPlace {
  std::vector<std::string> uris;
  OpenOptions options;
};

/// Of "catalog:NAME...", by the catalog of `options`; they go before what it says.
Result<NamedPlace> PlaceOfName(const std::string& address, const OpenOptions& options);

/// Opens "catalog:NAME..." by the catalog of `options`.
Result<Dataset> OpenByName(const std::string& address, const OpenOptions& options);

/// Writes to the table of "catalog:NAME", and tells the catalog of `options`.
Result<WriteSummary> WriteByName(const std::shared_ptr<arrow::RecordBatchReader>& data,
                                 const std::string& address, const WriteOptions& options,
                                 const Progress& progress);

}  // namespace headrace::pipeline
