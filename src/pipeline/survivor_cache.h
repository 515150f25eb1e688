/// \file
/// How many rows of each block pass a filter: counted once, then remembered.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace headrace::pipeline {

using SurvivorCounts = std::shared_ptr<const std::vector<int64_t>>;

/// Remembers counts in the process and, given a folder, on disk, by (fingerprint,
/// filter). A file that does not read back whole is counted anew. Thread-safe.
class SurvivorCache {
 public:
  /// `folder` empty: memory only. It is made when first written to.
  explicit SurvivorCache(std::string folder) : folder_(std::move(folder)) {}

  /// `blocks`: how many counts there must be.
  Result<SurvivorCounts> GetOrCount(
      const std::string& fingerprint, const std::string& filter, int64_t blocks,
      const std::function<Result<std::vector<int64_t>>()>& count);

 private:
  std::string PathFor(const std::string& key) const;

  std::string folder_;
  std::mutex mutex_;
  std::map<std::string, SurvivorCounts> counts_;
};

}  // namespace headrace::pipeline
