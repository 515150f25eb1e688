/// \file
/// Path patterns: `*` and `?` within a name, `[abc]`, `[a-z]`, `[!a]`, and `**` across
/// names.
#pragma once

#include <string>
#include <string_view>

namespace headrace::storage {

bool IsGlob(std::string_view path);

/// The directory before the first name with a wildcard.
std::string LiteralPrefix(std::string_view pattern);

bool GlobMatches(std::string_view pattern, std::string_view path);

}  // namespace headrace::storage
