#include <arrow/filesystem/localfs.h>
#include <arrow/util/uri.h>

#include <filesystem>
#include <string_view>

#include "storage/local/durable.h"
#include "storage/system.h"

namespace headrace::storage {

Result<System> MakeLocal(const std::string& uri, const OptionMap& given) {
  ARROW_RETURN_NOT_OK(Options::Make("local files", given, {}).status());
  auto filesystem = std::make_shared<arrow::fs::LocalFileSystem>();
  std::string path = uri;
  if (SchemeOf(uri) == "file") {
    // Ours, as Arrow's takes no "?" and "[" of globs.
    path = uri.substr(std::string_view("file://").size());
    if (path.starts_with("localhost/"))
      path.erase(0, std::string_view("localhost").size());
    if (!path.starts_with('/')) {
      return Error(ErrorKind::kInvalidArgument,
                   uri + " names a host, expected file:/// and an absolute path");
    }
    path = arrow::util::UriUnescape(path);
  }
  if (path.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "the path is empty, expected a file or directory");
  }
  // Absolute, so that a change of the working directory after `open` changes nothing.
  path = std::filesystem::absolute(path).lexically_normal().string();
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return System{.filesystem = std::move(filesystem),
                .path = std::move(path),
                .display_prefix = "",
                .put_if_absent = PutDurable,
                .create = CreateDurable};
}

}  // namespace headrace::storage
