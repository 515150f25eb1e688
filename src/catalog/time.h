/// \file
/// The time of an entry.
#pragma once

#include <cstdint>
#include <string>

namespace headrace::catalog {

/// "2026-11-28T10:15:30.000001Z"
std::string TimeText(int64_t us);

}  // namespace headrace::catalog
