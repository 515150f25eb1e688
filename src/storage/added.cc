#include <arrow/filesystem/filesystem.h>
#include <headrace/filesystem.h>

#include <set>
#include <utility>

#include "storage/system.h"

namespace headrace {

Status AddFilesystem(const std::string& scheme,
                     std::shared_ptr<arrow::fs::FileSystem> filesystem,
                     const std::string& display_prefix) {
  static const std::set<std::string> kTaken = {"file",  "s3", "gs",   "gcs",   "abfs",
                                               "abfss", "az", "hdfs", "viewfs"};
  if (storage::SchemeOf(scheme + "://") != scheme || scheme.empty() ||
      kTaken.count(scheme) > 0) {
    return Error(ErrorKind::kInvalidArgument,
                 "\"" + scheme +
                     "\" cannot be the scheme of a filesystem: expected letters in lower "
                     "case, digits, + - ., and none of Headrace's own");
  }
  storage::AddScheme(
      scheme,
      [scheme, filesystem = std::move(filesystem), display_prefix](
          const std::string& uri,
          const storage::OptionMap& given) -> Result<storage::System> {
        ARROW_RETURN_NOT_OK(
            storage::Options::Make("a filesystem that was added", given, {}).status());
        std::string path = uri.substr(scheme.size() + 3);
        while (path.size() > 1 && path.ends_with('/')) path.pop_back();
        return storage::System{.filesystem = filesystem,
                               .path = std::move(path),
                               .display_prefix = display_prefix,
                               .retry = storage::RetryPolicy()};
      });
  return Status::OK();
}

}  // namespace headrace
