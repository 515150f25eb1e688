#include "storage/faulty.h"

#include <arrow/buffer.h>
#include <arrow/io/file.h>
#include <arrow/io/interfaces.h>
#include <arrow/util/io_util.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <thread>
#include <utility>

#include "storage/positioned_file.h"
#include "storage/system.h"

namespace headrace::storage {
namespace {

constexpr std::string_view kScheme = "faulty://";
constexpr auto kLate = std::chrono::milliseconds(1);

std::string_view NameOf(Operation operation) {
  switch (operation) {
    case Operation::kInfo:
      return "info";
    case Operation::kList:
      return "list";
    case Operation::kOpen:
      return "open";
    case Operation::kSize:
      return "size";
    case Operation::kRead:
      return "read";
    case Operation::kCreate:
      return "create";
    case Operation::kWrite:
      return "write";
    case Operation::kClose:
      return "close";
    case Operation::kPut:
      return "put";
    case Operation::kDelete:
      return "delete";
  }
  return "?";
}

Result<std::shared_ptr<arrow::io::OutputStream>> CreateUnsynced(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::FileOutputStream::Open(path));
  return file;
}

Result<bool> PutUnsynced(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".put";
  ARROW_ASSIGN_OR_RAISE(auto file, CreateUnsynced(temporary));
  ARROW_RETURN_NOT_OK(file->Write(bytes));
  ARROW_RETURN_NOT_OK(file->Close());
  std::error_code error;
  std::filesystem::create_hard_link(temporary, path, error);
  std::filesystem::remove(temporary);
  if (!error) return true;
  if (error == std::errc::file_exists) return false;
  return Status::IOError(path, ": ", error.message());
}

bool Writes(Operation operation) { return operation >= Operation::kCreate; }

Status NoSuchCall() {
  return Status::NotImplemented("the faulty filesystem reads, writes and deletes files");
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Call& call) {
  return out << NameOf(call.operation) << " " << call.nth << " of " << call.path;
}

std::ostream& operator<<(std::ostream& out, Fault fault) {
  switch (fault) {
    case Fault::kFail:
      return out << "fail";
    case Fault::kErrno:
      return out << "errno";
    case Fault::kThrottle:
      return out << "throttle";
    case Fault::kDelay:
      return out << "delay";
    case Fault::kCut:
      return out << "cut";
    case Fault::kFlip:
      return out << "flip";
    case Fault::kBlock:
      return out << "block";
    case Fault::kLost:
      return out << "lost";
  }
  return out;
}

void Faults::Forget() {
  counts_.clear();
  calls_ = death_ = other_at_ = 0;
  other_ = nullptr;
  struck_ = armed_ = false;
}

void Faults::Arm(Call call, Fault fault, bool lasting) {
  std::lock_guard lock(mutex_);
  Forget();
  armed_ = true;
  lasting_ = lasting;
  call_ = std::move(call);
  fault_ = fault;
}

void Faults::ArmDeath(int64_t nth, Fault fault) {
  std::lock_guard lock(mutex_);
  Forget();
  death_ = nth;
  fault_ = fault;
}

void Faults::ArmOther(int64_t nth, std::function<void()> other) {
  std::lock_guard lock(mutex_);
  Forget();
  other_at_ = nth;
  other_ = std::move(other);
}

void Faults::ArmOther(Call call, std::function<void()> other) {
  std::lock_guard lock(mutex_);
  Forget();
  call_ = std::move(call);
  other_ = std::move(other);
}

void Faults::Disarm() {
  std::lock_guard lock(mutex_);
  Forget();
}

int64_t Faults::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

bool Faults::struck() const {
  std::lock_guard lock(mutex_);
  return struck_;
}

std::map<std::pair<Operation, std::string>, int64_t> Faults::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

std::function<void()> Faults::TakeOther(Operation operation, const std::string& path) {
  std::lock_guard lock(mutex_);
  if (other_ == nullptr) return nullptr;
  const bool now = other_at_ > 0
                       ? calls_ + 1 == other_at_
                       : Call{operation, path, counts_[{operation, path}] + 1} == call_;
  return now ? std::exchange(other_, nullptr) : nullptr;
}

Result<Faults::Strike> Faults::Enter(Operation operation, const std::string& path) {
  if (watch_ != nullptr) watch_();
  if (const auto other = TakeOther(operation, path)) other();
  Strike strike;
  {
    std::lock_guard lock(mutex_);
    const int64_t nth = ++counts_[{operation, path}];
    ++calls_;
    if (death_ > 0) {
      if (calls_ > death_) return Status::IOError("struck: dead");
      if (calls_ < death_) return strike;
    } else {
      if (!armed_ || operation != call_.operation || path != call_.path) return strike;
      if (nth < call_.nth || (nth > call_.nth && !lasting_)) return strike;
    }
    struck_ = true;
    strike = {true, fault_};
  }
  if (strike.fault == Fault::kDelay) {
    std::this_thread::sleep_for(kLate);
    return Strike();
  }
  if (strike.fault == Fault::kErrno) {
    return arrow::internal::IOErrorFromErrno(EIO, "struck");
  }
  if (strike.fault == Fault::kThrottle) {
    return Status::IOError("struck: HTTP status 503: SlowDown");
  }
  if (!IsPossible(operation, strike.fault)) return Status::IOError("struck");
  return strike;
}

bool Faults::IsPossible(Operation operation, Fault fault) {
  switch (fault) {
    case Fault::kCut:
      return operation == Operation::kRead || operation == Operation::kInfo ||
             operation == Operation::kSize || operation == Operation::kWrite;
    case Fault::kFlip:
    case Fault::kBlock:
      return operation == Operation::kRead;
    case Fault::kLost:
      return Writes(operation);
    default:
      return false;
  }
}

Status Faults::Strike::Lost() const {
  return hit ? Status::IOError("struck, after it was done") : Status::OK();
}

/// One open file.
class FaultyFile : public PositionedFile {
 public:
  FaultyFile(std::shared_ptr<arrow::io::RandomAccessFile> file,
             std::shared_ptr<Faults> faults, std::string path)
      : PositionedFile(std::move(file)),
        faults_(std::move(faults)),
        path_(std::move(path)) {
    ++faults_->open_files_;
  }
  ~FaultyFile() override { --faults_->open_files_; }

