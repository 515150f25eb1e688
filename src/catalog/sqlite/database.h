/// \file
/// SQLite: connections, statements and transactions that end with their scope.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

struct sqlite3;
struct sqlite3_stmt;

namespace headrace::catalog {

/// A parameter of a statement; null, a number or text.
using Value = std::variant<std::nullptr_t, int64_t, std::string_view>;

inline Value ValueOf(const std::optional<int64_t>& number) {
  return number ? Value(*number) : Value(nullptr);
}

/// A statement with its parameters, pulled row by row. Its database outlives it.
class Statement {
 public:
  /// False at the end.
  Result<bool> Next();
  bool IsNull(int column) const;
  int64_t Number(int column) const;
  std::optional<int64_t> OptionalNumber(int column) const;
  std::string Text(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(const class Database* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  const class Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// A connection, for one thread.
class Database {
 public:
  /// Opens a file that is there, or one in memory (":memory:").
  static Result<Database> Open(const std::string& path);

  /// REQUIRES: as many values as the text has parameters.
  Result<Statement> Query(const char* sql,
                          std::initializer_list<Value> values = {}) const;
  /// Runs a statement to its end.
  Status Run(const char* sql, std::initializer_list<Value> values = {}) const;
  /// The one number that a statement gives.
  Result<int64_t> NumberOf(const char* sql,
                           std::initializer_list<Value> values = {}) const;
  /// The numbers in the first column of what a statement gives.
  Result<std::set<int64_t>> IdsOf(const char* sql,
                                  std::initializer_list<Value> values = {}) const;

  /// An error of our kinds that names the file.
  Status ErrorOf(int code, const char* message) const;
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  Database(std::string path, sqlite3* connection)
      : path_(std::move(path)), connection_(connection) {}
  friend class Statement;

  std::string path_;
  std::unique_ptr<sqlite3, Close> connection_;
};

/// Undone unless it is committed. Its database outlives it.
class Transaction {
 public:
  enum class Kind { kRead, kWrite };
  static Result<Transaction> Begin(const Database& database, Kind kind);
  Transaction(Transaction&& other) noexcept
      : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  Status Commit();

 private:
  explicit Transaction(const Database* database) : database_(database) {}
  const Database* database_;
};

}  // namespace headrace::catalog
