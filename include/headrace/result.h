/// \file
/// Results and the twelve error kinds.
///
/// Headrace never throws. A call that can fail returns `Result<T>` or `Status` (Arrow's
/// own, so that they pass through Arrow code unchanged). The kind of an error rides in
/// the status' detail; the message says what, where, found against expected, and what to
/// do, and is not API.
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

#include <string>
#include <string_view>

namespace headrace {

using arrow::Result;
using arrow::Status;

/// What went wrong, coarse enough that a caller would act differently on each.
/// Every kind has a page in docs/errors.
enum class ErrorKind {
  kInvalidArgument,    ///< The call itself is wrong; changing the arguments mends it.
  kNotFound,           ///< A table, file, column or version that is not there.
  kSchemaMismatch,     ///< Files, or a file and a declaration, disagree on a column.
  kCorrupt,            ///< Stored bytes are damaged.
  kUnavailable,        ///< Storage did not answer; the same call may succeed later.
  kDenied,             ///< Storage refused the credentials.
  kConflict,           ///< The state of the world differs from what the caller relied on.
  kUnsupported,        ///< Known, and not done by this build.
  kCancelled,          ///< Stopped by the caller.
  kResourceExhausted,  ///< A budget (memory, slots) is too small.
  kPeerFailed,         ///< Another rank failed or did not answer.
  kInternal,           ///< A fault in Headrace.
};

/// The kind's name as users see it, for example "InvalidArgument".
std::string_view KindName(ErrorKind kind);

/// A failed status of the given kind.
Status Error(ErrorKind kind, std::string message);

/// The kind of a failed status. A status that Arrow made is classed by its code and
/// errno; REQUIRES: `!status.ok()`.
ErrorKind KindOf(const Status& status);

/// The message without Arrow's code prefix, in the words that users see.
std::string MessageOf(const Status& status);

/// The same error with `context` put before its message, keeping the kind.
Status WithContext(const Status& status, std::string_view context);

}  // namespace headrace
