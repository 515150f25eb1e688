/// \file
/// A filesystem for tests that fails on demand: what storage may do to a reader, at any
/// of the calls that the reader makes. No part of the library: the tests link it.
#pragma once

#include <arrow/filesystem/filesystem.h>
#include <headrace/result.h>

#include <atomic>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>

namespace headrace::storage {

/// What a reader asks of storage.
enum class Operation : uint8_t {
  kInfo,  ///< Size and time of a path.
  kList,  ///< What lies below a directory.
  kOpen,  ///< A file, for ranged reads.
  kSize,  ///< The size of an open file.
  kRead,  ///< A range of an open file.
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
  kFail,   ///< An IOError in words of its own, "struck", without the path.
  kErrno,  ///< The same with an errno, EIO, as a local disk has it.
  kDelay,  ///< Answered late, and right.
  kCut,    ///< The first half of a range; a size that is halved. Other calls fail.
  kFlip,   ///< A range with its last byte flipped. Other calls fail.
  kBlock,  ///< A range whose middle half is garbage. Other calls fail.
};
std::ostream& operator<<(std::ostream& out, Fault fault);

/// Counts calls, and strikes at one of them. Thread-safe.
class Faults {
 public:
  /// Forgets what was counted; `fault` will become of `call`, once, or each time from the
  /// `nth` on if it is `lasting`, as with a file that is damaged where it lies.
  void Arm(Call call, Fault fault, bool lasting = false);
  /// Forgets what was counted; nothing will be struck.
  void Disarm();

  /// Whether the call that was armed has been made.
  bool struck() const;
  /// How often each call was made: `nth` is the last.
  std::map<std::pair<Operation, std::string>, int64_t> counts() const;
  /// Files that were opened and are still held.
  int64_t open_files() const { return open_files_; }

 private:
  friend class FaultyFile;
  friend class FaultyFileSystem;
  struct Strike {
    bool hit = false;
    Fault fault = Fault::kFail;
  };

  /// Counts a call. Waits if it is to be late; an error if it is to fail.
  Result<Strike> Enter(Operation operation, const std::string& path);

  mutable std::mutex mutex_;
  std::map<std::pair<Operation, std::string>, int64_t> counts_;
  bool armed_ = false;
  bool lasting_ = false;
  bool struck_ = false;
  Call call_;
  Fault fault_ = Fault::kFail;
  std::atomic<int64_t> open_files_{0};
};

/// Reads of `filesystem`, each through `faults`; refuses to write.
std::shared_ptr<arrow::fs::FileSystem> MakeFaulty(
    std::shared_ptr<arrow::fs::FileSystem> filesystem, std::shared_ptr<Faults> faults);

/// From here on, `faulty:///path` is the local file /path, seen through `faults`.
void InstallFaulty(const std::shared_ptr<Faults>& faults);

}  // namespace headrace::storage
