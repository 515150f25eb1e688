/// \file
/// Bytes that do not fit memory, in a file without a name.
#pragma once

#include <arrow/io/interfaces.h>
#include <headrace/result.h>

#include <memory>
#include <string>

namespace headrace::writer {

/// A file that is written once, then read once. Its name is gone as soon as it is open,
/// so that the system frees it however the process ends.
class TempFile {
 public:
  /// In `folder`; empty: the system's for temporary files.
  static Result<TempFile> Create(const std::string& folder);
  TempFile(TempFile&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  TempFile& operator=(TempFile&& other) noexcept;
  ~TempFile();

  /// To be closed before reading.
  Result<std::shared_ptr<arrow::io::OutputStream>> Writer(arrow::MemoryPool* pool) const;
  /// From the beginning.
  Result<std::shared_ptr<arrow::io::InputStream>> Reader(arrow::MemoryPool* pool) const;

 private:
  explicit TempFile(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace headrace::writer
