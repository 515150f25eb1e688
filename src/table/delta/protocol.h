/// \file
/// Which Delta tables this build reads and writes.
#pragma once

#include <headrace/result.h>

#include <cstdint>
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

/// As Delta has it where a table does not say.
inline constexpr int64_t kCheckpointInterval = 10;

/// Of how many versions one gets a checkpoint: the property, if it is a number above 0.
int64_t CheckpointInterval(const Metadata& metadata);

/// Whether commits have to say their own time.
bool HasInCommitTimestamps(const Protocol& protocol, const Metadata& metadata);

}  // namespace headrace::table::delta
