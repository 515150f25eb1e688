#include <headrace/cache.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/executor.h"
#include "base/uuid.h"
#include "cache/cache_files.h"
#include "cache/records.h"
#include "storage/signature.h"
#include "storage/storage.h"
#include "storage/system.h"
#include "table/delta/file_stats.h"
#include "table/delta/log.h"

namespace headrace {
namespace {

using cache::CacheFiles;
using cache::KeyRecord;
using cache::LeaseRecord;
using cache::Protection;
using cache::StoreClock;
using cache::TableRecord;
using cache::Users;
using storage::FileEntry;

// How often others may take a key's table away, in the middle of a call, before it gives
// up.
constexpr int kAttempts = 16;

Status Gone(const std::string& uri) {
  return Error(ErrorKind::kConflict,
               uri + ": the cached table is gone: its lease was not renewed for " +
                   std::to_string(kCacheLeaseMs / 60'000) +
                   " minutes, or somebody removed it: make it again");
}

// Files of a cache directory by the first part of their paths, each relative to that.
std::map<std::string, std::vector<FileEntry>> ByFolder(std::vector<FileEntry> files) {
  std::map<std::string, std::vector<FileEntry>> folders;
  for (FileEntry& file : files) {
    const size_t slash = file.relative_path.find('/');
    if (slash == std::string::npos) continue;
    const std::string folder = file.relative_path.substr(0, slash);
    file.relative_path.erase(0, slash + 1);
    folders[folder].push_back(std::move(file));
  }
  return folders;
}

int64_t BytesOf(const std::vector<FileEntry>& files) {
  int64_t bytes = 0;
  for (const FileEntry& file : files) bytes += file.size;
  return bytes;
}

}  // namespace

struct TableCache::Impl {
  std::string uri;
  // What stands before and after the name of a directory in the URI of a table.
  std::string uri_begin;
  std::string uri_end;
  CacheFiles files;