  arrow::Result<int64_t> GetSize() override {
    ARROW_ASSIGN_OR_RAISE(auto strike, faults_->Enter(Operation::kSize, path_));
    ARROW_ASSIGN_OR_RAISE(const int64_t size, file_->GetSize());
    return strike.hit ? size / 2 : size;
  }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t nbytes, void* out) override {
    ARROW_ASSIGN_OR_RAISE(auto strike, faults_->Enter(Operation::kRead, path_));
    ARROW_ASSIGN_OR_RAISE(const int64_t got, file_->ReadAt(position, nbytes, out));
    if (!strike.hit) return got;
    auto* bytes = static_cast<uint8_t*>(out);
    if (strike.fault == Fault::kCut) return got / 2;
    if (strike.fault == Fault::kFlip && got > 0) bytes[got - 1] ^= 0xff;
    if (strike.fault == Fault::kBlock) {
      for (int64_t i = got / 4; i < got - got / 4; ++i) bytes[i] ^= 0xa5;
    }
    return got;
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
  std::shared_ptr<Faults> faults_;
  std::string path_;
};

/// A file that is written.
class FaultyStream : public arrow::io::OutputStream {
 public:
  FaultyStream(std::shared_ptr<arrow::io::OutputStream> stream,
               std::shared_ptr<Faults> faults, std::string path)
      : stream_(std::move(stream)), faults_(std::move(faults)), path_(std::move(path)) {}

  using OutputStream::Write;
  arrow::Status Write(const void* data, int64_t nbytes) override {
    ARROW_ASSIGN_OR_RAISE(auto strike, faults_->Enter(Operation::kWrite, path_));
    const bool cut = strike.hit && strike.fault == Fault::kCut;
    ARROW_RETURN_NOT_OK(stream_->Write(data, cut ? nbytes / 2 : nbytes));
    return strike.Lost();
  }
  arrow::Status Flush() override { return stream_->Flush(); }
  arrow::Result<int64_t> Tell() const override { return stream_->Tell(); }
  bool closed() const override { return stream_->closed(); }
  arrow::Status Abort() override { return stream_->Abort(); }
  arrow::Status Close() override {
    if (stream_->closed()) return arrow::Status::OK();
    ARROW_ASSIGN_OR_RAISE(auto strike, faults_->Enter(Operation::kClose, path_));
    ARROW_RETURN_NOT_OK(stream_->Close());
    return strike.Lost();
  }

  /// What `open` opens, through `faults`.
  static Result<std::shared_ptr<arrow::io::OutputStream>> Open(
      const std::shared_ptr<Faults>& faults, const std::string& path,
      const CreateFile& open) {
    ARROW_ASSIGN_OR_RAISE(auto strike, faults->Enter(Operation::kCreate, path));
    ARROW_ASSIGN_OR_RAISE(auto stream, open(path));
    ARROW_RETURN_NOT_OK(strike.Lost());
    return std::make_shared<FaultyStream>(std::move(stream), faults, path);
  }

 private:
  std::shared_ptr<arrow::io::OutputStream> stream_;
  std::shared_ptr<Faults> faults_;
  std::string path_;
};

class FaultyFileSystem : public arrow::fs::FileSystem {
 public:
  FaultyFileSystem(std::shared_ptr<arrow::fs::FileSystem> filesystem,
                   std::shared_ptr<Faults> faults)
      : filesystem_(std::move(filesystem)), faults_(std::move(faults)) {}

  using FileSystem::Equals;
  using FileSystem::GetFileInfo;
  using FileSystem::OpenInputFile;

  std::string type_name() const override { return faults_->local_ ? "local" : "faulty"; }
  bool Equals(const FileSystem& other) const override {
    return other.type_name() == type_name() &&
           filesystem_->Equals(*static_cast<const FaultyFileSystem&>(other).filesystem_);
  }

