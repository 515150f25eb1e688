/// \file
/// The edge where Parquet's exceptions become statuses.
#pragma once

#include <headrace/result.h>
#include <parquet/exception.h>

#include <exception>
#include <new>

namespace headrace::writer {

/// Calls `fn`, which returns a Status or Result. A status that Parquet carries through is
/// returned as it is; what it throws of its own is a value that it cannot write.
template <typename Fn>
auto CatchWrite(Fn&& fn) -> decltype(fn()) {
  try {
    return fn();
  } catch (const parquet::ParquetStatusException& e) {
    return e.status();
  } catch (const std::bad_alloc&) {
    return Error(ErrorKind::kResourceExhausted, "there is no memory left to encode it");
  } catch (const std::exception& e) {
    return Error(ErrorKind::kUnsupported, e.what());
  }
}

}  // namespace headrace::writer
