#include "storage/errors.h"

#include <arrow/util/io_util.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <string_view>

namespace headrace::storage {
namespace {

bool Mentions(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

// Names of files are no words of the storage. Without a slash they are left: they might
// be a part of such a word.
std::string WithoutPath(std::string text, const std::string& path) {
  for (const std::string& name : {path, path.substr(path.find('/') + 1)}) {
    if (name.find('/') == std::string::npos) continue;
    for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at)) {
      text.erase(at, name.size());
    }
  }
  return text;
}

}  // namespace

ErrorKind KindOfStorage(const Status& status, const std::string& path) {
  const int number = arrow::internal::ErrnoFromStatus(status);
  if (number == ENOSPC || number == EDQUOT || number == EFBIG) {
    return ErrorKind::kResourceExhausted;
  }
  const std::string text = WithoutPath(status.message(), path);
  if (Mentions(text, {"ACCESS_DENIED", "AccessDenied", "InvalidAccessKeyId",
                      "INVALID_ACCESS_KEY_ID", "SignatureDoesNotMatch",
                      "SIGNATURE_DOES_NOT_MATCH", "AuthenticationFailed", "Authorization",
                      "Permission denied", "PERMISSION_DENIED", "UNAUTHENTICATED",
                      "HTTP status 403"})) {
    return ErrorKind::kDenied;
  }
  if (Mentions(text, {"NoSuchBucket", "NO_SUCH_BUCKET", "NoSuchKey", "NOT_FOUND",
                      "does not exist", "Path does not exist", "No such file",
                      "HTTP status 404"})) {
    return ErrorKind::kNotFound;
  }
  return KindOf(status);
}

}  // namespace headrace::storage