  Result<arrow::fs::FileInfo> GetFileInfo(const std::string& path) override {
    ARROW_ASSIGN_OR_RAISE(auto strike, faults_->Enter(Operation::kInfo, path));
    ARROW_ASSIGN_OR_RAISE(auto info, filesystem_->GetFileInfo(path));
    if (strike.hit) info.set_size(info.size() / 2);
    return info;
  }
  Result<arrow::fs::FileInfoVector> GetFileInfo(
      const arrow::fs::FileSelector& selector) override {
    ARROW_RETURN_NOT_OK(faults_->Enter(Operation::kList, selector.base_dir).status());
    return filesystem_->GetFileInfo(selector);
  }
  Result<std::shared_ptr<arrow::io::RandomAccessFile>> OpenInputFile(
      const std::string& path) override {
    ARROW_RETURN_NOT_OK(faults_->Enter(Operation::kOpen, path).status());
    ARROW_ASSIGN_OR_RAISE(auto file, filesystem_->OpenInputFile(path));
    return std::make_shared<FaultyFile>(std::move(file), faults_, path);
  }
  Result<std::shared_ptr<arrow::io::RandomAccessFile>> OpenInputFile(
      const arrow::fs::FileInfo& info) override {
    return OpenInputFile(info.path());
  }

  Result<std::shared_ptr<arrow::io::InputStream>> OpenInputStream(
      const std::string&) override {
    return Status::NotImplemented("the faulty filesystem reads ranges only");
  }
  Status CreateDir(const std::string&, bool) override { return NoSuchCall(); }
  Status DeleteDir(const std::string& path) override {
    ARROW_ASSIGN_OR_RAISE(auto strike, faults_->Enter(Operation::kDelete, path));
    ARROW_RETURN_NOT_OK(filesystem_->DeleteDir(path));
    return strike.Lost();
  }
  Status DeleteDirContents(const std::string&, bool) override { return NoSuchCall(); }
  Status DeleteRootDirContents() override { return NoSuchCall(); }
  Status DeleteFile(const std::string& path) override {
    ARROW_ASSIGN_OR_RAISE(auto strike, faults_->Enter(Operation::kDelete, path));
    ARROW_RETURN_NOT_OK(filesystem_->DeleteFile(path));
    return strike.Lost();
  }
  Status Move(const std::string&, const std::string&) override { return NoSuchCall(); }
  Status CopyFile(const std::string&, const std::string&) override {
    return NoSuchCall();
  }
  Result<std::shared_ptr<arrow::io::OutputStream>> OpenOutputStream(
      const std::string& path,
      const std::shared_ptr<const arrow::KeyValueMetadata>& metadata) override {
    return FaultyStream::Open(faults_, path, [&](const std::string& opened) {
      return filesystem_->OpenOutputStream(opened, metadata);
    });
  }
  Result<std::shared_ptr<arrow::io::OutputStream>> OpenAppendStream(
      const std::string&,
      const std::shared_ptr<const arrow::KeyValueMetadata>&) override {
    return NoSuchCall();
  }

 private:
  std::shared_ptr<arrow::fs::FileSystem> filesystem_;
  std::shared_ptr<Faults> faults_;
};

std::shared_ptr<arrow::fs::FileSystem> MakeFaulty(
    std::shared_ptr<arrow::fs::FileSystem> filesystem, std::shared_ptr<Faults> faults) {
  return std::make_shared<FaultyFileSystem>(std::move(filesystem), std::move(faults));
}

/// Local disk through faults.
class FaultySystem {
 public:
  static Result<System> Make(const std::string& path,
                             const std::shared_ptr<Faults>& faults,
                             const RetryPolicy& retry, bool synced) {
    ARROW_ASSIGN_OR_RAISE(System system, MakeLocal(path, {}));
    if (!synced) {
      system.create = CreateUnsynced;
      system.put_if_absent = PutUnsynced;
    }
    system.filesystem = MakeFaulty(std::move(system.filesystem), faults);
    system.display_prefix = kScheme;
    system.retry = retry;
    system.create = [faults, create = std::move(system.create)](const std::string& file) {
      return FaultyStream::Open(faults, file, create);
    };
    system.put_if_absent = [faults, put = std::move(system.put_if_absent)](
                               const std::string& file,
                               std::string_view bytes) -> Result<bool> {
      ARROW_ASSIGN_OR_RAISE(auto strike, faults->Enter(Operation::kPut, file));
      ARROW_ASSIGN_OR_RAISE(const bool written, put(file, bytes));
      ARROW_RETURN_NOT_OK(strike.Lost());
      return written;
    };
    return system;
  }
};

void InstallFaulty(const std::shared_ptr<Faults>& faults, const RetryPolicy& retry,
                   bool synced) {
  AddScheme("faulty", [=](const std::string& uri, const OptionMap&) -> Result<System> {
    return FaultySystem::Make(uri.substr(kScheme.size()), faults, retry, synced);
  });
}

}  // namespace headrace::storage
