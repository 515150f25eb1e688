#include "storage/local/durable.h"

#include <arrow/buffer.h>
#include <arrow/io/file.h>
#include <arrow/util/io_util.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <utility>
#include <vector>

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

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// Makes the folders that are missing, and syncs those that name them.
Status MakeFolders(const std::string& folder) {
  std::vector<std::string> missing;
  std::error_code error;
  for (std::string at = folder; !std::filesystem::exists(at, error); at = FolderOf(at)) {
    if (error && error != std::errc::no_such_file_or_directory) break;
    missing.push_back(at);
  }
  if (missing.empty()) return Status::OK();
  std::filesystem::create_directories(folder, error);
  if (error) {
    errno = error.value();
    return Failed("mkdir", folder);
  }
  for (const std::string& made : missing) {
    ARROW_RETURN_NOT_OK(SyncFolder(FolderOf(made)));
  }
  return Status::OK();
}

class DurableFile : public arrow::io::OutputStream {
 public:
  DurableFile(std::shared_ptr<arrow::io::FileOutputStream> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}

  using OutputStream::Write;
  arrow::Status Write(const void* data, int64_t nbytes) override {
    return file_->Write(data, nbytes);
  }
  arrow::Status Flush() override { return file_->Flush(); }
  arrow::Result<int64_t> Tell() const override { return file_->Tell(); }
  bool closed() const override { return file_->closed(); }
  arrow::Status Abort() override { return file_->Close(); }
  arrow::Status Close() override {
    if (file_->closed()) return arrow::Status::OK();
    const Status synced =
        fsync(file_->file_descriptor()) == 0 ? Status::OK() : Failed("fsync", path_);
    const Status closed = file_->Close();
    ARROW_RETURN_NOT_OK(synced);
    ARROW_RETURN_NOT_OK(closed);
    return SyncFolder(FolderOf(path_));
  }

 private:
  std::shared_ptr<arrow::io::FileOutputStream> file_;
  std::string path_;
};

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

// Whether `path` is there now by another's doing. Over NFS the answer to a link that was
// made may be lost, and the call made again: what counts is that ours has two names.
Result<bool> LinkedByOther(const std::string& temporary, const std::string& path) {
  if (link(temporary.c_str(), path.c_str()) == 0) return false;
  const int number = errno;
  struct stat ours = {};
  if (stat(temporary.c_str(), &ours) == 0 && ours.st_nlink == 2) return false;
  if (number == EEXIST) return true;
  errno = number;
  const Status status = Failed("link", path);
  if (number != EPERM && number != EOPNOTSUPP && number != ENOSYS) return status;
  return Error(ErrorKind::kUnsupported,
               status.message() +
                   ": commits need a file system that has hard links, for no other way "
                   "is sure to write a file only where none is");
}

}  // namespace

Result<std::shared_ptr<arrow::io::OutputStream>> CreateDurable(const std::string& path) {
  ARROW_RETURN_NOT_OK(MakeFolders(FolderOf(path)));
  ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::FileOutputStream::Open(path));
  return std::make_shared<DurableFile>(std::move(file), path);
}

// A link cannot replace a file, and what it names was written whole before.
Result<bool> PutDurable(const std::string& path, std::string_view bytes) {
  const std::string folder = FolderOf(path);
  ARROW_RETURN_NOT_OK(MakeFolders(folder));
  std::error_code error;
  if (std::filesystem::exists(path, error)) return false;
  static std::atomic<uint64_t> count{0};
  const std::string temporary =
      folder + "/." + std::filesystem::path(path).filename().string() + "." +
      std::to_string(getpid()) + "-" +
      std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()) + "-" +
      std::to_string(count++) + ".tmp";
  Status status = WriteAndSync(temporary, bytes);
  bool there = false;
  if (status.ok()) {
    auto linked = LinkedByOther(temporary, path);
    status = linked.status();
    there = linked.ok() && *linked;
  }
  unlink(temporary.c_str());
  if (status.ok() && !there) status = SyncFolder(folder);
  ARROW_RETURN_NOT_OK(status);
  return !there;
}

}  // namespace headrace::storage
