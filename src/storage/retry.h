/// \file
/// Calls to a storage that fail in passing, made again.
///
/// Waits double from one attempt to the next, and each is drawn from the upper half of
/// what it may be, so that many that failed together do not come back together. Arrow's
/// filesystems have attempts of their own below this; what they give up is seldom worth
/// more, but they do not repeat all, and none of them repeats a body that came short.
#pragma once

#include <arrow/io/interfaces.h>
#include <headrace/result.h>

#include <functional>
#include <memory>
#include <string>

namespace headrace::storage {

/// Seconds until a connection attempt, and until a silent request, is given up.
inline constexpr double kConnectTimeout = 10;
inline constexpr double kRequestTimeout = 30;
/// How often a request is made before it is given up, where the system lets us say.
inline constexpr int kAttempts = 3;
/// Seconds after which a read is not begun again. What took longer has been tried often
/// by Arrow's filesystem, or was silent.
inline constexpr double kRetryTime = 10;

/// Time, as tests replace it.
struct Clock {
  std::function<double()> now;       ///< Seconds since any moment. Null: the system's.
  std::function<void(double)> wait;  ///< Null: sleeps.
};

/// How often, and for how long, a call is made again.
struct RetryPolicy {
  int attempts = kAttempts;
  double first_wait_s = 0.1;       ///< At most, before the second attempt.
  double time_max_s = kRetryTime;  ///< No attempt begins later than this.
  Clock clock = {};
};

/// The attempts of one call.
class Backoff {
 public:
  /// `policy` must outlive it.
  explicit Backoff(const RetryPolicy& policy);

  /// Whether to try again; waits before it says so.
  bool Again();

 private:
  double Now() const;

  const RetryPolicy& policy_;
  double began_s_;
  double wait_s_;
  int attempts_ = 1;
};

/// Whether the same call may go well soon: throttling, resets, time-outs, what no words
/// are known for. Never what was refused or is not there.
bool IsPassing(const Status& status, const std::string& path);

/// Makes a call that returns `Result<T>` or `Status` until it goes well, or fails for
/// good.
template <typename CallT>
auto Retried(const RetryPolicy& policy, const std::string& path, CallT call)
    -> decltype(call()) {
  Backoff backoff(policy);
  for (;;) {
    auto result = call();
    if (result.ok() || !IsPassing(arrow::ToStatus(result), path) || !backoff.Again()) {
      return result;
    }
  }
}

/// `file`, whose reads are made again if they fail in passing or come short; one that
/// stays short is returned so.
std::shared_ptr<arrow::io::RandomAccessFile> MakeRetryingFile(
    std::shared_ptr<arrow::io::RandomAccessFile> file, RetryPolicy policy,
    std::string path);

}  // namespace headrace::storage
