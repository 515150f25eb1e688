/// \file
/// A filesystem for tests that fails on demand: what storage may do to a reader or a
/// writer, at any of the calls that it makes. No part of the library: the tests link it.
#pragma once

#include <arrow/filesystem/filesystem.h>
#include <headrace/result.h>

#include <atomic>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <utility>

#include "storage/retry.h"

namespace headrace::storage {

/// What is asked of storage.
enum class Operation : uint8_t {
  kInfo,    ///< Size and time of a path.
  kList,    ///< What lies below a directory.
  kOpen,    ///< A file, for ranged reads.
  kSize,    ///< The size of an open file.
  kRead,    ///< A range of an open file.
  kCreate,  ///< A file to be written.
  kWrite,   ///< Bytes to such a file.
  kClose,   ///< Its end, which makes it durable.
  kPut,     ///< `PutIfAbsent`.
  kDelete,  ///< A file, or a directory with all below it.
};

/// The `nth` (from 1) call of one kind on one path.
struct Call {
  Operation operation = Operation::kInfo;
  std::string path;
  int64_t nth = 1;

  auto operator<=>(const Call&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Call& call);

/// What becomes of a call that is struck.
enum class Fault : uint8_t {
  kFail,      ///< An IOError in words of its own, "struck", without the path.
  kErrno,     ///< The same with an errno, EIO, as a local disk has it.
  kThrottle,  ///< The same in the words of a store that is asked too often: 503.
  kDelay,     ///< Answered late, and right.
  kCut,    ///< The first half of a range; a size that is halved; a write that fails when
           ///< half is written. Other calls fail.
  kFlip,   ///< A range with its last byte flipped. Other calls fail.
  kBlock,  ///< A range whose middle half is garbage. Other calls fail.
  kLost,   ///< Done, and then an IOError: the answer of what writes is lost. Others fail.
};
std::ostream& operator<<(std::ostream& out, Fault fault);

/// Counts calls, and strikes at one of them. Thread-safe.
class Faults {
 public:
  /// Forgets what was counted; `fault` will become of `call`, once, or each time from the
  /// `nth` on if it is `lasting`, as with a file that is damaged where it lies.
  void Arm(Call call, Fault fault, bool lasting = false);
  /// Forgets what was counted; `fault` will become of the `nth` call of all, and all
  /// after it fail: to storage, the process that makes them has died there.
  void ArmDeath(int64_t nth, Fault fault);
  /// Forgets what was counted; `other` is called before the `nth` call of all, as what
  /// another process does between two calls of this one. It may arm anew.
  void ArmOther(int64_t nth, std::function<void()> other);
  /// The same before that call.
  void ArmOther(Call call, std::function<void()> other);
  /// Forgets what was counted; nothing will be struck.
  void Disarm();

  /// Has the filesystem pass for a local disk, and `watch` called before every call, by
  /// the thread that makes it. Before any.
  void PassAsLocal(std::function<void()> watch) {
    local_ = true;
    watch_ = std::move(watch);
  }

  /// Whether the call that was armed has been made.
  bool struck() const;
  /// How often each call was made: `nth` is the last.
  std::map<std::pair<Operation, std::string>, int64_t> counts() const;
  /// Of all kinds.
  int64_t calls() const;
  /// Files that were opened and are still held.
  int64_t open_files() const { return open_files_; }

 private:
  friend class FaultyFile;
  friend class FaultyFileSystem;
  friend class FaultyStream;
  friend class FaultySystem;
  struct Strike {
    bool hit = false;
    Fault fault = Fault::kFail;

    /// An error if it was hit: to be asked when what writes has been done.
    Status Lost() const;
  };
  /// REQUIRES: mutex_ is held.
  void Forget();
  static bool IsPossible(Operation operation, Fault fault);

  /// What is to come before this call, the next one, once.
  std::function<void()> TakeOther(Operation operation, const std::string& path);
  /// Counts a call. Waits if it is to be late; an error if it is to fail.
  Result<Strike> Enter(Operation operation, const std::string& path);

  mutable std::mutex mutex_;
  std::map<std::pair<Operation, std::string>, int64_t> counts_;
  int64_t calls_ = 0;
  int64_t death_ = 0;     // the call of all that is struck; 0: none
  int64_t other_at_ = 0;  // the call of all before which `other_` comes; 0: call_
  std::function<void()> other_;
  bool armed_ = false;
  bool lasting_ = false;
  bool struck_ = false;
  Call call_;
  Fault fault_ = Fault::kFail;
  bool local_ = false;
  std::function<void()> watch_;
  std::atomic<int64_t> open_files_{0};
};

/// Reads, writes and deletes of `filesystem`, each through `faults`; no more than those.
std::shared_ptr<arrow::fs::FileSystem> MakeFaulty(
    std::shared_ptr<arrow::fs::FileSystem> filesystem, std::shared_ptr<Faults> faults);

/// From here on, `faulty:///path` is the local file /path, seen through `faults`, and
/// reads that fail in passing are made again as `retry` has it: never, unless it is
/// given. If not `synced`, a power cut would take back what is written: for tests that
/// write many thousand files.
void InstallFaulty(const std::shared_ptr<Faults>& faults,
                   const RetryPolicy& retry = {.attempts = 1}, bool synced = true);

}  // namespace headrace::storage
