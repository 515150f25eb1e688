/// \file
/// Names that nobody else makes.
#pragma once

#include <string>

namespace headrace::base {

/// A random UUID (version 4) from the system's generator, in lower case. For names of
/// files and tables, never for anything that shapes what is read.
std::string RandomUuid();

}  // namespace headrace::base
