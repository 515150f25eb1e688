/// \file
/// Sizes as users read them.
#pragma once

#include <cstdint>
#include <string>

namespace headrace::pipeline {

/// "12 B", "1.5 MiB".
std::string SizeText(int64_t bytes);

}  // namespace headrace::pipeline
