/// \file
/// What every target holds a refusal to.
#pragma once

#include <headrace/result.h>

#include <cstdlib>

namespace headrace::fuzz {

/// Aborts at a refusal that has no words, or that says we are at fault.
inline void CheckRefusal(const Status& status) {
  if (status.ok()) return;
  if (MessageOf(status).empty() || KindOf(status) == ErrorKind::kInternal) std::abort();
}

}  // namespace headrace::fuzz
