#include "cache/cache_files.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/uuid.h"
#include "table/delta/paths.h"

namespace headrace::cache {
namespace {

bool IsBelow(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) &&
         path[folder.size()] == '/';
}

bool IsProtected(const Users& users, Protection protection) {
  if (protection == Protection::kNone) return false;
  return users.in_use() || (protection == Protection::kUse && users.kept);
}

}  // namespace

bool Users::in_use() const { return std::ranges::any_of(leases, &Lease::live); }

std::string Users::Names() const {
  std::string names;
  for (const Lease& lease : leases) {
    if (!lease.live) continue;
    if (!names.empty()) names += ", ";
    names += lease.record.process.host + " " + std::to_string(lease.record.process.pid);
    if (!lease.record.owner.application.empty()) {
      names += " (" + lease.record.owner.application + ")";
    }
  }
  return names;
}

std::string CacheFiles::PathOf(const std::string& directory) const {
  return path_ + (path_.ends_with('/') ? "" : "/") + directory;
}

std::string CacheFiles::PathOf(const std::string& directory,
                               std::string_view file) const {
  return PathOf(directory) + "/" + std::string(file);
}

std::string CacheFiles::PathOfLease(const std::string& directory,
                                    const std::string& lease) const {
  return PathOf(directory, kLeasesFolder) + "/" + lease + std::string(kRecordSuffix);
}

std::string CacheFiles::PathOfKey(const std::string& key) const {
  return PathOf(std::string(kKeysFolder), key + std::string(kRecordSuffix));
}

StoreClock CacheFiles::MakeClock() const {
  return {storage_, PathOf(std::string(kKeysFolder))};
}

Result<std::optional<std::string>> CacheFiles::Read(const std::string& path) const {
  return ReadIfThere(*storage_, path);
}

Result<std::optional<KeyRecord>> CacheFiles::ReadKey(const std::string& key) const {
  const std::string path = PathOfKey(key);
  ARROW_ASSIGN_OR_RAISE(const auto text, Read(path));
  if (!text) return std::nullopt;
  return KeyRecord::Parse(*text, storage_->Display(path));
}

Status CacheFiles::DropKey(const std::string& key, const std::string& directory) const {
  auto record = ReadKey(key);
  if (!record.ok() && KindOf(record.status()) != ErrorKind::kCorrupt) {
    return record.status();
  }
  if (record.ok() && (!*record || (*record)->directory != directory)) {
    return Status::OK();
  }
  return storage_->Delete(PathOfKey(key));
}

// In this order: what is removed loses the mark last, and the record before it.
Result<bool> CacheFiles::IsThere(const std::string& directory) const {
  ARROW_ASSIGN_OR_RAISE(const auto removing, Read(PathOf(directory, kRemovingFile)));
  if (removing) return false;
  ARROW_ASSIGN_OR_RAISE(const auto table, Read(PathOf(directory, kTableFile)));
  return table.has_value();
}

Result<Users> CacheFiles::UsersOf(const std::string& directory, StoreClock* clock) const {
  ARROW_ASSIGN_OR_RAISE(
      auto files, storage_->ListAll(PathOf(directory, kOwnFolder), /*recursive=*/true));
  for (storage::FileEntry& file : files) {
    file.relative_path = std::string(kOwnFolder) + "/" + file.relative_path;
  }
  return UsersOf(files, clock);
}

Result<Users> CacheFiles::UsersOf(const std::vector<storage::FileEntry>& files,
                                  StoreClock* clock) const {
  Users users;
  for (const storage::FileEntry& file : files) {
    if (!IsBelow(file.relative_path, kOwnFolder)) continue;
    users.any = true;
    users.kept |= file.relative_path == kKeptFile;
    if (!IsBelow(file.relative_path, kLeasesFolder) ||
        !file.relative_path.ends_with(kRecordSuffix)) {
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(const auto text, Read(file.path));
    if (!text) continue;  // released since it was listed
    Lease lease{file};
    // One that we do not understand is as live as it is young.
    auto record = LeaseRecord::Parse(*text, storage_->Display(file.path));
    if (record.ok()) lease.record = *std::move(record);
    ARROW_ASSIGN_OR_RAISE(
        lease.live,
        IsLive(lease.file,
               {lease.record.process, lease.record.heartbeat_ms, kCacheLeaseMs}, clock));
    users.leases.push_back(std::move(lease));
  }
  return users;
}

// docs/format/cache-directory.md says why no order of these steps among any number of
// processes deletes a table that somebody has taken into use.
Result<bool> CacheFiles::Remove(const std::string& directory, Protection protection,
                                StoreClock* clock) const {
  ARROW_ASSIGN_OR_RAISE(Users users, UsersOf(directory, clock));
  if (IsProtected(users, protection)) return false;
  if (!users.any) {
    ARROW_RETURN_NOT_OK(DeleteFiles(directory));
    return true;
  }
  const std::string mark = MarkToJson(base::NowMs(), base::RandomUuid());
  const auto put = storage_->PutIfAbsent(PathOf(directory, kRemovingFile), mark);
  // A local folder that another one deletes while we write to it.
  if (!put.ok() && KindOf(put.status()) != ErrorKind::kNotFound) return put.status();
  if (protection != Protection::kUse) {
    ARROW_RETURN_NOT_OK(storage_->Delete(PathOf(directory, kKeptFile)));
  }
  ARROW_ASSIGN_OR_RAISE(const auto key, Read(PathOf(directory, kKeyFile)));
  if (key) {
    const auto record = KeyRecord::Parse(*key, PathOf(directory, kKeyFile));
    if (record.ok()) ARROW_RETURN_NOT_OK(DropKey(record->key, directory));
  }
  ARROW_ASSIGN_OR_RAISE(users, UsersOf(directory, clock));
  if (IsProtected(users, protection)) return false;
  ARROW_RETURN_NOT_OK(DeleteFiles(directory));
  return true;
}

// A table whose log went first would look like plain Parquet, half of it gone; without
// its own folder it would not be known for what it is.
Status CacheFiles::DeleteFiles(const std::string& directory) const {
  ARROW_ASSIGN_OR_RAISE(const auto files,
                        storage_->ListAll(PathOf(directory), /*recursive=*/true));
  auto order = [](const storage::FileEntry& file) {
    if (file.relative_path == kRemovingFile) return 4;
    if (file.relative_path == kTableFile) return 3;
    if (IsBelow(file.relative_path, kOwnFolder)) return 2;
    return IsBelow(file.relative_path, table::delta::kLogFolder) ? 1 : 0;
  };
  for (int turn = 0; turn <= 4; ++turn) {
    for (const storage::FileEntry& file : files) {
      if (order(file) == turn) ARROW_RETURN_NOT_OK(storage_->Delete(file.path));
    }
  }
  return storage_->DeleteDirectory(PathOf(directory));
}

}  // namespace headrace::cache
