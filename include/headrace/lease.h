/// \file
/// A folder that one process at a time has to itself.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace headrace {

/// How often a lease is to be renewed, and when one that is not is over, unless its
/// process is known to live.
inline constexpr int64_t kLeaseHeartbeatMs = int64_t{20} * 1000;
inline constexpr int64_t kLeaseMs = 6 * kLeaseHeartbeatMs;

/// A folder on any storage in this process' hands, by a file in its folder "leases".
///
/// A process that has ended without releasing it is known to be gone at once on its own
/// host, and elsewhere kLeaseMs after it was heard of last: by the storage's clock, so
/// that those of hosts are not compared.
///
/// Thread-safety: all methods may be called from any thread. Errors: those of storage.
class ExclusiveLease {
 public:
  /// Conflict, saying who has the folder, and since when, if it is in use. Of several
  /// that ask at once, one gets it.
  static Result<std::shared_ptr<ExclusiveLease>> Take(
      const std::string& uri,
      const std::map<std::string, std::string>& storage_options = {});

  /// Releases nothing.
  ~ExclusiveLease();
  ExclusiveLease(const ExclusiveLease&) = delete;
  ExclusiveLease& operator=(const ExclusiveLease&) = delete;

  /// The folder as users know it, without credentials.
  std::string Display() const;

  /// To be called every kLeaseHeartbeatMs. Conflict if it was called so late that others
  /// may have, or have had, the folder since: it is lost then. Does nothing once it is
  /// released.
  Status Renew();

  /// Lets others have the folder. OK if it is done already, or the lease is lost.
  Status Release();

 private:
  struct Impl;
  explicit ExclusiveLease(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace headrace
