/// \file
/// Files that are read by position.
#pragma once

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>

#include <cstdint>
#include <memory>

namespace headrace::storage {

/// A file over another one: reading on is reading at a position of its own, so that
/// `ReadAt` is all there is to write.
class PositionedFile : public arrow::io::RandomAccessFile {
 public:
  arrow::Status Close() override { return file_->Close(); }
  bool closed() const override { return file_->closed(); }
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Status Seek(int64_t position) override {
    position_ = position;
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> Read(int64_t nbytes, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAt(position_, nbytes, out));
    position_ += got;
    return got;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t nbytes) override {
    ARROW_ASSIGN_OR_RAISE(auto bytes, ReadAt(position_, nbytes));
    position_ += bytes->size();
    return bytes;
  }
  using RandomAccessFile::ReadAt;

 protected:
  explicit PositionedFile(std::shared_ptr<arrow::io::RandomAccessFile> file)
      : file_(std::move(file)) {}

  std::shared_ptr<arrow::io::RandomAccessFile> file_;

 private:
  int64_t position_ = 0;
};

}  // namespace headrace::storage
