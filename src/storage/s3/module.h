/// \file
/// The seam of the S3 module: libheadrace_s3.so, which alone links the AWS SDK and is
/// loaded when the first s3:// URI is opened.
#pragma once

#include <headrace/result.h>

#include <string>

#include "storage/system.h"

namespace headrace::storage {

/// Makes the system; `made` gets how it went.
using S3MakeFunction = void (*)(const std::string& uri, const Options& options,
                                System* system, Status* made);
/// Ends the AWS SDK, if it was begun. To be called before the process exits.
using S3FinalizeFunction = void (*)();

inline constexpr char kS3Module[] = "libheadrace_s3.so";
inline constexpr char kS3MakeName[] = "headrace_s3_make";
inline constexpr char kS3FinalizeName[] = "headrace_s3_finalize";

}  // namespace headrace::storage
