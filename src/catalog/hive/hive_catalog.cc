#include "catalog/hive/hive_catalog.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/entry.h"
#include "catalog/hive/hive_entry.h"
#include "catalog/hive/metastore.h"
#include "catalog/hive/partition_filter.h"
#include "catalog/search.h"
#include "table/partition.h"

namespace headrace::catalog {
namespace {

// How often a change is tried anew that another process was faster than.
constexpr int kAttempts = 100;
// Tables asked for in one call.
constexpr size_t kTablesPerCall = 200;
constexpr std::string_view kNullPartition = "__HIVE_DEFAULT_PARTITION__";

struct HiveName {
  std::string database;
  std::string table;
};

Result<HiveName> ParseName(const std::string& name) {
  const size_t dot = name.find('.');
  if (dot == std::string::npos) return HiveName{"default", name};
  if (name.find('.', dot + 1) == std::string::npos) {
    return HiveName{name.substr(0, dot), name.substr(dot + 1)};
  }
  return Error(
      ErrorKind::kInvalidArgument,
      "the name of a table is " + name + ", expected database.table in a Hive Metastore");
}

bool SameKey(std::string_view path, const std::string& key) {
  return std::ranges::equal(path, key, [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  });
}

// The URI of a partition below the table's. Unsupported where its folders do not say its
// values, since they are read from there.
Result<std::string> PartitionUri(const hive::Table& table, const std::string& root,
                                 const hive::Partition& partition) {
  std::string uri = UriOfLocation(partition.sd.location);
  while (uri.ends_with('/')) uri.pop_back();
  bool fits = uri.starts_with(root + "/");
  if (fits) {
    const auto keys = table::ParsePartitionPath(uri.substr(root.size() + 1) + "/");
    fits = keys.size() == partition.values.size() &&
           keys.size() == table.partitionKeys.size();
    for (size_t i = 0; fits && i < keys.size(); ++i) {
      fits = SameKey(keys[i].key, table.partitionKeys[i].name) &&
             keys[i].value.value_or(std::string(kNullPartition)) == partition.values[i];
    }
  }
  if (fits) return uri;
  return Error(ErrorKind::kUnsupported, "table " + table.dbName + "." + table.tableName +
                                            ": a partition lies at " + uri +
                                            ", expected folders key=value below " + root +
                                            " that say its values: move it there");
}

class HiveCatalog final : public Catalog {
 public:
  HiveCatalog(const std::string& uri, Metastore metastore)
      : Catalog(uri), metastore_(std::move(metastore)) {}

 private:
  Status DoAdd(const CatalogEntry& entry, bool replace) override;
  Result<CatalogEntry> DoShow(const std::string& name) const override;
  Result<std::vector<CatalogEntry>> DoFind(const CatalogQuery& query) const override;
  Status DoTag(const std::string& name, const std::string& tag, int64_t version,
               bool replace) override;
  Status DoRemove(const std::string& name) override;
  Status DoUntag(const std::string& name, const std::string& tag) override;
  Status DoUpdate(const std::string& name, const CatalogUpdate& update) override;
  Result<CatalogLocation> DoLocate(const CatalogEntry& entry,
                                   std::string_view where) const override;

  // Puts a table in the place of one that is there.
  Status Replace(const CatalogEntry& entry, hive::Table table);
  Result<hive::Table> TableOf(const std::string& name) const;
  static std::string RevisionOf(const hive::Table& table);
  /// With all that its revision has.
  Result<hive::Table> WholeTable(const std::string& name) const;
  // Reads, changes and writes a table, anew where another process wrote it meanwhile.
  template <typename Change>
  Status Alter(const std::string& name, const Change& change);

