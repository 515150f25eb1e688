/// \file
/// Percent-escapes, as paths of Hive partitions and of Delta logs have them.
#pragma once

#include <string>
#include <string_view>

namespace headrace::table {

/// The text with each "%2F" as the byte that it stands for; a "%" before anything else
/// than two hexadecimal digits stays.
std::string PercentDecoded(std::string_view text);

}  // namespace headrace::table
