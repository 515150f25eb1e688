#include "catalog/sqlite/entry_rows.h"

#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/clock.h"
#include "base/json_text.h"
#include "catalog/entry.h"
#include "catalog/search.h"
#include "catalog/time.h"

namespace headrace::catalog {
namespace {

using nlohmann::json;

// What a cell of JSON holds.
template <typename T>
Result<T> Parsed(const Database& database, const std::string& name,
                 const std::string& text) {
  try {
    return json::parse(text).get<T>();
  } catch (const json::exception& e) {
    return Error(ErrorKind::kCorrupt, "catalog " + database.path() + ": entry " + name +
                                          " has a cell that is no JSON as expected: " +
                                          e.what() + ": add the table again");
  }
}

Status ReadColumns(const Database& database, int64_t id, CatalogEntry* entry) {
  ARROW_ASSIGN_OR_RAISE(Statement rows,
                        database.Query("SELECT name, type, comment FROM entry_column "
                                       "WHERE entry_id = ? ORDER BY position",
                                       {id}));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(const bool more, rows.Next());
    if (!more) return Status::OK();
    entry->columns.push_back({rows.Text(0), rows.Text(1), rows.Text(2)});
  }
}

Status ReadTags(const Database& database, int64_t id, CatalogEntry* entry) {
  ARROW_ASSIGN_OR_RAISE(
      Statement rows,
      database.Query("SELECT name, version FROM entry_tag WHERE entry_id = ?", {id}));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(const bool more, rows.Next());
    if (!more) return Status::OK();
    entry->tags[rows.Text(0)] = rows.Number(1);
  }
}

Status WriteColumns(const Database& database, int64_t id, const CatalogEntry& entry) {
  ARROW_RETURN_NOT_OK(database.Run("DELETE FROM entry_column WHERE entry_id = ?", {id}));
  int64_t position = 0;
  for (const CatalogEntry::Column& column : entry.columns) {
    ARROW_RETURN_NOT_OK(
        database.Run("INSERT INTO entry_column VALUES (?, ?, ?, ?, ?)",
                     {id, position++, std::string_view(column.name),
                      std::string_view(column.type), std::string_view(column.comment)}));
  }
  const std::string text = SearchText(entry);
  ARROW_RETURN_NOT_OK(database.Run("DELETE FROM entry_text WHERE rowid = ?", {id}));
  return database.Run("INSERT INTO entry_text (rowid, text) VALUES (?, ?)",
                      {id, std::string_view(text)});
}

}  // namespace

Result<int64_t> IdOf(const Database& database, const std::string& name) {
  ARROW_ASSIGN_OR_RAISE(
      Statement rows,
      database.Query("SELECT id FROM entry WHERE name = ?", {std::string_view(name)}));
  ARROW_ASSIGN_OR_RAISE(const bool found, rows.Next());
  if (found) return rows.Number(0);
  std::vector<std::string> names;
  ARROW_ASSIGN_OR_RAISE(Statement all, database.Query("SELECT name FROM entry"));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(const bool more, all.Next());
    if (!more) break;
    names.push_back(all.Text(0));
  }
  return NoSuchTable(database.path(), name, names);
}

Result<CatalogEntry> ReadEntry(const Database& database, int64_t id) {
  ARROW_ASSIGN_OR_RAISE(
      Statement row,
      database.Query("SELECT name, uri, description, owner, format, last_writer, "
                     "version, rows, bytes, files, created_us, updated_us, "
                     "partition_columns, storage_options, partition_types "
                     "FROM entry WHERE id = ?",
                     {id}));
  ARROW_ASSIGN_OR_RAISE(const bool found, row.Next());
  if (!found) {
    return Error(ErrorKind::kInternal,
                 "catalog " + database.path() + " lost entry " + std::to_string(id));
  }
  CatalogEntry entry;
  entry.name = row.Text(0);
  entry.uri = row.Text(1);
  entry.description = row.Text(2);
  entry.owner = row.Text(3);
  entry.format = row.Text(4);
  entry.last_writer = row.Text(5);
  entry.version = row.OptionalNumber(6);
  entry.rows = row.OptionalNumber(7);
  entry.bytes = row.OptionalNumber(8);
  entry.files = row.OptionalNumber(9);
  entry.created_us = row.Number(10);
  entry.updated_us = row.Number(11);
  ARROW_ASSIGN_OR_RAISE(entry.partition_columns, Parsed<std::vector<std::string>>(
                                                     database, entry.name, row.Text(12)));
  using Options = std::map<std::string, std::string>;
  ARROW_ASSIGN_OR_RAISE(entry.storage_options,
                        Parsed<Options>(database, entry.name, row.Text(13)));
  ARROW_ASSIGN_OR_RAISE(entry.partition_types,
                        Parsed<Options>(database, entry.name, row.Text(14)));
  ARROW_RETURN_NOT_OK(ReadColumns(database, id, &entry));
  ARROW_RETURN_NOT_OK(ReadTags(database, id, &entry));
  return entry;
}

Status WriteEntry(const Database& database, const CatalogEntry& entry) {
  const int64_t now = base::NowUs();
  const std::string partitions = base::JsonText(json(entry.partition_columns));
  const std::string options = base::JsonText(json(entry.storage_options));
  const std::string types = base::JsonText(json(entry.partition_types));
  using Text = std::string_view;
  ARROW_RETURN_NOT_OK(database.Run(
      "INSERT INTO entry (name, uri, description, owner, format, last_writer, version, "
      "rows, bytes, files, partition_columns, storage_options, partition_types, "
      "created_us, updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (name) DO UPDATE SET uri = excluded.uri, "
      "description = excluded.description, owner = excluded.owner, "
      "format = excluded.format, last_writer = excluded.last_writer, "
      "version = excluded.version, rows = excluded.rows, bytes = excluded.bytes, "
      "files = excluded.files, partition_columns = excluded.partition_columns, "
      "storage_options = excluded.storage_options, "
      "partition_types = excluded.partition_types, updated_us = excluded.updated_us",
      {Text(entry.name), Text(entry.uri), Text(entry.description), Text(entry.owner),
       Text(entry.format), Text(entry.last_writer), ValueOf(entry.version),
       ValueOf(entry.rows), ValueOf(entry.bytes), ValueOf(entry.files), Text(partitions),
       Text(options), Text(types), now, now}));
  ARROW_ASSIGN_OR_RAISE(const int64_t id, IdOf(database, entry.name));
  return WriteColumns(database, id, entry);
}

Status DeleteEntry(const Database& database, int64_t id) {
  ARROW_RETURN_NOT_OK(database.Run("DELETE FROM entry_column WHERE entry_id = ?", {id}));
  ARROW_RETURN_NOT_OK(database.Run("DELETE FROM entry_tag WHERE entry_id = ?", {id}));
  ARROW_RETURN_NOT_OK(database.Run("DELETE FROM entry_text WHERE rowid = ?", {id}));
  return database.Run("DELETE FROM entry WHERE id = ?", {id});
}

}  // namespace headrace::catalog
