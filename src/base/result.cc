#include <arrow/util/io_util.h>
#include <headrace/result.h>

#include <cerrno>

namespace headrace {
namespace {

constexpr char kDetailId[] = "headrace::ErrorKind";

class KindDetail : public arrow::StatusDetail {
 public:
  explicit KindDetail(ErrorKind kind) : kind_(kind) {}
  const char* type_id() const override { return kDetailId; }
  std::string ToString() const override { return std::string(KindName(kind_)); }
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

arrow::StatusCode CodeOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument:
    case ErrorKind::kConflict:
      return arrow::StatusCode::Invalid;
    case ErrorKind::kNotFound:
      return arrow::StatusCode::KeyError;
    case ErrorKind::kSchemaMismatch:
      return arrow::StatusCode::TypeError;
    case ErrorKind::kUnsupported:
      return arrow::StatusCode::NotImplemented;
    case ErrorKind::kCancelled:
      return arrow::StatusCode::Cancelled;
    case ErrorKind::kResourceExhausted:
      return arrow::StatusCode::OutOfMemory;
    case ErrorKind::kCorrupt:
    case ErrorKind::kUnavailable:
    case ErrorKind::kDenied:
    case ErrorKind::kPeerFailed:
      return arrow::StatusCode::IOError;
    case ErrorKind::kInternal:
      return arrow::StatusCode::UnknownError;
  }
  return arrow::StatusCode::UnknownError;
}

const KindDetail* DetailOf(const Status& status) {
  const auto& detail = status.detail();
  if (detail == nullptr || detail->type_id() != kDetailId) return nullptr;
  return static_cast<const KindDetail*>(detail.get());
}

}  // namespace

std::string_view KindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument:
      return "InvalidArgument";
    case ErrorKind::kNotFound:
      return "NotFound";
    case ErrorKind::kSchemaMismatch:
      return "SchemaMismatch";
    case ErrorKind::kCorrupt:
      return "Corrupt";
    case ErrorKind::kUnavailable:
      return "Unavailable";
    case ErrorKind::kDenied:
      return "Denied";
    case ErrorKind::kConflict:
      return "Conflict";
    case ErrorKind::kUnsupported:
      return "Unsupported";
    case ErrorKind::kCancelled:
      return "Cancelled";
    case ErrorKind::kResourceExhausted:
      return "ResourceExhausted";
    case ErrorKind::kPeerFailed:
      return "PeerFailed";
    case ErrorKind::kInternal:
      return "Internal";
  }
  return "Internal";
}

Status Error(ErrorKind kind, std::string message) {
  return Status(CodeOf(kind), std::move(message), std::make_shared<KindDetail>(kind));
}

ErrorKind KindOf(const Status& status) {
  if (const KindDetail* detail = DetailOf(status)) return detail->kind();
  switch (status.code()) {
    case arrow::StatusCode::OutOfMemory:
    case arrow::StatusCode::CapacityError:
      return ErrorKind::kResourceExhausted;
    case arrow::StatusCode::KeyError:
      return ErrorKind::kNotFound;
    case arrow::StatusCode::TypeError:
    case arrow::StatusCode::Invalid:
    case arrow::StatusCode::IndexError:
      return ErrorKind::kInvalidArgument;
    case arrow::StatusCode::NotImplemented:
      return ErrorKind::kUnsupported;
    case arrow::StatusCode::Cancelled:
      return ErrorKind::kCancelled;
    case arrow::StatusCode::SerializationError:
      return ErrorKind::kCorrupt;
    case arrow::StatusCode::IOError:
      switch (arrow::internal::ErrnoFromStatus(status)) {
        case ENOENT:
        case ENOTDIR:
          return ErrorKind::kNotFound;
        case EACCES:
        case EPERM:
          return ErrorKind::kDenied;
        default:
          return ErrorKind::kUnavailable;
      }
    default:
      return ErrorKind::kInternal;
  }
}

std::string MessageOf(const Status& status) { return status.message(); }

Status WithContext(const Status& status, std::string_view context) {
  return Error(KindOf(status), std::string(context) + ": " + status.message());
}

}  // namespace headrace
