#include "table/delta/paths.h"

#include <string_view>

namespace headrace::table::delta {

Result<std::string> ResolvePath(const storage::Storage& storage, const std::string& root,
                                const std::string& path) {
  std::string scheme = storage::SchemeOf(path);
  if (scheme.empty() && path.starts_with("file:/")) scheme = "file";
  if (scheme.empty() && !path.starts_with('/')) return root + "/" + path;
  const std::string prefix = storage.Display("");
  if (scheme.empty() || scheme == "file") {
    if (!prefix.empty()) {
      return Error(ErrorKind::kUnsupported,
                   path + " is a local file, and the table lies on " + prefix +
                       ": copy the table with its files");
    }
    std::string_view local = path;
    if (scheme == "file") local.remove_prefix(std::string_view("file:").size());
    while (local.starts_with("//")) local.remove_prefix(1);
    return std::string(local);
  }
  // s3a:// and s3n:// are what Hadoop calls S3.
  if (scheme == "s3a" || scheme == "s3n") scheme = "s3";
  if (scheme == "gcs") scheme = "gs";
  if (prefix != scheme + "://") {
    return Error(ErrorKind::kUnsupported,
                 path + " does not lie on the storage of its table, " + prefix +
                     ": copy the table with its files");
  }
  return path.substr(path.find("://") + 3);
}

}  // namespace headrace::table::delta
