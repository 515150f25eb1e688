#include "storage/retry.h"

#include <arrow/buffer.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "base/random.h"
#include "storage/errors.h"
#include "storage/positioned_file.h"

namespace headrace::storage {
namespace {

// In [0.5, 1): another number in every process, thread and call.
double Jitter() {
  static std::atomic<uint64_t> count{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  base::KeyedRandom random(static_cast<uint64_t>(now) ^
                           (static_cast<uint64_t>(getpid()) << 32) ^ (count++ << 52));
  return 0.5 + static_cast<double>(random.Below(1U << 20U)) / (1U << 21U);
}

/// Reads by position alone, so that a read can be made again.
class RetryingFile : public PositionedFile {
 public:
  RetryingFile(std::shared_ptr<arrow::io::RandomAccessFile> file, RetryPolicy policy,
               std::string path)
      : PositionedFile(std::move(file)),
        policy_(std::move(policy)),
        path_(std::move(path)) {}

  arrow::Result<int64_t> GetSize() override {
    return Retried(policy_, path_, [&] { return file_->GetSize(); });
  }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t nbytes, void* out) override {
    return Whole(
        position, nbytes, [&] { return file_->ReadAt(position, nbytes, out); },
        [](int64_t got) { return got; });
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position,
                                                       int64_t nbytes) override {
    return Whole(
        position, nbytes, [&] { return file_->ReadAt(position, nbytes); },
        [](const std::shared_ptr<arrow::Buffer>& got) { return got->size(); });
  }

 private:
  template <typename ReadT, typename SizeOfT>
  auto Whole(int64_t position, int64_t nbytes, ReadT read, SizeOfT size_of)
      -> decltype(read()) {
    Backoff backoff(policy_);
    for (;;) {
      auto got = read();
      const bool again = got.ok() ? IsShort(position, nbytes, size_of(*got))
                                  : IsPassing(got.status(), path_);
      if (!again || !backoff.Again()) return got;
    }
  }

  // Fewer bytes than were asked for, and not because the file ends there.
  bool IsShort(int64_t position, int64_t nbytes, int64_t got) {
    if (got >= nbytes) return false;
    const auto size = file_->GetSize();
    return !size.ok() || position + got < *size;
  }

  RetryPolicy policy_;
  std::string path_;
};

}  // namespace

Backoff::Backoff(const RetryPolicy& policy)
    : policy_(policy), began_s_(Now()), wait_s_(policy.first_wait_s) {}

bool Backoff::Again() {
  if (attempts_ >= policy_.attempts) return false;
  const double wait_s = wait_s_ * Jitter();
  if (Now() - began_s_ + wait_s > policy_.time_max_s) return false;
  ++attempts_;
  wait_s_ *= 2;
  if (policy_.clock.wait) {
    policy_.clock.wait(wait_s);
  } else {
    std::this_thread::sleep_for(std::chrono::duration<double>(wait_s));
  }
  return true;
}

double Backoff::Now() const {
  if (policy_.clock.now) return policy_.clock.now();
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool IsPassing(const Status& status, const std::string& path) {
  return KindOfStorage(status, path) == ErrorKind::kUnavailable;
}

std::shared_ptr<arrow::io::RandomAccessFile> MakeRetryingFile(
    std::shared_ptr<arrow::io::RandomAccessFile> file, RetryPolicy policy,
    std::string path) {
  return std::make_shared<RetryingFile>(std::move(file), std::move(policy),
                                        std::move(path));
}

}  // namespace headrace::storage
