#include "catalog/sqlite/catalog_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/clock.h"
#include "catalog/search.h"
#include "catalog/time.h"

// The tables, in docs/format/catalog.md. A journal of SQLite's older kind (rollback) is
// kept on purpose: a write-ahead log needs memory shared between all processes, which
// network file systems do not give, and home folders lie there; commits are rare and
// small.
namespace headrace::catalog {
namespace {

// "HRct": what tells our files from those of others.
constexpr int64_t kApplicationId = 0x48526374;

// Each is one step of the schema, and never changed once it was released.
constexpr const char* kMigrations[][7] = {
    {"PRAGMA application_id = 1213358964",
     "CREATE TABLE migration (version INTEGER PRIMARY KEY, applied_us INTEGER NOT NULL)",
     "CREATE TABLE entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
     "uri TEXT NOT NULL, description TEXT NOT NULL, owner TEXT NOT NULL, "
     "format TEXT NOT NULL, last_writer TEXT NOT NULL, version INTEGER, rows INTEGER, "
     "bytes INTEGER, files INTEGER, partition_columns TEXT NOT NULL, "
     "storage_options TEXT NOT NULL, partition_types TEXT NOT NULL, "
     "created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL) STRICT",
     "CREATE TABLE entry_column (entry_id INTEGER NOT NULL, position INTEGER NOT NULL, "
     "name TEXT NOT NULL COLLATE NOCASE, type TEXT NOT NULL, comment TEXT NOT NULL, "
     "PRIMARY KEY (entry_id, position)) STRICT",
     "CREATE INDEX entry_column_name ON entry_column (name)",
     "CREATE TABLE entry_tag (entry_id INTEGER NOT NULL, name TEXT NOT NULL, "
     "version INTEGER NOT NULL, created_us INTEGER NOT NULL, "
     "PRIMARY KEY (entry_id, name)) STRICT",
     kMakeIndex},
};
static_assert(std::size(kMigrations) == kSchemaVersion);
static_assert(kApplicationId == 1213358964);

Status SystemError(const std::string& path, const std::string& what) {
  const int error = errno;
  const bool denied = error == EACCES || error == EPERM || error == EROFS;
  return Error(denied ? ErrorKind::kDenied : ErrorKind::kUnavailable,
               "catalog " + path + ": " + what + ": " + std::strerror(error) +
                   ": make it writable, or name another file");
}

Status MakeFolders(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    struct stat found{};
    if (stat(folder.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) continue;
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
      return SystemError(path, "the folder " + folder + " cannot be made");
    }
  }
  return Status::OK();
}

Status MakeFile(const std::string& path) {
  ARROW_RETURN_NOT_OK(MakeFolders(path));
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return SystemError(path, "the file cannot be made");
  close(file);
  return Status::OK();
}

// The version of the schema, 0 of an empty file. REQUIRES: a transaction.
Result<int64_t> VersionOf(const Database& database) {
  ARROW_ASSIGN_OR_RAISE(const int64_t id, database.NumberOf("PRAGMA application_id"));
  if (id != kApplicationId) {
    ARROW_ASSIGN_OR_RAISE(const int64_t tables,
                          database.NumberOf("SELECT count(*) FROM sqlite_schema"));
    if (id == 0 && tables == 0) return 0;
    return Error(ErrorKind::kCorrupt,
                 "catalog " + database.path() +
                     ": it is an SQLite file of something else, with " +
                     std::to_string(tables) +
                     " tables or indexes, expected a catalog "
                     "that Headrace made: name another file");
  }
  ARROW_ASSIGN_OR_RAISE(const int64_t version,
                        database.NumberOf("SELECT max(version) FROM migration"));
  if (version <= kSchemaVersion) return version;
  return Error(ErrorKind::kUnsupported,
               "catalog " + database.path() + ": its schema is of version " +
                   std::to_string(version) + ", expected at most " +
                   std::to_string(kSchemaVersion) +
                   ": use the newer Headrace that wrote "
                   "it");
}

Result<int64_t> ReadVersion(const Database& database) {
  ARROW_ASSIGN_OR_RAISE(auto transaction,
                        Transaction::Begin(database, Transaction::Kind::kRead));
  return VersionOf(database);
}

Status Migrate(const Database& database) {
  ARROW_ASSIGN_OR_RAISE(auto transaction,
                        Transaction::Begin(database, Transaction::Kind::kWrite));
  // Another process may have been here first.
  ARROW_ASSIGN_OR_RAISE(int64_t version, VersionOf(database));
  for (; version < kSchemaVersion; ++version) {
    for (const char* sql : kMigrations[version]) {
      ARROW_RETURN_NOT_OK(database.Run(sql));
    }
    ARROW_RETURN_NOT_OK(database.Run("INSERT INTO migration VALUES (?, ?)",
                                     {version + 1, base::NowUs()}));
  }
  return transaction.Commit();
}

}  // namespace

Result<std::optional<Database>> OpenCatalogFile(const std::string& path) {
  struct stat found{};
  if (stat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return std::optional<Database>();
    return SystemError(path, "the file cannot be reached");
  }
  if (!S_ISREG(found.st_mode)) {
    return Error(ErrorKind::kInvalidArgument,
                 "catalog " + path + ": it is no file: name the file of a catalog");
  }
  ARROW_ASSIGN_OR_RAISE(Database database, Database::Open(path));
  ARROW_ASSIGN_OR_RAISE(const int64_t version, ReadVersion(database));
  if (version == 0) return std::optional<Database>();
  if (version < kSchemaVersion) ARROW_RETURN_NOT_OK(Migrate(database));
  return std::optional(std::move(database));
}

Result<Database> MakeCatalogFile(const std::string& path) {
  ARROW_ASSIGN_OR_RAISE(auto there, OpenCatalogFile(path));
  if (there) return *std::move(there);
  ARROW_RETURN_NOT_OK(MakeFile(path));
  ARROW_ASSIGN_OR_RAISE(Database database, Database::Open(path));
  ARROW_RETURN_NOT_OK(Migrate(database));
  return database;
}

}  // namespace headrace::catalog
