/// \file
/// What the tools of object stores read of a machine without being told: the one place of
/// the library that looks.
#pragma once

#include <string>

namespace headrace::storage {

/// A variable of the environment, or empty.
std::string Environment(const char* name);

/// A file's content; empty if there is none, or if it cannot be read.
std::string ContentOf(const std::string& path);

}  // namespace headrace::storage