  Metastore metastore_;
};

Result<hive::Table> HiveCatalog::TableOf(const std::string& name) const {
  ARROW_ASSIGN_OR_RAISE(const HiveName parsed, ParseName(name));
  auto table = metastore_.GetTable(parsed.database, parsed.table);
  if (table.ok() || KindOf(table.status()) != ErrorKind::kNotFound) return table;
  std::vector<std::string> names;
  ARROW_ASSIGN_OR_RAISE(const auto tables, metastore_.TableNames(parsed.database));
  names.reserve(tables.size());
  for (const std::string& each : tables) names.push_back(parsed.database + "." + each);
  if (!names.empty()) return NoSuchTable(uri(), name, names);
  ARROW_ASSIGN_OR_RAISE(names, metastore_.Databases());
  return Error(ErrorKind::kNotFound,
               "catalog " + uri() + " has no table " + name + ": database " +
                   parsed.database +
                   (std::ranges::count(names, parsed.database) > 0 ? " is empty"
                                                                   : " is not there"));
}

std::string HiveCatalog::RevisionOf(const hive::Table& table) {
  const auto found = table.parameters.find(kRevision);
  return found == table.parameters.end() ? "" : found->second;
}

// A database that is read as it is committed to can give a revision beside parameters of
// the one before. What is read after a revision was seen has all that belongs to it.
Result<hive::Table> HiveCatalog::WholeTable(const std::string& name) const {
  ARROW_ASSIGN_OR_RAISE(hive::Table seen, TableOf(name));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(hive::Table table, TableOf(name));
    if (RevisionOf(table) == RevisionOf(seen)) return table;
    seen = table;
  }
}

template <typename Change>
Status HiveCatalog::Alter(const std::string& name, const Change& change) {
  Status done;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    ARROW_ASSIGN_OR_RAISE(const hive::Table before, WholeTable(name));
    hive::Table after = before;
    ARROW_RETURN_NOT_OK(change(&after));
    const auto revision = before.parameters.find(kRevision);
    after.parameters[kRevision] =
        revision == before.parameters.end()
            ? "1"
            : std::to_string(std::atoll(revision->second.c_str()) + 1);
    done = metastore_.Alter(before, after, kRevision);
    if (done.ok() || KindOf(done) != ErrorKind::kConflict) return done;
  }
  return done;
}

Status HiveCatalog::Replace(const CatalogEntry& entry, hive::Table table) {
  ARROW_ASSIGN_OR_RAISE(const hive::Table there, TableOf(entry.name));
  if (PartitionKeys(there) == PartitionKeys(table)) {
    return Alter(entry.name, [&](hive::Table* each) { return Describe(entry, each); });
  }
  // No metastore alters them: the table is made anew.
  const CatalogEntry before = EntryOf(there);
  for (const auto& [tag, version] : before.tags) {
    if (!entry.tags.contains(tag)) SetTag(tag, version, &table);
  }
  table.createTime = there.createTime;
  ARROW_RETURN_NOT_OK(metastore_.Drop(there.dbName, there.tableName));
  return metastore_.Create(table);
}

Status HiveCatalog::DoAdd(const CatalogEntry& entry, bool replace) {
  ARROW_ASSIGN_OR_RAISE(const HiveName name, ParseName(entry.name));
  hive::Table table;
  table.dbName = name.database;
  table.tableName = name.table;
  table.createTime = static_cast<int32_t>(std::time(nullptr));
  table.parameters[kRevision] = "1";
  ARROW_RETURN_NOT_OK(Describe(entry, &table));
  Status created = metastore_.Create(table);
  if (created.ok()) return created;
  if (KindOf(created) == ErrorKind::kConflict) {
    if (!replace) return NameTaken(uri(), entry.name);
    return Replace(entry, table);
  }
  ARROW_ASSIGN_OR_RAISE(const auto databases, metastore_.Databases());
  if (std::ranges::count(databases, name.database) > 0) return created;
  return Error(ErrorKind::kNotFound, "catalog " + uri() + " has no database " +
                                         name.database +
                                         ": make it, as with Spark's CREATE DATABASE");
}

Result<CatalogEntry> HiveCatalog::DoShow(const std::string& name) const {
  ARROW_ASSIGN_OR_RAISE(const hive::Table table, TableOf(name));
  return EntryOf(table);
}

Result<std::vector<CatalogEntry>> HiveCatalog::DoFind(const CatalogQuery& query) const {
  std::vector<CatalogEntry> entries;
  ARROW_ASSIGN_OR_RAISE(const auto databases, metastore_.Databases());
  for (const std::string& database : databases) {
    ARROW_ASSIGN_OR_RAISE(const auto names, metastore_.TableNames(database));
    for (size_t begin = 0; begin < names.size(); begin += kTablesPerCall) {
      const size_t count = std::min(kTablesPerCall, names.size() - begin);
      const auto first = names.begin() + static_cast<ptrdiff_t>(begin);
      ARROW_ASSIGN_OR_RAISE(
          const auto tables,
          metastore_.Tables(database, {first, first + static_cast<ptrdiff_t>(count)}));
      for (const hive::Table& table : tables) entries.push_back(EntryOf(table));
    }
  }
  return Filtered(std::move(entries), query);
}

