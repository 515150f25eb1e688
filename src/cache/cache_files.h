/// \file
/// The files of a cache directory: keys, leases, and the order in which they go.
#pragma once

#include <headrace/cache.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/liveness.h"
#include "cache/records.h"
#include "storage/storage.h"

namespace headrace::cache {

struct Lease {
  storage::FileEntry file = {};
  LeaseRecord record = {};
  bool live = false;
};

/// What a table's own folder says.
struct Users {
  /// There is such a folder, with a file at least.
  bool any = false;
  bool kept = false;
  std::vector<Lease> leases = {};

  bool in_use() const;
  /// "host 12 (application)", of all that are live.
  std::string Names() const;
};

/// What keeps a table from being removed.
enum class Protection : uint8_t {
  kUse,        ///< A live lease, or the mark that it is kept.
  kLeaseOnly,  ///< A live lease.
  kNone,
};

/// Thread-safe.
class CacheFiles {
 public:
  CacheFiles(std::shared_ptr<storage::Storage> storage, std::string path)
      : storage_(std::move(storage)), path_(std::move(path)) {}

  const storage::Storage& storage() const { return *storage_; }
  const std::shared_ptr<storage::Storage>& storage_pointer() const { return storage_; }
  const std::string& path() const { return path_; }
  /// Of a table's directory, and of a file in it.
  std::string PathOf(const std::string& directory) const;
  std::string PathOf(const std::string& directory, std::string_view file) const;
  std::string PathOfLease(const std::string& directory, const std::string& lease) const;
  std::string PathOfKey(const std::string& key) const;
  StoreClock MakeClock() const;

  /// The text of a file; nothing if it is not there.
  Result<std::optional<std::string>> Read(const std::string& path) const;
  Result<std::optional<KeyRecord>> ReadKey(const std::string& key) const;
  /// Deletes a key if it leads to this directory, or to none that has a name.
  Status DropKey(const std::string& key, const std::string& directory) const;

  /// Whether the table can be taken into use by who has written a lease before: it is
  /// not being removed, and is there.
  Result<bool> IsThere(const std::string& directory) const;

  Result<Users> UsersOf(const std::string& directory, StoreClock* clock) const;
  /// Of files listed below a table's directory.
  Result<Users> UsersOf(const std::vector<storage::FileEntry>& files,
                        StoreClock* clock) const;

  /// Deletes a table unless it is protected: false if it is. One that becomes so on the
  /// way can no longer be taken into use, and stays as long as it is.
  Result<bool> Remove(const std::string& directory, Protection protection,
                      StoreClock* clock) const;

 private:
  Status DeleteFiles(const std::string& directory) const;

  std::shared_ptr<storage::Storage> storage_;
  std::string path_;
};

}  // namespace headrace::cache
