/// \file
/// Which Delta tables this build reads and writes.
#pragma once

#include <headrace/result.h>

#include <string>

#include "table/delta/actions.h"

namespace headrace::table::delta {

/// Unsupported, naming the features that this build does not know.
Status CheckReadable(const Protocol& protocol, const std::string& display_path);

/// The same for what a writer has to keep, of the table's properties as well.
Status CheckWritable(const Protocol& protocol, const Metadata& metadata,
                     const std::string& display_path);

/// Rows may be added and not deleted or replaced.
bool IsAppendOnly(const Protocol& protocol, const Metadata& metadata);

/// Whether commits have to say their own time.
bool HasInCommitTimestamps(const Protocol& protocol, const Metadata& metadata);

}  // namespace headrace::table::delta