  std::string UriOf(const std::string& directory) const {
    return uri_begin + directory + uri_end;
  }
  std::string Display(const std::string& directory) const {
    return files.storage().Display(files.PathOf(directory));
  }
  Status CheckTable(const CachedTable& table) const;
  Status PutLease(const CachedTable& table) const;
  /// Leases a table if it is there; else it is released.
  Result<bool> Take(const CachedTable& table) const;
  /// Ends a lease.
  Status Release(const CachedTable& table) const;
  /// Leases the table of a key; nothing if it is no longer there.
  Result<std::optional<CachedTable>> Acquire(const KeyRecord& record,
                                             const CacheOwner& owner) const;
  Result<KeyRecord> Describe(const CachedTable& table, std::string_view key) const;
  Result<CacheEntry> EntryOf(const std::string& directory,
                             const std::vector<FileEntry>& listed,
                             StoreClock* clock) const;
  Status CollectTable(const std::string& directory, const std::vector<FileEntry>& listed,
                      bool dry_run, StoreClock* clock, CacheReport* report) const;
  Status CollectKey(const FileEntry& file, bool dry_run, StoreClock* clock,
                    CacheReport* report) const;
};

TableCache::TableCache(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TableCache::~TableCache() = default;

const std::string& TableCache::uri() const { return impl_->uri; }

Result<std::shared_ptr<TableCache>> TableCache::Open(
    const std::string& uri, const std::map<std::string, std::string>& storage_options) {
  std::string path;
  ARROW_ASSIGN_OR_RAISE(auto storage,
                        storage::Storage::FromUri(uri, storage_options, &path));
  const std::string scheme = storage::SchemeOf(uri);
  const bool local = scheme.empty() || scheme == "file";
  const size_t query = local ? std::string::npos : storage::QueryOf(uri);
  std::string begin = local ? path : uri.substr(0, query);
  if (!begin.ends_with('/')) begin += '/';
  return std::shared_ptr<TableCache>(new TableCache(
      std::unique_ptr<Impl>(new Impl{local ? path : uri, std::move(begin),
                                     query == std::string::npos ? "" : uri.substr(query),
                                     CacheFiles(std::move(storage), std::move(path))})));
}

Status TableCache::Impl::CheckTable(const CachedTable& table) const {
  if (cache::IsDirectoryName(table.directory) && !table.lease.empty()) {
    return Status::OK();
  }
  return Error(ErrorKind::kInvalidArgument,
               "\"" + table.directory + "\" is no table of " + uri +
                   ", expected one that Begin, Publish or Find gave");
}

Status TableCache::Impl::PutLease(const CachedTable& table) const {
  const LeaseRecord record{table.owner, cache::Process::This(), base::NowMs()};
  return files.storage()
      .PutIfAbsent(files.PathOfLease(table.directory, table.lease), record.ToJson())
      .status();
}

Status TableCache::Impl::Release(const CachedTable& table) const {
  ARROW_RETURN_NOT_OK(
      files.storage().Delete(files.PathOfLease(table.directory, table.lease)));
  StoreClock clock = files.MakeClock();
  return files.Remove(table.directory, Protection::kUse, &clock).status();
}

Result<bool> TableCache::Impl::Take(const CachedTable& table) const {
  const Status put = PutLease(table);
  // NotFound: a local folder that is deleted while we write to it.
  Result<bool> there = put.ok() || KindOf(put) == ErrorKind::kNotFound
                           ? files.IsThere(table.directory)
                           : Result<bool>(put);
  if (put.ok() && there.ok() && *there) return true;
  const Status released = Release(table);
  // After an error the lease may be there, and would live as long as this process.
  ARROW_RETURN_NOT_OK(there.status());
  ARROW_RETURN_NOT_OK(released);
  return false;
}

Result<std::optional<CachedTable>> TableCache::Impl::Acquire(
    const KeyRecord& record, const CacheOwner& owner) const {
  CachedTable table{.uri = UriOf(record.directory),
                    .directory = record.directory,
                    .lease = base::RandomUuid(),
                    .owner = owner,
                    .rows = record.rows,
                    .bytes = record.bytes};
  ARROW_ASSIGN_OR_RAISE(const bool leased, Take(table));
  if (leased) return table;
  ARROW_RETURN_NOT_OK(files.DropKey(record.key, record.directory));
  return std::nullopt;
}

Result<CachedTable> TableCache::Begin(const CacheOwner& owner) const {
  const int64_t now_ms = base::NowMs();
  CachedTable table;
  table.directory = cache::DirectoryName(owner, now_ms);
  table.uri = impl_->UriOf(table.directory);
  table.lease = base::RandomUuid();
  table.owner = owner;
  // The lease first: what has no live lease may be collected.
  ARROW_RETURN_NOT_OK(impl_->PutLease(table));
  const Status put =
      impl_->files.storage()
          .PutIfAbsent(impl_->files.PathOf(table.directory, cache::kTableFile),
                       TableRecord{owner, now_ms}.ToJson())
          .status();
  if (put.ok()) return table;
  // The lease would live as long as this process.
  ARROW_UNUSED(impl_->Release(table));
  return put;
}

Result<KeyRecord> TableCache::Impl::Describe(const CachedTable& table,
                                             std::string_view key) const {
  ARROW_ASSIGN_OR_RAISE(
      const auto log,
      table::delta::Log::Open(files.storage_pointer(), files.PathOf(table.directory)));
  if (!log) {
    return Error(ErrorKind::kInvalidArgument,
                 Display(table.directory) +
                     " has no version yet, expected a table that was committed");
  }
  base::InlineExecutor executor;
  ARROW_ASSIGN_OR_RAISE(const auto version, log->Read(log->last(), executor));
  KeyRecord record{storage::Sha256Hex(key), table.directory, 0, 0};
  for (const auto& add : version.files) {
    const auto rows = table::delta::RowsOf(add.file.stats);
    record.rows =
        rows && record.rows ? std::optional(*record.rows + *rows) : std::nullopt;
    record.bytes += add.file.size;
  }
  return record;
}

Result<CachedTable> TableCache::Publish(const CachedTable& table,
                                        std::string_view key) const {
  ARROW_RETURN_NOT_OK(impl_->CheckTable(table));
  const CacheFiles& files = impl_->files;
  ARROW_ASSIGN_OR_RAISE(const KeyRecord record, impl_->Describe(table, key));
  // In the table first, so that who removes it knows the key.
  const std::string own = files.PathOf(table.directory, cache::kKeyFile);
  ARROW_ASSIGN_OR_RAISE(const bool first,
                        files.storage().PutIfAbsent(own, record.ToJson()));
  if (!first) {
    ARROW_ASSIGN_OR_RAISE(const auto text, files.Read(own));
    if (!text) return Gone(impl_->Display(table.directory));
    ARROW_ASSIGN_OR_RAISE(const auto before,
                          KeyRecord::Parse(*text, files.storage().Display(own)));
    if (before.key != record.key) {
      return Error(ErrorKind::kInvalidArgument,
                   impl_->Display(table.directory) +
                       " is published by another key already, expected one key a table");
    }
  }
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ARROW_RETURN_NOT_OK(files.storage()
                            .PutIfAbsent(files.PathOfKey(record.key), record.ToJson())
                            .status());
    ARROW_ASSIGN_OR_RAISE(const auto there, files.ReadKey(record.key));
    if (!there) continue;
    if (there->directory == table.directory) {
      ARROW_ASSIGN_OR_RAISE(const bool whole, files.IsThere(table.directory));
      if (!whole) {
        ARROW_RETURN_NOT_OK(files.DropKey(record.key, table.directory));
        return Gone(impl_->Display(table.directory));
      }
      CachedTable published = table;
      published.rows = record.rows;
      published.bytes = record.bytes;
      return published;
    }
    ARROW_ASSIGN_OR_RAISE(auto other, impl_->Acquire(*there, table.owner));
    if (!other) continue;
    ARROW_RETURN_NOT_OK(impl_->Release(table));
    return *std::move(other);
  }
  return Error(ErrorKind::kConflict,
               impl_->Display(table.directory) +
                   " could not be published: others removed the key's table " +
                   std::to_string(kAttempts) + " times meanwhile: try again");
}

Result<std::optional<CachedTable>> TableCache::Find(std::string_view key,
                                                    const CacheOwner& owner) const {
  const std::string hash = storage::Sha256Hex(key);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ARROW_ASSIGN_OR_RAISE(const auto record, impl_->files.ReadKey(hash));
    if (!record) return std::nullopt;
    ARROW_ASSIGN_OR_RAISE(auto table, impl_->Acquire(*record, owner));
    if (table) return table;
  }
  return std::nullopt;
}

Status TableCache::Heartbeat(const CachedTable& table) const {
  ARROW_RETURN_NOT_OK(impl_->CheckTable(table));
  const CacheFiles& files = impl_->files;
  const std::string path = files.PathOfLease(table.directory, table.lease);
  ARROW_ASSIGN_OR_RAISE(const auto before, files.Read(path));
  if (before) {
    const LeaseRecord record{table.owner, cache::Process::This(), base::NowMs()};
    const Status renewed = files.storage().Replace(path, record.ToJson());
    // NotFound: as for PutLease.
    if (renewed.ok() || KindOf(renewed) != ErrorKind::kNotFound) return renewed;
  }
  // It was taken for dead: as with a table that is found.
  ARROW_ASSIGN_OR_RAISE(const bool leased, impl_->Take(table));
  if (leased) return Status::OK();
  return Gone(impl_->Display(table.directory));
}

Status TableCache::Keep(const CachedTable& table) const {
  ARROW_RETURN_NOT_OK(impl_->CheckTable(table));
  const CacheFiles& files = impl_->files;
  ARROW_RETURN_NOT_OK(
      files.storage()
          .PutIfAbsent(files.PathOf(table.directory, cache::kKeptFile),
                       cache::MarkToJson(base::NowMs(), base::RandomUuid()))
          .status());
  ARROW_ASSIGN_OR_RAISE(const auto there,
                        files.Read(files.PathOf(table.directory, cache::kTableFile)));
  if (there) return Status::OK();
  StoreClock clock = files.MakeClock();
  ARROW_RETURN_NOT_OK(files.Remove(table.directory, Protection::kNone, &clock).status());
  return Gone(impl_->Display(table.directory));
}

Status TableCache::Release(const CachedTable& table) const {
  ARROW_RETURN_NOT_OK(impl_->CheckTable(table));
  return impl_->Release(table);
}

Status TableCache::Remove(const std::string& directory, bool force) const {
  if (!cache::IsDirectoryName(directory)) {
    return Error(ErrorKind::kInvalidArgument,
                 "\"" + directory +
                     "\" is no name of a cached table, expected one that `headrace cache "
                     "ls` prints");
  }
  StoreClock clock = impl_->files.MakeClock();
  ARROW_ASSIGN_OR_RAISE(Users users, impl_->files.UsersOf(directory, &clock));
  if (!users.any) {
    return Error(ErrorKind::kNotFound, impl_->Display(directory) + " is not there");
  }
  ARROW_ASSIGN_OR_RAISE(
      const bool removed,
      impl_->files.Remove(directory, force ? Protection::kNone : Protection::kLeaseOnly,
                          &clock));
  if (removed) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(users, impl_->files.UsersOf(directory, &clock));
  return Error(ErrorKind::kConflict, impl_->Display(directory) + " is in use by " +
                                         users.Names() +
                                         ": wait, or force it: readers then fail");
}

Result<CacheEntry> TableCache::Impl::EntryOf(const std::string& directory,
                                             const std::vector<FileEntry>& listed,
                                             StoreClock* clock) const {
  CacheEntry entry;
  entry.directory = directory;
  entry.uri = Display(directory);
  entry.bytes = BytesOf(listed);
  ARROW_ASSIGN_OR_RAISE(const Users users, files.UsersOf(listed, clock));
  entry.kept = users.kept;
  for (const cache::Lease& lease : users.leases) {
    entry.leases.push_back({lease.record.owner, lease.record.process.host,
                            lease.record.process.pid, lease.record.heartbeat_ms,
                            lease.live});
  }
  // What was removed since it was listed, or cannot be read, is told as far as it goes.
  const std::string table_path = files.PathOf(directory, cache::kTableFile);
  ARROW_ASSIGN_OR_RAISE(const auto table_text, files.Read(table_path));
  if (table_text) {
    if (auto record = TableRecord::Parse(*table_text, table_path); record.ok()) {
      entry.owner = std::move(record->owner);
      entry.created_ms = record->created_ms;
    }
  }
  const std::string key_path = files.PathOf(directory, cache::kKeyFile);
  ARROW_ASSIGN_OR_RAISE(const auto key_text, files.Read(key_path));
  if (!key_text) return entry;
  const auto record = KeyRecord::Parse(*key_text, key_path);
  if (!record.ok()) return entry;
  entry.rows = record->rows;
  const auto found = files.ReadKey(record->key);
  if (found.ok() && *found && (*found)->directory == directory) entry.key = record->key;
  return entry;
}

Result<std::vector<CacheEntry>> TableCache::List() const {
  ARROW_ASSIGN_OR_RAISE(auto listed, impl_->files.storage().ListAll(impl_->files.path(),
                                                                    /*recursive=*/true));
  StoreClock clock = impl_->files.MakeClock();
  std::vector<CacheEntry> entries;
  for (const auto& [folder, files] : ByFolder(std::move(listed))) {
    const bool ours = std::ranges::any_of(files, [](const FileEntry& file) {
      return file.relative_path.starts_with(std::string(cache::kOwnFolder) + "/");
    });
    if (!ours || !cache::IsDirectoryName(folder)) continue;
    ARROW_ASSIGN_OR_RAISE(CacheEntry entry, impl_->EntryOf(folder, files, &clock));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Status TableCache::Impl::CollectTable(const std::string& directory,
                                      const std::vector<FileEntry>& listed, bool dry_run,
                                      StoreClock* clock, CacheReport* report) const {
  ARROW_ASSIGN_OR_RAISE(const Users users, files.UsersOf(listed, clock));
  if (!users.any) return Status::OK();  // no table of ours
  if (!users.in_use() && !users.kept) {
    bool removed = true;
    if (!dry_run) {
      ARROW_ASSIGN_OR_RAISE(removed, files.Remove(directory, Protection::kUse, clock));
    }
    if (removed) {
      report->directories.push_back(directory);
      report->bytes += BytesOf(listed);
    }
    return Status::OK();
  }
  for (const cache::Lease& lease : users.leases) {
    if (lease.live) continue;
    ++report->files;
    if (!dry_run) ARROW_RETURN_NOT_OK(files.storage().Delete(lease.file.path));
  }
  return Status::OK();
}

Status TableCache::Impl::CollectKey(const FileEntry& file, bool dry_run,
                                    StoreClock* clock, CacheReport* report) const {
  const std::string& name = file.relative_path;
  if (name.starts_with(cache::kClockPrefix)) {
    ARROW_ASSIGN_OR_RAISE(const auto now_ns, clock->NowNs());
    if (!now_ns || (*now_ns - file.modified_ns) / 1'000'000 <= kCacheLeaseMs) {
      return Status::OK();
    }
    ++report->files;
    return dry_run ? Status::OK() : files.storage().Delete(file.path);
  }
  if (!name.ends_with(cache::kRecordSuffix)) return Status::OK();
  const std::string key = name.substr(0, name.size() - cache::kRecordSuffix.size());
  auto record = files.ReadKey(key);
  std::string directory;
  if (record.ok()) {
    if (!*record) return Status::OK();
    directory = (*record)->directory;
    ARROW_ASSIGN_OR_RAISE(const bool there, files.IsThere(directory));
    if (there) return Status::OK();
  } else if (KindOf(record.status()) == ErrorKind::kUnsupported) {
    return Status::OK();  // a newer Headrace's
  } else if (KindOf(record.status()) != ErrorKind::kCorrupt) {
    return record.status();
  }
  ++report->files;
  return dry_run ? Status::OK() : files.DropKey(key, directory);
}

Result<CacheReport> TableCache::Collect(bool dry_run) const {
  ARROW_ASSIGN_OR_RAISE(auto listed, impl_->files.storage().ListAll(impl_->files.path(),
                                                                    /*recursive=*/true));
  StoreClock clock = impl_->files.MakeClock();
  CacheReport report;
  report.deleted = !dry_run;
  Status first;
  auto note = [&](const Status& status) {
    if (first.ok()) first = status;
  };
  const auto folders = ByFolder(std::move(listed));
  for (const auto& [folder, files] : folders) {
    if (!cache::IsDirectoryName(folder)) continue;
    note(impl_->CollectTable(folder, files, dry_run, &clock, &report));
  }
  if (const auto keys = folders.find(std::string(cache::kKeysFolder));
      keys != folders.end()) {
    for (const FileEntry& file : keys->second) {
      note(impl_->CollectKey(file, dry_run, &clock, &report));
    }
  }
  ARROW_RETURN_NOT_OK(first);
  return report;
}

}  // namespace headrace
