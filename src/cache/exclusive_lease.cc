#include <headrace/lease.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/uuid.h"
#include "cache/liveness.h"
#include "cache/records.h"
#include "storage/storage.h"
#include "table/delta/log.h"

namespace headrace {
namespace {

using cache::ExclusiveRecord;

constexpr std::string_view kFolder = "/leases";
// How long one that asks waits for others that ask, who need it for a few files.
constexpr int kLooks = 200;
constexpr std::chrono::milliseconds kBetweenLooks(50);

// A lease of somebody else's.
struct Other {
  storage::FileEntry file = {};
  ExclusiveRecord record = {};
  bool live = false;
};

std::string OwnerText(const ExclusiveRecord& record) {
  return "process " + std::to_string(record.process.pid) + " of host " +
         record.process.host + " since " + table::delta::TimeText(record.since_ms) +
         " (heard of last at " + table::delta::TimeText(record.heartbeat_ms) + ")";
}

std::string SecondsText(int64_t ms) { return std::to_string(ms / 1000) + " s"; }

}  // namespace

// Who takes the folder writes his lease, and then lists those of others: of two that do
// so, the later to list sees the other's. So if he finds none that lives, he has the
// folder, and says so in his lease. If he finds one that says so, or asks and has a
// lesser name, he gives up. If he finds others that ask, they see him, or do not and have
// it then: he waits until they have given up, or say which it is.
struct ExclusiveLease::Impl {
  std::shared_ptr<storage::Storage> storage;
  std::string path;
  std::string name = base::RandomUuid() + std::string(cache::kRecordSuffix);
  ExclusiveRecord record = {cache::Process::This(), base::NowMs()};

  // A lease that is renewed while it is released would be there again.
  std::mutex mutex = {};
  bool over = false;

  std::string Folder() const { return path + std::string(kFolder); }
  std::string PathOf(const std::string& of) const { return Folder() + "/" + of; }

  Status Put() {
    record.heartbeat_ms = base::NowMs();
    return storage->Replace(PathOf(name), record.ToJson());
  }
  Status Delete() { return storage->Delete(PathOf(name)); }

  cache::StoreClock MakeClock() const { return {storage, Folder()}; }

  Result<std::vector<Other>> Others(cache::StoreClock* clock) const {
    ARROW_ASSIGN_OR_RAISE(const auto files,
                          storage->ListAll(Folder(), /*recursive=*/false));
    std::vector<Other> others;
    for (const storage::FileEntry& file : files) {
      if (file.relative_path == name ||
          !file.relative_path.ends_with(cache::kRecordSuffix)) {
        continue;
      }
      ARROW_ASSIGN_OR_RAISE(const auto text, cache::ReadIfThere(*storage, file.path));
      if (!text) continue;  // released since it was listed
      Other other{file};
      // One that we do not understand has the folder as long as it is young.
      other.record.held = true;
      auto parsed = ExclusiveRecord::Parse(*text, storage->Display(file.path));
      if (parsed.ok()) other.record = *std::move(parsed);
      ARROW_ASSIGN_OR_RAISE(
          other.live,
          cache::IsLive(file, {other.record.process, other.record.heartbeat_ms, kLeaseMs},
                        clock));
      others.push_back(std::move(other));
    }
    return others;
  }

  // Who keeps this one from having the folder; nobody if it has it.
  Result<std::optional<ExclusiveRecord>> Ask() {
    cache::StoreClock clock = MakeClock();
    for (int look = 0;; ++look) {
      ARROW_ASSIGN_OR_RAISE(const std::vector<Other> others, Others(&clock));
      const auto before = std::ranges::find_if(others, [&](const Other& other) {
        return other.live &&
               (other.record.held || other.file.relative_path < name || look == kLooks);
      });
      if (before != others.end()) return before->record;
      if (std::ranges::none_of(others, &Other::live)) {
        record.held = true;
        ARROW_RETURN_NOT_OK(Put());
        for (const Other& dead : others) {
          ARROW_RETURN_NOT_OK(storage->Delete(dead.file.path));
        }
        return std::nullopt;
      }
      std::this_thread::sleep_for(kBetweenLooks);
    }
  }
};

ExclusiveLease::ExclusiveLease(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ExclusiveLease::~ExclusiveLease() = default;

Result<std::shared_ptr<ExclusiveLease>> ExclusiveLease::Take(
    const std::string& uri, const std::map<std::string, std::string>& storage_options) {
  auto impl = std::make_unique<Impl>();
  ARROW_ASSIGN_OR_RAISE(impl->storage,
                        storage::Storage::OfFolder(uri, storage_options, &impl->path));
  ARROW_RETURN_NOT_OK(impl->Put());
  auto before = impl->Ask();
  if (before.ok() && !*before) {
    return std::shared_ptr<ExclusiveLease>(new ExclusiveLease(std::move(impl)));
  }
  const Status deleted = impl->Delete();
  ARROW_RETURN_NOT_OK(before.status());
  ARROW_RETURN_NOT_OK(deleted);
  return Error(ErrorKind::kConflict,
               impl->storage->Display(impl->path) + " is in use by " +
                   OwnerText(**before) +
                   ": wait until that has ended. One that was killed is known to be gone "
                   "at once on its own host, and elsewhere " +
                   SecondsText(kLeaseMs) + " after it was heard of");
}

std::string ExclusiveLease::Display() const {
  return impl_->storage->Display(impl_->path);
}

Status ExclusiveLease::Renew() {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->over) return Status::OK();
  const auto lost = [&](const std::string& why) {
    impl_->over = true;
    return Error(ErrorKind::kConflict, Display() +
                                           " is this process' no more: its lease "
                                           "was not renewed for " +
                                           SecondsText(kLeaseMs) + ", and " + why);
  };
  ARROW_ASSIGN_OR_RAISE(const auto own,
                        cache::ReadIfThere(*impl_->storage, impl_->PathOf(impl_->name)));
  if (!own) return lost("others have taken it");
  ARROW_RETURN_NOT_OK(impl_->Put());
  cache::StoreClock clock = impl_->MakeClock();
  ARROW_ASSIGN_OR_RAISE(const std::vector<Other> others, impl_->Others(&clock));
  for (const Other& other : others) {
    if (!other.live || !other.record.held) continue;
    ARROW_RETURN_NOT_OK(impl_->Delete());
    return lost("it is in use by " + OwnerText(other.record));
  }
  return Status::OK();
}

Status ExclusiveLease::Release() {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->over) return Status::OK();
  ARROW_RETURN_NOT_OK(impl_->Delete());
  impl_->over = true;
  return Status::OK();
}

}  // namespace headrace
