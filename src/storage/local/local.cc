#include <arrow/filesystem/localfs.h>

#include <filesystem>

#include "storage/system.h"

namespace headrace::storage {

Result<System> MakeLocal(const std::string& uri, const OptionMap& given) {
  ARROW_RETURN_NOT_OK(Options::Make("local files", given, {}).status());
  auto filesystem = std::make_shared<arrow::fs::LocalFileSystem>();
  std::string path = uri;
  if (SchemeOf(uri) == "file") {
    ARROW_ASSIGN_OR_RAISE(path, filesystem->PathFromUri(uri));
  }
  if (path.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "the path is empty, expected a file or directory");
  }
  // Absolute, so that a change of the working directory after `open` changes nothing.
  path = std::filesystem::absolute(path).lexically_normal().string();
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return System{std::move(filesystem), std::move(path), ""};
}

}  // namespace headrace::storage
