/// \file
/// The edge where Parquet's exceptions become statuses.
#pragma once

#include <headrace/result.h>
#include <parquet/exception.h>

#include <exception>
#include <new>

namespace headrace::reader {

/// Calls `fn`, which returns a Status or Result. What Parquet throws of its own, or lets
/// pass from the standard library, is Corrupt; a status that it carries through is
/// returned as it is.
template <typename Fn>
auto CatchParquet(Fn&& fn) -> decltype(fn()) {
  try {
    return fn();
  } catch (const parquet::ParquetStatusException& e) {
    return e.status();
  } catch (const std::bad_alloc&) {
    return Error(ErrorKind::kResourceExhausted, "there is no memory left to decode it");
  } catch (const std::exception& e) {
    return Error(ErrorKind::kCorrupt, e.what());
  }
}

}  // namespace headrace::reader
