#include "catalog/sqlite/sqlite_catalog.h"

#include <set>
#include <utility>

#include "base/clock.h"
#include "catalog/entry.h"
#include "catalog/search.h"
#include "catalog/sqlite/catalog_file.h"
#include "catalog/sqlite/entry_rows.h"
#include "catalog/time.h"

namespace headrace::catalog {
namespace {

using enum Transaction::Kind;

// Connects, and calls `act` with the database inside of one transaction. Where there is
// no file yet, `name` is not found.
template <typename Act>
Status Write(const std::string& path, const std::string& name, Act&& act) {
  ARROW_ASSIGN_OR_RAISE(const auto database, OpenCatalogFile(path));
  if (!database) return NoSuchTable(path, name, {});
  ARROW_ASSIGN_OR_RAISE(auto transaction, Transaction::Begin(*database, kWrite));
  ARROW_ASSIGN_OR_RAISE(const int64_t id, IdOf(*database, name));
  ARROW_RETURN_NOT_OK(act(*database, id));
  return transaction.Commit();
}

Status WriteTag(const Database& database, int64_t id, const std::string& tag,
                int64_t version) {
  return database.Run(
      "INSERT INTO entry_tag VALUES (?, ?, ?, ?) "
      "ON CONFLICT (entry_id, name) DO UPDATE SET version = excluded.version, "
      "created_us = excluded.created_us",
      {id, std::string_view(tag), version, base::NowUs()});
}

Result<std::set<int64_t>> MatchingIds(const Database& database,
                                      const CatalogQuery& query) {
  ARROW_ASSIGN_OR_RAISE(std::set<int64_t> ids, database.IdsOf("SELECT id FROM entry"));
  auto keep = [&ids](const std::set<int64_t>& found) {
    std::erase_if(ids, [&](int64_t id) { return !found.contains(id); });
  };
  using Text = std::string_view;
  if (!query.text.empty()) {
    ARROW_ASSIGN_OR_RAISE(const auto found, IdsMatching(database, query.text));
    keep(found);
  }
  if (!query.column.empty()) {
    ARROW_ASSIGN_OR_RAISE(
        const auto found,
        database.IdsOf("SELECT entry_id FROM entry_column WHERE name = ?",
                       {Text(query.column)}));
    keep(found);
  }
  if (!query.tag.empty()) {
    ARROW_ASSIGN_OR_RAISE(const auto found,
                          database.IdsOf("SELECT entry_id FROM entry_tag WHERE name = ?",
                                         {Text(query.tag)}));
    keep(found);
  }
  if (!query.owner.empty()) {
    ARROW_ASSIGN_OR_RAISE(
        const auto found,
        database.IdsOf("SELECT id FROM entry WHERE owner = ?", {Text(query.owner)}));
    keep(found);
  }
  return ids;
}

}  // namespace

Result<std::shared_ptr<Catalog>> SqliteCatalog::Make(const std::string& path) {
  ARROW_RETURN_NOT_OK(OpenCatalogFile(path).status());
  return std::shared_ptr<Catalog>(new SqliteCatalog(path));
}

Status SqliteCatalog::DoAdd(const CatalogEntry& entry, bool replace) {
  ARROW_ASSIGN_OR_RAISE(const Database database, MakeCatalogFile(uri()));
  ARROW_ASSIGN_OR_RAISE(auto transaction, Transaction::Begin(database, kWrite));
  if (!replace) {
    ARROW_ASSIGN_OR_RAISE(const int64_t taken,
                          database.NumberOf("SELECT count(*) FROM entry WHERE name = ?",
                                            {std::string_view(entry.name)}));
    if (taken > 0) return NameTaken(uri(), entry.name);
  }
  ARROW_RETURN_NOT_OK(WriteEntry(database, entry));
  ARROW_ASSIGN_OR_RAISE(const int64_t id, IdOf(database, entry.name));
  for (const auto& [tag, version] : entry.tags) {
    ARROW_RETURN_NOT_OK(WriteTag(database, id, tag, version));
  }
  return transaction.Commit();
}

Result<CatalogEntry> SqliteCatalog::DoShow(const std::string& name) const {
  ARROW_ASSIGN_OR_RAISE(const auto database, OpenCatalogFile(uri()));
  if (!database) return NoSuchTable(uri(), name, {});
  ARROW_ASSIGN_OR_RAISE(auto transaction, Transaction::Begin(*database, kRead));
  ARROW_ASSIGN_OR_RAISE(const int64_t id, IdOf(*database, name));
  return ReadEntry(*database, id);
}

Result<std::vector<CatalogEntry>> SqliteCatalog::DoFind(const CatalogQuery& query) const {
  std::vector<CatalogEntry> entries;
  ARROW_ASSIGN_OR_RAISE(const auto database, OpenCatalogFile(uri()));
  if (!database) return entries;
  ARROW_ASSIGN_OR_RAISE(auto transaction, Transaction::Begin(*database, kRead));
  ARROW_ASSIGN_OR_RAISE(const auto ids, MatchingIds(*database, query));
  for (const int64_t id : ids) {
    ARROW_ASSIGN_OR_RAISE(CatalogEntry entry, ReadEntry(*database, id));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Status SqliteCatalog::DoTag(const std::string& name, const std::string& tag,
                            int64_t version, bool replace) {
  return Write(uri(), name, [&](const Database& database, int64_t id) -> Status {
    ARROW_ASSIGN_OR_RAISE(const CatalogEntry entry, ReadEntry(database, id));
    ARROW_RETURN_NOT_OK(CheckTagFree(entry, tag, version, replace));
    return WriteTag(database, id, tag, version);
  });
}

Status SqliteCatalog::DoRemove(const std::string& name) {
  return Write(uri(), name, [](const Database& database, int64_t id) {
    return DeleteEntry(database, id);
  });
}

Status SqliteCatalog::DoUntag(const std::string& name, const std::string& tag) {
  return Write(uri(), name, [&](const Database& database, int64_t id) -> Status {
    ARROW_ASSIGN_OR_RAISE(const CatalogEntry entry, ReadEntry(database, id));
    ARROW_RETURN_NOT_OK(VersionOfTag(entry, tag).status());
    return database.Run("DELETE FROM entry_tag WHERE entry_id = ? AND name = ?",
                        {id, std::string_view(tag)});
  });
}

Status SqliteCatalog::DoUpdate(const std::string& name, const CatalogUpdate& update) {
  return Write(uri(), name, [&](const Database& database, int64_t id) -> Status {
    ARROW_ASSIGN_OR_RAISE(CatalogEntry entry, ReadEntry(database, id));
    Apply(update, &entry);
    return WriteEntry(database, entry);
  });
}

}  // namespace headrace::catalog
