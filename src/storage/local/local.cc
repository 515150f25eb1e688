#include <arrow/filesystem/localfs.h>
#include <arrow/util/io_util.h>
#include <arrow/util/uri.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string_view>

#include "storage/system.h"

namespace headrace::storage {
namespace {

Status Failed(const char* call, const std::string& path) {
  return arrow::internal::IOErrorFromErrno(errno, call, " failed for '", path, "'");
}

Status SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("open", folder);
  const bool synced = fsync(fd) == 0;
  const Status status = synced ? Status::OK() : Failed("fsync", folder);
  close(fd);
  return status;
}

Status WriteAndSync(const std::string& path, std::string_view bytes) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return Failed("open", path);
  Status status;
  while (status.ok() && !bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      status = Failed("write", path);
    } else {
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  if (status.ok() && fsync(fd) != 0) status = Failed("fsync", path);
  close(fd);
  return status;
}

// A link cannot replace a file, and what it names was written whole before.
Result<bool> PutLocal(const std::string& path, std::string_view bytes) {
  const std::filesystem::path target(path);
  const std::string folder = target.parent_path().string();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Status::IOError("no folder '", folder, "': ", error.message());
  if (std::filesystem::exists(target, error)) return false;
  static std::atomic<uint64_t> count{0};
  const std::string temporary =
      folder + "/." + target.filename().string() + "." + std::to_string(getpid()) + "-" +
      std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()) + "-" +
      std::to_string(count++) + ".tmp";
  Status status = WriteAndSync(temporary, bytes);
  bool there = false;
  if (status.ok() && link(temporary.c_str(), path.c_str()) != 0) {
    there = errno == EEXIST;
    if (!there) status = Failed("link", path);
  }
  unlink(temporary.c_str());
  if (status.ok() && !there) status = SyncFolder(folder);
  ARROW_RETURN_NOT_OK(status);
  return !there;
}

}  // namespace

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
  return System{std::move(filesystem), std::move(path), "", PutLocal};
}

}  // namespace headrace::storage
