#include "cache/liveness.h"

#include <arrow/buffer.h>

#include <algorithm>

#include "base/clock.h"
#include "base/uuid.h"
#include "cache/records.h"

namespace headrace::cache {
namespace {

constexpr int kReads = 3;

}  // namespace

Result<std::optional<std::string>> ReadIfThere(const storage::Storage& storage,
                                               const std::string& path) {
  Status status;
  // A file that goes, or is written anew, while it is read fails in words of the
  // storage's own: some say that it was closed.
  for (int attempt = 0; attempt < kReads; ++attempt) {
    auto bytes = storage.ReadAll(path);
    if (bytes.ok()) return (*bytes)->ToString();
    status = bytes.status();
    if (KindOf(status) == ErrorKind::kNotFound) return std::nullopt;
    const auto change = storage.ChangeOf({path, "", 0, 0});
    if (!change.ok() && KindOf(change.status()) == ErrorKind::kNotFound) {
      return std::nullopt;
    }
  }
  return status;
}

Result<std::optional<int64_t>> StoreClock::NowNs() {
  if (!now_ns_) {
    ARROW_ASSIGN_OR_RAISE(now_ns_, Ask());
  }
  return *now_ns_;
}

Result<std::optional<int64_t>> StoreClock::Ask() const {
  const std::string name = std::string(kClockPrefix) + base::RandomUuid();
  const std::string path = folder_ + "/" + name;
  const Status put = storage_->Replace(path, name);
  if (!put.ok() && KindOf(put) == ErrorKind::kDenied) return std::nullopt;
  ARROW_RETURN_NOT_OK(put);
  auto files = storage_->ListAll(folder_, /*recursive=*/false);
  ARROW_RETURN_NOT_OK(storage_->Delete(path));
  ARROW_RETURN_NOT_OK(files.status());
  const auto found = std::ranges::find(*files, name, &storage::FileEntry::relative_path);
  if (found == files->end() || found->modified_ns <= 0) return std::nullopt;
  return found->modified_ns;
}

Result<bool> IsLive(const storage::FileEntry& file, const Holder& holder,
                    StoreClock* clock) {
  if (holder.process.IsLocal()) return !holder.process.IsGone();
  ARROW_ASSIGN_OR_RAISE(const auto now_ns, clock->NowNs());
  const bool timed = now_ns && file.modified_ns > 0;
  const int64_t age_ms = timed ? (*now_ns - file.modified_ns) / 1'000'000
                               : base::NowMs() - holder.heartbeat_ms;
  return age_ms <= holder.lease_ms;
}

}  // namespace headrace::cache
