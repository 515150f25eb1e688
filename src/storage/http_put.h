/// \file
/// Put-if-absent on object stores, by HTTP: a put that the store takes only where no
/// object is. Arrow's filesystems have none. And deletes, where theirs are slow.
///
/// A put whose answer is lost may have been done. Made again it is then refused, as if
/// another had come first; so what is there is read back, and if it has our bytes, it is
/// ours. Two puts of the very same bytes at once are thus not told apart where an answer
/// was lost: let the bytes hold a random id.
#pragma once

#include <arrow/filesystem/filesystem.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "storage/http.h"
#include "storage/retry.h"
#include "storage/system.h"

namespace headrace::storage {

/// The request that puts `bytes` where no object is. It is made for each attempt, as
/// signatures and credentials grow old.
using PutRequest =
    std::function<Result<HttpRequest>(const std::string& path, std::string_view bytes)>;

/// The request that deletes an object, made for each attempt.
using DeleteRequest = std::function<Result<HttpRequest>(const std::string& path)>;

struct HttpPut {
  PutRequest request;
  HttpSend send;
  std::shared_ptr<arrow::fs::FileSystem> filesystem;  ///< To read back.
  DeleteFile remove = nullptr;                        ///< Null: as the filesystem does.
  RetryPolicy retry;
  /// Whether the store is known to heed the condition. Servers that speak a store's
  /// protocol may ignore it, and lose commits: those are tried first, once, on an object
  /// of their own beside the path, and refused as Unsupported.
  bool heeds_condition = false;
};

/// How requests are made again, where a request may be silent for `request_timeout`.
/// There is no layer below that would.
inline RetryPolicy RequestRetry(double request_timeout) {
  return {.attempts = 6, .time_max_s = 2 * request_timeout};
}

/// Denied, NotFound, Unavailable and Unsupported as the store's answer has it.
PutIfAbsent MakeHttpPut(HttpPut put);

/// Errors as those of puts, but for NotFound, which is none; InvalidArgument for a path
/// that names a bucket only.
DeleteFile MakeHttpDelete(const DeleteRequest& request, const HttpSend& send,
                          const RetryPolicy& retry);

}  // namespace headrace::storage
