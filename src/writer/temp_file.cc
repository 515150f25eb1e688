#include "writer/temp_file.h"

#include <arrow/io/buffered.h>
#include <arrow/io/file.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace headrace::writer {
namespace {

constexpr int64_t kBufferBytes = 64 << 10;

Status Failed(const std::string& folder, const char* what) {
  return Error(ErrorKind::kUnavailable,
               "a temporary file " + std::string(what) + " in " + folder + ": " +
                   std::strerror(errno) +
                   ": sorting needs one where the rows do not fit memory_budget");
}

// Shares the place in the file with `fd`, and is closed by whom it is given to.
Result<int> Duplicate(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? Result<int>(Failed("the sort", "cannot be opened again")) : copy;
}

}  // namespace

Result<TempFile> TempFile::Create(const std::string& folder) {
  std::error_code error;
  const std::string where =
      folder.empty() ? std::filesystem::temp_directory_path(error).string() : folder;
  int fd = open(where.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return TempFile(fd);
  // Some filesystems have no such files.
  std::string name = where + "/headrace-sort-XXXXXX";
  fd = mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return Failed(where, "cannot be made");
  unlink(name.c_str());
  return TempFile(fd);
}

TempFile& TempFile::operator=(TempFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

TempFile::~TempFile() {
  if (fd_ >= 0) close(fd_);
}

Result<std::shared_ptr<arrow::io::OutputStream>> TempFile::Writer(
    arrow::MemoryPool* pool) const {
  ARROW_ASSIGN_OR_RAISE(const int fd, Duplicate(fd_));
  ARROW_ASSIGN_OR_RAISE(auto raw, arrow::io::FileOutputStream::Open(fd));
  return arrow::io::BufferedOutputStream::Create(kBufferBytes, pool, std::move(raw));
}

Result<std::shared_ptr<arrow::io::InputStream>> TempFile::Reader(
    arrow::MemoryPool* pool) const {
  ARROW_ASSIGN_OR_RAISE(const int fd, Duplicate(fd_));
  ARROW_ASSIGN_OR_RAISE(auto raw, arrow::io::ReadableFile::Open(fd, pool));
  ARROW_RETURN_NOT_OK(raw->Seek(0));
  return raw;
}

}  // namespace headrace::writer
