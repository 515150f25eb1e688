#include "storage/http_put.h"

#include <arrow/buffer.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_text.h"
#include "storage/signature.h"

namespace headrace::storage {
namespace {

enum class Outcome {
  kDone,
  kThere,    ///< An object was there.
  kAgain,    ///< Not now, or not known.
  kRefused,  ///< For good.
};

// What the store calls the error: <Code> of S3 and Azure, the message of Google.
std::string CodeOf(const std::string& body) {
  constexpr std::string_view kBegin = "<Code>";
  const size_t begin = body.find(kBegin);
  if (begin != std::string::npos) {
    const size_t end = body.find('<', begin + kBegin.size());
    if (end != std::string::npos) {
      return body.substr(begin + kBegin.size(), end - begin - kBegin.size());
    }
  }
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("error")) return "";
  const auto& error = json["error"];
  return base::TextAt(error, "message").substr(0, 200);
}

Outcome OutcomeOf(const HttpAnswer& answer) {
  const std::string code = CodeOf(answer.body);
  switch (answer.status) {
    case 200:
    case 201:
    case 204:
      return Outcome::kDone;
    case 412:
      return Outcome::kThere;
    case 409:
      if (code == "BlobAlreadyExists") return Outcome::kThere;
      // S3: another put, or a delete, of the same key was under way.
      return code == "ConditionalRequestConflict" || code == "OperationAborted"
                 ? Outcome::kAgain
                 : Outcome::kRefused;
    case 400:
      return code == "RequestTimeout" ? Outcome::kAgain : Outcome::kRefused;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return Outcome::kAgain;
    default:
      return Outcome::kRefused;
  }
}

Status Refusal(const HttpAnswer& answer, const char* request = "put") {
  const std::string code = CodeOf(answer.body);
  const std::string said =
      "the " + std::string(request) + " was answered by HTTP status " +
      std::to_string(answer.status) + (code.empty() ? "" : " (" + code + ")");
  if (answer.status == 401 || answer.status == 403 || code == "ExpiredToken" ||
      code == "InvalidToken") {
    return Error(ErrorKind::kDenied, said);
  }
  if (answer.status == 404) return Error(ErrorKind::kNotFound, said);
  if (answer.status == 501) {
    return Error(ErrorKind::kUnsupported,
                 said +
                     ": the store knows no put that spares what is there, which "
                     "commits need");
  }
  return Error(ErrorKind::kUnavailable, said);
}

class Putter {
 public:
  explicit Putter(HttpPut put)
      : put_(std::move(put)), heeds_condition_(put_.heeds_condition) {}

  Result<bool> Put(const std::string& path, std::string_view bytes) {
    {
      std::lock_guard lock(mutex_);
      if (!heeds_condition_) ARROW_RETURN_NOT_OK(TryCondition(path));
    }
    return PutAgain(path, bytes);
  }

 private:
  Result<bool> PutAgain(const std::string& path, std::string_view bytes) {
    Backoff backoff(put_.retry);
    bool may_be_ours = false;  // An attempt whose answer is not known came before.
    for (;;) {
      ARROW_ASSIGN_OR_RAISE(const HttpRequest request, put_.request(path, bytes));
      const auto answer = put_.send(request);
      switch (answer.ok() ? OutcomeOf(*answer) : Outcome::kAgain) {
        case Outcome::kDone:
          return true;
        case Outcome::kThere:
          return may_be_ours ? Holds(path, bytes) : false;
        case Outcome::kRefused:
          return Refusal(*answer);
        case Outcome::kAgain:
          may_be_ours = true;
      }
      if (!backoff.Again()) return answer.ok() ? Refusal(*answer) : answer.status();
    }
  }

  Result<bool> Holds(const std::string& path, std::string_view bytes) {
    return Retried(put_.retry, path, [&]() -> Result<bool> {
      ARROW_ASSIGN_OR_RAISE(auto file, put_.filesystem->OpenInputFile(path));
      ARROW_ASSIGN_OR_RAISE(const int64_t size, file->GetSize());
      if (size != static_cast<int64_t>(bytes.size())) return false;
      ARROW_ASSIGN_OR_RAISE(auto held, file->ReadAt(0, size));
      if (held->size() != size) return Status::IOError("the object came short");
      return std::string_view(*held) == bytes;
    });
  }

  // A second put of an object must be refused, or the first of two commits is lost.
  Status TryCondition(const std::string& path) {
    static std::atomic<uint64_t> count{0};
    const std::string id =
        Sha256Hex(std::to_string(getpid()) + " " + std::to_string(count++) + " " +
                  std::to_string(std::chrono::system_clock::now().time_since_epoch() /
                                 std::chrono::nanoseconds(1)) +
                  path);
    const std::string probe =
        path.substr(0, path.rfind('/') + 1) + "_headrace_probe_" + id.substr(0, 16);
    ARROW_RETURN_NOT_OK(PutAgain(probe, id + " first").status());
    const auto second = PutAgain(probe, id + " second");
    // Nothing is lost if it stays: its name is no table's.
    ARROW_UNUSED(put_.remove(probe));
    ARROW_RETURN_NOT_OK(second.status());
    if (*second) {
      return Error(ErrorKind::kUnsupported,
                   "this server writes over what is there although it was told not to, "
                   "so that commits would be lost: none is made");
    }
    heeds_condition_ = true;
    return Status::OK();
  }

  HttpPut put_;
  std::mutex mutex_;
  bool heeds_condition_;
};

}  // namespace

PutIfAbsent MakeHttpPut(HttpPut put) {
  if (put.remove == nullptr) {
    put.remove = [filesystem = put.filesystem](const std::string& path) {
      return filesystem->DeleteFile(path);
    };
  }
  auto putter = std::make_shared<Putter>(std::move(put));
  return [putter](const std::string& path, std::string_view bytes) {
    return putter->Put(path, bytes);
  };
}

DeleteFile MakeHttpDelete(const DeleteRequest& request, const HttpSend& send,
                          const RetryPolicy& retry) {
  return [=](const std::string& path) -> Status {
    const size_t slash = path.find('/');
    if (slash == std::string::npos || slash + 1 == path.size()) {
      return Error(ErrorKind::kInvalidArgument,
                   "names no object, which is to be deleted");
    }
    Backoff backoff(retry);
    for (;;) {
      ARROW_ASSIGN_OR_RAISE(const HttpRequest made, request(path));
      const auto answer = send(made);
      if (answer.ok()) {
        const Outcome outcome = OutcomeOf(*answer);
        const bool gone =
            outcome == Outcome::kDone || answer->status == 202 || answer->status == 404;
        if (gone) return Status::OK();
        if (outcome != Outcome::kAgain) return Refusal(*answer, "delete");
      }
      if (!backoff.Again()) {
        return answer.ok() ? Refusal(*answer, "delete") : answer.status();
      }
    }
  };
}

}  // namespace headrace::storage
