#include "catalog/sqlite/database.h"

#include <sqlite3.h>

#include <cassert>

namespace headrace::catalog {
namespace {

// How long another process' transaction is waited for. Ours take milliseconds.
constexpr int kBusyTimeoutMs = 30'000;

ErrorKind KindOfCode(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
      return ErrorKind::kUnavailable;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return ErrorKind::kDenied;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return ErrorKind::kCorrupt;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return ErrorKind::kResourceExhausted;
    default:
      return ErrorKind::kInternal;
  }
}

const char* AdviceFor(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUnavailable:
      return ": other processes may be writing to it; try again";
    case ErrorKind::kDenied:
      return ": check the rights to the file and its folder";
    case ErrorKind::kCorrupt:
      return ": it is damaged, or no catalog; restore it, or name another file";
    case ErrorKind::kResourceExhausted:
      return ": make room on its disk";
    default:
      return "";
  }
}

}  // namespace

void Database::Close::operator()(sqlite3* connection) const {
  sqlite3_close_v2(connection);
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Result<Database> Database::Open(const std::string& path) {
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &connection,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  Database database(path, connection);
  if (code != SQLITE_OK) return database.ErrorOf(code, sqlite3_errstr(code));
  sqlite3_busy_timeout(connection, kBusyTimeoutMs);
  // The file may come from anybody: nothing in it is run.
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  return database;
}

Status Database::ErrorOf(int code, const char* message) const {
  const ErrorKind kind = KindOfCode(code);
  return Error(kind, "catalog " + path_ + ": " + message + AdviceFor(kind));
}

Result<Statement> Database::Query(const char* sql,
                                  std::initializer_list<Value> values) const {
  sqlite3_stmt* compiled = nullptr;
  int code = sqlite3_prepare_v2(connection_.get(), sql, -1, &compiled, nullptr);
  if (code != SQLITE_OK) return ErrorOf(code, sqlite3_errmsg(connection_.get()));
  Statement statement(this, compiled);
  assert(sqlite3_bind_parameter_count(compiled) == static_cast<int>(values.size()));
  int index = 0;
  for (const Value& value : values) {
    ++index;
    if (const auto* number = std::get_if<int64_t>(&value)) {
      code = sqlite3_bind_int64(compiled, index, *number);
    } else if (const auto* text = std::get_if<std::string_view>(&value)) {
      code = sqlite3_bind_text64(compiled, index, text->data(), text->size(),
                                 SQLITE_TRANSIENT, SQLITE_UTF8);
    } else {
      code = sqlite3_bind_null(compiled, index);
    }
    if (code != SQLITE_OK) return ErrorOf(code, sqlite3_errmsg(connection_.get()));
  }
  return statement;
}

Status Database::Run(const char* sql, std::initializer_list<Value> values) const {
  ARROW_ASSIGN_OR_RAISE(Statement statement, Query(sql, values));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(const bool more, statement.Next());
    if (!more) return Status::OK();
  }
}

Result<int64_t> Database::NumberOf(const char* sql,
                                   std::initializer_list<Value> values) const {
  ARROW_ASSIGN_OR_RAISE(Statement statement, Query(sql, values));
  ARROW_ASSIGN_OR_RAISE(const bool found, statement.Next());
  return found ? statement.Number(0) : 0;
}

Result<std::set<int64_t>> Database::IdsOf(const char* sql,
                                          std::initializer_list<Value> values) const {
  ARROW_ASSIGN_OR_RAISE(Statement statement, Query(sql, values));
  std::set<int64_t> ids;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(const bool more, statement.Next());
    if (!more) return ids;
    ids.insert(statement.Number(0));
  }
}

Result<bool> Statement::Next() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->ErrorOf(code, sqlite3_errmsg(database_->connection_.get()));
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t Statement::Number(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::optional<int64_t> Statement::OptionalNumber(int column) const {
  return IsNull(column) ? std::nullopt : std::optional(Number(column));
}

std::string Statement::Text(int column) const {
  const auto* text =
      reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (text == nullptr) return "";
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

Result<Transaction> Transaction::Begin(const Database& database, Kind kind) {
  // A write locks at once: one that began by reading could not wait for another.
  ARROW_RETURN_NOT_OK(database.Run(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  return Transaction(&database);
}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  // Fails where SQLite has rolled back by itself, which is as good.
  const Status ignored = database_->Run("ROLLBACK");
  static_cast<void>(ignored);
}

Status Transaction::Commit() {
  ARROW_RETURN_NOT_OK(database_->Run("COMMIT"));
  database_ = nullptr;
  return Status::OK();
}

}  // namespace headrace::catalog
