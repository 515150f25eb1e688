/// \file
/// Tables by their names.
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>

#include <string>

namespace headrace::pipeline {

/// Opens "catalog:NAME..." by the catalog of `options`.
Result<Dataset> OpenByName(const std::string& address, const OpenOptions& options);

}  // namespace headrace::pipeline
