/// \file
/// Whether who wrote a lease still lives: by its process on this host, by the age of the
/// file elsewhere.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cache/process.h"
#include "storage/storage.h"

namespace headrace::cache {

/// The text of a file that others may write anew or delete while it is read; nothing if
/// it is not there.
Result<std::optional<std::string>> ReadIfThere(const storage::Storage& storage,
                                               const std::string& path);

/// The time by the storage's own clock, asked for at most once: by a file that is written
/// and listed. What is younger than the answer is younger than it seems.
class StoreClock {
 public:
  StoreClock(std::shared_ptr<storage::Storage> storage, std::string folder)
      : storage_(std::move(storage)), folder_(std::move(folder)) {}

  /// Nanoseconds since the epoch; absent where the storage gives files no time, or does
  /// not let us write.
  Result<std::optional<int64_t>> NowNs();

 private:
  Result<std::optional<int64_t>> Ask() const;

  std::shared_ptr<storage::Storage> storage_;
  std::string folder_;
  std::optional<std::optional<int64_t>> now_ns_;
};

/// A lease's owner as its file has him, and how long it holds without being renewed.
struct Holder {
  const Process& process;
  int64_t heartbeat_ms = 0;  ///< By the clock of his host.
  int64_t lease_ms = 0;
};
Result<bool> IsLive(const storage::FileEntry& file, const Holder& holder,
                    StoreClock* clock);

}  // namespace headrace::cache
