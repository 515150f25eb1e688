/// \file
/// Tables by their names.
#pragma once

#include <arrow/type_fwd.h>
#include <headrace/catalog.h>
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

/// A write to the table of "catalog:NAME".
struct NamedWrite {
  std::string name;
  /// Where the rows go, and how: as a write that names no catalog has it.
  std::string uri;
  WriteOptions options;
  OpenOptions opening;
  std::shared_ptr<Catalog> catalog;

  /// By the catalog of `options`.
  static Result<NamedWrite> Of(const std::string& address, const WriteOptions& options);
  /// Tells the catalog what the table is now. The rows stand if that fails: why it did is
  /// put into the summary.
  void Tell(WriteSummary* summary) const;
};

/// Writes to the table of "catalog:NAME", and tells the catalog of `options`.
Result<WriteSummary> WriteByName(const std::shared_ptr<arrow::RecordBatchReader>& data,
                                 const std::string& address, const WriteOptions& options,
                                 const Progress& progress);

}  // namespace headrace::pipeline
