#include "pipeline/survivor_cache.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "base/hash.h"

namespace headrace::pipeline {
namespace {

// A file is "headrace-survivors 1\n", the number of counts, the counts as decimal lines,
// and the hash of all that came before.
constexpr char kMagic[] = "headrace-survivors 1\n";

std::string Serialize(const std::vector<int64_t>& counts) {
  std::string text = kMagic + std::to_string(counts.size()) + "\n";
  for (int64_t count : counts) text += std::to_string(count) + "\n";
  return text + base::HashHex(text) + "\n";
}

std::optional<std::vector<int64_t>> Load(const std::string& path, int64_t blocks) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string magic;
  size_t size = 0;
  if (!std::getline(file, magic) || magic + "\n" != kMagic || !(file >> size) ||
      static_cast<int64_t>(size) != blocks) {
    return std::nullopt;
  }
  std::vector<int64_t> counts(size);
  for (int64_t& count : counts) {
    if (!(file >> count)) return std::nullopt;
  }
  std::string hash;
  const std::string whole = Serialize(counts);
  if (!(file >> hash) || !whole.ends_with(hash + "\n")) return std::nullopt;
  return counts;
}

// Losing the cache costs a recount, so failures to write are not errors.
void Save(const std::string& path, const std::vector<int64_t>& counts) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  const std::string temporary = path + "." + std::to_string(::getpid());
  {
    std::ofstream file(temporary, std::ios::binary);
    file << Serialize(counts);
    file.close();
    if (!file) {
      std::filesystem::remove(temporary, error);
      return;
    }
  }
  std::filesystem::rename(temporary, path, error);
  if (error) std::filesystem::remove(temporary, error);
}

}  // namespace

std::string SurvivorCache::PathFor(const std::string& key) const {
  return folder_ + "/survivors/" + base::HashHex(key);
}

Result<SurvivorCounts> SurvivorCache::GetOrCount(
    const std::string& fingerprint, const std::string& filter, int64_t blocks,
    const std::function<Result<std::vector<int64_t>>()>& count) {
  const std::string key = fingerprint + "\n" + filter;
  std::lock_guard lock(mutex_);
  auto [entry, added] = counts_.try_emplace(key);
  if (!added) return entry->second;
  std::optional<std::vector<int64_t>> counts;
  if (!folder_.empty()) counts = Load(PathFor(key), blocks);
  if (!counts) {
    auto counted = count();
    if (!counted.ok()) {
      counts_.erase(entry);
      return counted.status();
    }
    counts = std::move(*counted);
    if (!folder_.empty()) Save(PathFor(key), *counts);
  }
  entry->second = std::make_shared<const std::vector<int64_t>>(std::move(*counts));
  return entry->second;
}

}  // namespace headrace::pipeline
