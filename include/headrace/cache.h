/// \file
/// A directory of tables that are made once for many users, and deleted when nobody uses
/// them any more. docs/format/cache-directory.md has its files and rules.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headrace {

/// How often a lease is to be renewed, and when one that is not is over, unless its
/// process is known to live.
inline constexpr int64_t kCacheHeartbeatMs = int64_t{60} * 1000;
inline constexpr int64_t kCacheLeaseMs = 10 * kCacheHeartbeatMs;

/// For whom a table is made or used, as people will read it; the process is this one.
struct CacheOwner {
  std::string application = {};
  std::string application_id = {};

  bool operator==(const CacheOwner&) const = default;
};

/// A table in use, by one lease. A value: copies of it are the same lease.
struct CachedTable {
  /// What `Dataset::Open` and `Write` take.
  std::string uri = {};
  /// The name of the table's directory.
  std::string directory = {};
  /// The name of the lease.
  std::string lease = {};
  CacheOwner owner = {};
  /// Of a published table: rows where its log says them, and bytes of its files.
  std::optional<int64_t> rows = {};
  int64_t bytes = 0;

  bool operator==(const CachedTable&) const = default;
};

/// Who uses a table.
struct CacheLease {
  CacheOwner owner = {};
  std::string host = {};
  int64_t pid = 0;
  /// Milliseconds since the epoch, by the clock of that host.
  int64_t heartbeat_ms = 0;
  /// Its process lives, or has renewed it lately.
  bool live = false;

  bool operator==(const CacheLease&) const = default;
};

/// A table as `List` finds it.
struct CacheEntry {
  std::string directory = {};
  /// As users know it, without credentials.
  std::string uri = {};
  /// The SHA-256 of the key by which others find it; empty if they do not.
  std::string key = {};
  /// Who made it; empty if that can no longer be told.
  CacheOwner owner = {};
  int64_t created_ms = 0;
  std::optional<int64_t> rows = {};
  /// Of all its files.
  int64_t bytes = 0;
  bool kept = false;
  std::vector<CacheLease> leases = {};

  /// One of the leases is live.
  bool in_use() const;
  bool operator==(const CacheEntry&) const = default;
};
std::string ToJson(const std::vector<CacheEntry>& entries);

/// What `Collect` found.
struct CacheReport {
  /// Directories of tables, bytewise, and the bytes of their files.
  std::vector<std::string> directories = {};
  int64_t bytes = 0;
  /// Other files that nothing needs: leases of the dead, keys of tables that are gone.
  int64_t files = 0;
  /// They were deleted, not only found.
  bool deleted = false;

  std::string ToJson() const;
};

/// The directory of cached tables. Everything is in files of the storage, and each call
/// reads them anew.
///
/// Thread-safety: all methods may be called from any thread, and from any number of
/// processes on any hosts at once, even if some of them die on the way. Errors: those of
/// storage; Unsupported where it cannot write a file only if none is there.
class TableCache {
 public:
  /// Nothing is read or written.
  static Result<std::shared_ptr<TableCache>> Open(
      const std::string& uri,
      const std::map<std::string, std::string>& storage_options = {});

  ~TableCache();
  TableCache(const TableCache&) = delete;
  TableCache& operator=(const TableCache&) = delete;

  /// What `Open` was given; local paths are absolute.
  const std::string& uri() const;

  /// A place for a table that is to be written now, leased to its maker alone.
  Result<CachedTable> Begin(const CacheOwner& owner = {}) const;

  /// Lets others find a committed table by a key, any text that says what is in it: only
  /// its hash is stored. Of several that publish one key, the first one's table is
  /// everyone's: the others get that, leased to them, and theirs is released.
  ///
  /// Errors: InvalidArgument if nothing was committed, or it is published by another
  /// key; Conflict if it was removed meanwhile.
  Result<CachedTable> Publish(const CachedTable& table, std::string_view key) const;

  /// The table of a key, leased; nothing if there is none. Corrupt or Unsupported for
  /// what is there in its place.
  Result<std::optional<CachedTable>> Find(std::string_view key,
                                          const CacheOwner& owner = {}) const;

  /// Renews a lease. To be called every kCacheHeartbeatMs; may be called late, or not at
  /// all, where all that look are on this host. Conflict if the table is gone.
  Status Heartbeat(const CachedTable& table) const;

  /// Keeps the table when nobody uses it any more, until it is removed by its name.
  /// Conflict if it is gone.
  Status Keep(const CachedTable& table) const;

  /// Ends a lease, and deletes the table if nobody else uses it and it is not kept. OK
  /// if all that was done before.
  Status Release(const CachedTable& table) const;

  /// Deletes a table, kept or not, even one in use if `force`: its readers then fail.
  /// NotFound if there is none; Conflict, naming who uses it, if it is in use. One that
  /// was taken into use at this very moment is found by nobody else any more, and goes
  /// with its last user.
  Status Remove(const std::string& directory, bool force = false) const;

  /// All tables, by the names of their directories, bytewise: the oldest first.
  Result<std::vector<CacheEntry>> List() const;

  /// Deletes, unless it is a `dry_run`, what nobody uses and nobody keeps: tables, whole
  /// or half written, leases of the dead, keys of tables that are gone. Goes on after an
  /// error, and returns the first one then.
  Result<CacheReport> Collect(bool dry_run = false) const;

 private:
  struct Impl;
  explicit TableCache(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace headrace
