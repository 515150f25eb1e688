#include <headrace/cache.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_text.h"
#include "table/delta/log.h"

namespace headrace {
namespace {

using Json = nlohmann::ordered_json;

Json TimeOf(int64_t ms) { return ms == 0 ? Json() : Json(table::delta::TimeText(ms)); }

}  // namespace

bool CacheEntry::in_use() const { return std::ranges::any_of(leases, &CacheLease::live); }

std::string ToJson(const std::vector<CacheEntry>& entries) {
  Json list = Json::array();
  for (const CacheEntry& entry : entries) {
    Json leases = Json::array();
    for (const CacheLease& lease : entry.leases) {
      leases.push_back({{"application", lease.owner.application},
                        {"application_id", lease.owner.application_id},
                        {"host", lease.host},
                        {"pid", lease.pid},
                        {"heartbeat", TimeOf(lease.heartbeat_ms)},
                        {"live", lease.live}});
    }
    list.push_back({{"directory", entry.directory},
                    {"uri", entry.uri},
                    {"key", entry.key.empty() ? Json() : Json(entry.key)},
                    {"application", entry.owner.application},
                    {"application_id", entry.owner.application_id},
                    {"created", TimeOf(entry.created_ms)},
                    {"rows", entry.rows ? Json(*entry.rows) : Json()},
                    {"bytes", entry.bytes},
                    {"kept", entry.kept},
                    {"in_use", entry.in_use()},
                    {"leases", std::move(leases)}});
  }
  return base::JsonText(list);
}

std::string CacheReport::ToJson() const {
  return base::JsonText(Json{{"directories", directories},
                             {"bytes", bytes},
                             {"files", files},
                             {"deleted", deleted}});
}

}  // namespace headrace
