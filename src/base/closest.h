/// \file
/// Names to offer for one that is not there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headrace::base {

/// The ten names closest to `wanted` by edits (insert, delete, replace; Levenshtein
/// 1966), blind to ASCII case, closest first, as a list in words: `a, b and 3 more`.
std::string ListClosest(std::string_view wanted, const std::vector<std::string>& names);

}  // namespace headrace::base
