/// \file
/// What is written into a cache directory besides tables: names and JSON, as
/// docs/format/cache-directory.md has them.
#pragma once

#include <headrace/cache.h>
#include <headrace/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cache/process.h"

namespace headrace::cache {

/// Below the cache directory.
inline constexpr std::string_view kKeysFolder = "_keys";
/// Among the keys: files by which the storage's clock is asked.
inline constexpr std::string_view kClockPrefix = "clock-";
/// Below the directory of a table.
inline constexpr std::string_view kOwnFolder = "_headrace";
inline constexpr std::string_view kLeasesFolder = "_headrace/leases";
inline constexpr std::string_view kTableFile = "_headrace/table.json";
inline constexpr std::string_view kKeyFile = "_headrace/key.json";
inline constexpr std::string_view kKeptFile = "_headrace/kept.json";
inline constexpr std::string_view kRemovingFile = "_headrace/removing.json";
/// What files of records end with; others are left-overs of writes.
inline constexpr std::string_view kRecordSuffix = ".json";

/// "{%Y%m%d%H%M%S}-{application}-{application id}-{uuid4}", in UTC. Characters of the
/// owner's that paths and URIs do not take everywhere become "_".
std::string DirectoryName(const CacheOwner& owner, int64_t now_ms);
/// Whether `DirectoryName` can have made it.
bool IsDirectoryName(std::string_view name);

/// A table: who made it.
struct TableRecord {
  CacheOwner owner = {};
  int64_t created_ms = 0;

  std::string ToJson() const;
  static Result<TableRecord> Parse(std::string_view text, const std::string& where);
};

/// A published table.
struct KeyRecord {
  /// SHA-256 in hexadecimal digits.
  std::string key = {};
  std::string directory = {};
  std::optional<int64_t> rows = {};
  int64_t bytes = 0;

  std::string ToJson() const;
  static Result<KeyRecord> Parse(std::string_view text, const std::string& where);
};

/// One user of a table.
struct LeaseRecord {
  CacheOwner owner = {};
  Process process = {};
  int64_t heartbeat_ms = 0;

  std::string ToJson() const;
  static Result<LeaseRecord> Parse(std::string_view text, const std::string& where);
};

/// Who has a folder to himself, or asks for it.
struct ExclusiveRecord {
  Process process = {};
  int64_t since_ms = 0;
  int64_t heartbeat_ms = 0;
  bool held = false;

  std::string ToJson() const;
  static Result<ExclusiveRecord> Parse(std::string_view text, const std::string& where);
};

/// A file that says something by being there. `id` tells it from all others.
std::string MarkToJson(int64_t now_ms, const std::string& id);

}  // namespace headrace::cache
