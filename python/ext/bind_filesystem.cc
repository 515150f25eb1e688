// A filesystem in Python, seen as one of Arrow's: headrace/_filesystem.py says which
// methods it has. It is read, and no more.
#include <arrow/buffer.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <headrace/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

/// (path, whether it is a file and not a directory, size, nanoseconds since the epoch).
using Entry = std::tuple<std::string, bool, int64_t, int64_t>;

Status StatusOf(const nb::python_error& error) {
  const std::string said = nb::cast<std::string>(nb::str(error.type().attr("__name__"))) +
                           ": " + nb::cast<std::string>(nb::str(error.value()));
  if (error.matches(PyExc_FileNotFoundError) || error.matches(PyExc_NotADirectoryError)) {
    return Error(ErrorKind::kNotFound, said);
  }
  if (error.matches(PyExc_PermissionError)) return Error(ErrorKind::kDenied, said);
  return Status::IOError(said);
}

/// What `call` returns, run with the GIL.
template <typename CallT>
auto Asked(CallT call) -> Result<decltype(call())> {
  const WithGil gil;
  if (!gil.taken()) return Error(ErrorKind::kCancelled, "the interpreter ends");
  try {
    return call();
  } catch (nb::python_error& error) {
    return StatusOf(error);
  } catch (const std::exception& error) {
    return Error(
        ErrorKind::kInvalidArgument,
        std::string("the filesystem does not return what it should: ") + error.what());
  }
}

/// An object that a thread without the GIL may hold and let go.
class Held {
 public:
  explicit Held(nb::object object) : object_(std::move(object)) {}
  ~Held() {
    const WithGil gil;
    if (gil.taken()) {
      object_.reset();
    } else {
      object_.release();  // the process ends
    }
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  const nb::object& get() const { return object_; }

 private:
  nb::object object_;
};

Status ReadsOnly() {
  return Error(ErrorKind::kUnsupported, "a filesystem that was given is only read");
}

class GivenFile : public arrow::io::RandomAccessFile {
 public:
  GivenFile(nb::object file, int64_t size)
      : file_(std::make_unique<Held>(std::move(file))), size_(size) {}

  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();  // Python's goes with the last reference to it
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Status Seek(int64_t position) override {
    position_ = position;
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> GetSize() override { return size_; }
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
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t nbytes, void* out) override {
    return Asked([&]() -> int64_t {
      const nb::object bytes = file_->get().attr("read_at")(position, nbytes);
      Py_buffer view;
      if (PyObject_GetBuffer(bytes.ptr(), &view, PyBUF_SIMPLE) != 0) {
        throw nb::python_error();
      }
      const int64_t got = std::min<int64_t>(view.len, nbytes);
      std::memcpy(out, view.buf, static_cast<size_t>(got));
      PyBuffer_Release(&view);
      return got;
    });
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position,
                                                       int64_t nbytes) override {
    ARROW_ASSIGN_OR_RAISE(auto bytes, arrow::AllocateResizableBuffer(nbytes));
    ARROW_ASSIGN_OR_RAISE(const int64_t got,
                          ReadAt(position, nbytes, bytes->mutable_data()));
    ARROW_RETURN_NOT_OK(bytes->Resize(got));
    return std::shared_ptr<arrow::Buffer>(std::move(bytes));
  }

 private:
  std::unique_ptr<Held> file_;
  int64_t size_;
  int64_t position_ = 0;
  bool closed_ = false;
};

arrow::fs::FileInfo InfoOf(const Entry& entry) {
  const auto& [path, is_file, size, modified_ns] = entry;
  arrow::fs::FileInfo info(
      path, is_file ? arrow::fs::FileType::File : arrow::fs::FileType::Directory);
  info.set_size(size);
  info.set_mtime(arrow::fs::TimePoint(std::chrono::nanoseconds(modified_ns)));
  return info;
}

class GivenFileSystem : public arrow::fs::FileSystem {
 public:
  explicit GivenFileSystem(nb::object filesystem) : filesystem_(std::move(filesystem)) {}

  using FileSystem::GetFileInfo;
  using FileSystem::OpenInputFile;

  std::string type_name() const override { return "given"; }
  bool Equals(const FileSystem& other) const override { return this == &other; }

  Result<arrow::fs::FileInfo> GetFileInfo(const std::string& path) override {
    return Asked([&] {
      const auto entry =
          nb::cast<std::optional<Entry>>(filesystem_.get().attr("info")(path));
      return entry ? InfoOf(*entry)
                   : arrow::fs::FileInfo(path, arrow::fs::FileType::NotFound);
    });
  }
  Result<arrow::fs::FileInfoVector> GetFileInfo(
      const arrow::fs::FileSelector& selector) override {
    return Asked([&] {
      arrow::fs::FileInfoVector infos;
      for (const Entry& entry : nb::cast<std::vector<Entry>>(
               filesystem_.get().attr("list")(selector.base_dir, selector.recursive))) {
        infos.push_back(InfoOf(entry));
      }
      return infos;
    });
  }
  Result<std::shared_ptr<arrow::io::RandomAccessFile>> OpenInputFile(
      const std::string& path) override {
    ARROW_ASSIGN_OR_RAISE(const auto info, GetFileInfo(path));
    return OpenInputFile(info);
  }
  Result<std::shared_ptr<arrow::io::RandomAccessFile>> OpenInputFile(
      const arrow::fs::FileInfo& info) override {
    return Asked([&]() -> std::shared_ptr<arrow::io::RandomAccessFile> {
      return std::make_shared<GivenFile>(filesystem_.get().attr("open")(info.path()),
                                         info.size());
    });
  }

  Result<std::shared_ptr<arrow::io::InputStream>> OpenInputStream(
      const std::string&) override {
    return ReadsOnly();
  }
  Status CreateDir(const std::string&, bool) override { return ReadsOnly(); }
  Status DeleteDir(const std::string&) override { return ReadsOnly(); }
  Status DeleteDirContents(const std::string&, bool) override { return ReadsOnly(); }
  Status DeleteRootDirContents() override { return ReadsOnly(); }
  Status DeleteFile(const std::string&) override { return ReadsOnly(); }
  Status Move(const std::string&, const std::string&) override { return ReadsOnly(); }
  Status CopyFile(const std::string&, const std::string&) override { return ReadsOnly(); }
  Result<std::shared_ptr<arrow::io::OutputStream>> OpenOutputStream(
      const std::string&,
      const std::shared_ptr<const arrow::KeyValueMetadata>&) override {
    return ReadsOnly();
  }
  Result<std::shared_ptr<arrow::io::OutputStream>> OpenAppendStream(
      const std::string&,
      const std::shared_ptr<const arrow::KeyValueMetadata>&) override {
    return ReadsOnly();
  }

 private:
  Held filesystem_;
};

}  // namespace

void BindFilesystem(nb::module_& m) {
  m.def(
      "add_filesystem",
      [](const std::string& scheme, nb::object filesystem,
         const std::string& display_prefix) {
        Check(AddFilesystem(scheme,
                            std::make_shared<GivenFileSystem>(std::move(filesystem)),
                            display_prefix));
      },
      nb::arg("scheme"), nb::arg("filesystem"), nb::arg("display_prefix"),
      "headrace::AddFilesystem, of a filesystem of headrace._filesystem.");
}

}  // namespace headrace::ext
