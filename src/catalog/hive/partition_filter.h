/// \file
/// What of a filter a Hive Metastore can be asked.
#pragma once

#include <headrace/result.h>

#include <map>
#include <string>
#include <string_view>

namespace headrace::catalog {

/// The part of a filter's text that speaks of partition columns alone, in the metastore's
/// words: what it rules out, the filter rules out. Empty if there is none. `keys`: the
/// partition columns with their Hive types. InvalidArgument for text that does not parse.
Result<std::string> PartitionFilter(std::string_view where,
                                    const std::map<std::string, std::string>& keys);

}  // namespace headrace::catalog