Status HiveCatalog::DoTag(const std::string& name, const std::string& tag,
                          int64_t version, bool replace) {
  return Alter(name, [&](hive::Table* table) -> Status {
    ARROW_RETURN_NOT_OK(CheckTagFree(EntryOf(*table), tag, version, replace));
    SetTag(tag, version, table);
    return Status::OK();
  });
}

Status HiveCatalog::DoRemove(const std::string& name) {
  ARROW_ASSIGN_OR_RAISE(const hive::Table table, TableOf(name));
  return metastore_.Drop(table.dbName, table.tableName);
}

Status HiveCatalog::DoUntag(const std::string& name, const std::string& tag) {
  return Alter(name, [&](hive::Table* table) -> Status {
    ARROW_RETURN_NOT_OK(VersionOfTag(EntryOf(*table), tag).status());
    EraseTag(tag, table);
    return Status::OK();
  });
}

Status HiveCatalog::DoUpdate(const std::string& name, const CatalogUpdate& update) {
  return Alter(name, [&](hive::Table* table) -> Status {
    CatalogEntry entry = EntryOf(*table);
    Apply(update, &entry);
    SetCounts(entry, table);
    if (update.schema == nullptr) return Status::OK();
    entry.schema = update.schema;
    const auto keys = PartitionKeys(*table);
    ARROW_RETURN_NOT_OK(SetColumns(entry, table));
    if (PartitionKeys(*table) == keys) return Status::OK();
    return Error(ErrorKind::kUnsupported,
                 "table " + entry.name +
                     " is partitioned otherwise than before, which a Hive Metastore does "
                     "not alter: add it anew, with replace");
  });
}

Result<CatalogLocation> HiveCatalog::DoLocate(const CatalogEntry& entry,
                                              std::string_view where) const {
  if (entry.format != "parquet" && entry.format != "delta") {
    return Error(ErrorKind::kUnsupported, "table " + entry.name + " is stored as " +
                                              entry.format +
                                              ", expected parquet or delta");
  }
  CatalogLocation location;
  location.uris = {entry.uri};
  location.storage_options = entry.storage_options;
  location.partition_types = entry.partition_types;
  ARROW_ASSIGN_OR_RAISE(const hive::Table table, TableOf(entry.name));
  if (entry.format == "delta" || !KeepsPartitions(table)) return location;
  ARROW_ASSIGN_OR_RAISE(const std::string filter,
                        PartitionFilter(where, PartitionKeys(table)));
  ARROW_ASSIGN_OR_RAISE(auto partitions, metastore_.Partitions(table, filter));
  if (partitions.empty() && !filter.empty()) {
    // One that holds no row that passes gives the columns of what is empty.
    ARROW_ASSIGN_OR_RAISE(partitions, metastore_.AnyPartition(table));
  }
  if (partitions.empty()) {
    return Error(ErrorKind::kNotFound,
                 "table " + entry.name + " has no partitions in catalog " + uri());
  }
  location.root = entry.uri;
  while (location.root.ends_with('/')) location.root.pop_back();
  location.uris.clear();
  for (const hive::Partition& partition : partitions) {
    ARROW_ASSIGN_OR_RAISE(std::string place,
                          PartitionUri(table, location.root, partition));
    location.uris.push_back(std::move(place));
  }
  std::ranges::sort(location.uris);
  return location;
}

}  // namespace

Result<std::shared_ptr<Catalog>> MakeHiveCatalog(const std::string& uri,
                                                 double timeout_s) {
  Timeouts timeouts;
  if (timeout_s > 0) timeouts = {timeout_s, timeout_s};
  ARROW_ASSIGN_OR_RAISE(Metastore metastore, Metastore::Make(uri, timeouts));
  return std::make_shared<HiveCatalog>(uri, std::move(metastore));
}

}  // namespace headrace::catalog
