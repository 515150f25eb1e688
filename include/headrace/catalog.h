/// \file
/// Catalog: tables by name, with what people say of them.
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headrace {

/// What a URI begins with that is a name in a catalog.
inline constexpr std::string_view kCatalogScheme = "catalog:";

/// What a catalog knows of a table. A value.
struct CatalogEntry {
  struct Column {
    std::string name;
    std::string type;  ///< As Arrow prints it, for example "int32".
    std::string comment = {};
  };
  /// Identifiers with dots between them: letters, digits, `_` and `-`.
  std::string name = {};
  std::string uri = {};
  std::string description = {};
  std::string owner = {};
  /// In the table's order, partition columns among them.
  std::vector<Column> columns = {};
  std::vector<std::string> partition_columns = {};
  /// Versions by the name that was given to them.
  std::map<std::string, int64_t> tags = {};
  std::string format = {};  ///< "parquet", "delta", ...
  /// Counts are those of the time when the entry was made or updated; absent where
  /// nobody counted.
  std::optional<int64_t> rows = {};
  std::optional<int64_t> bytes = {};
  std::optional<int64_t> files = {};
  /// The table's latest version then; absent if it has none.
  std::optional<int64_t> version = {};
  /// What wrote the newest file or version, for example "parquet-mr version 1.13.1".
  std::string last_writer = {};
  /// Microseconds since the epoch. Catalogs set them.
  int64_t created_us = 0;
  int64_t updated_us = 0;
  /// How to reach the storage; no credentials.
  std::map<std::string, std::string> storage_options = {};
  /// Types of partition columns, as `OpenOptions` takes them.
  std::map<std::string, std::string> partition_types = {};
  /// Of `DescribeTable`, for catalogs that want types and not their text; else null.
  std::shared_ptr<arrow::Schema> schema = {};

  std::string ToString() const;
  std::string ToJson() const;
};

/// Which entries are wanted; what is empty does not matter.
struct CatalogQuery {
  /// Words that must all be found, whole or in part, whatever their case, in name,
  /// description, names of columns or their comments.
  std::string text = {};
  std::string column = {};  ///< The name of a column; ASCII case does not matter.
  std::string tag = {};
  std::string owner = {};
};

/// What a writer tells of a table; absent: as it was.
struct CatalogUpdate {
  /// With `partition_columns` and `schema`, which belong to them.
  std::optional<std::vector<CatalogEntry::Column>> columns = {};
  std::vector<std::string> partition_columns = {};
  std::shared_ptr<arrow::Schema> schema = {};
  std::optional<int64_t> rows = {};
  std::optional<int64_t> bytes = {};
  std::optional<int64_t> files = {};
  std::optional<int64_t> version = {};
  std::string last_writer = {};  ///< Empty: as it was.
};

/// "prod.flights", "prod.flights@train-2026-11" or "prod.flights@12".
struct CatalogAddress {
  std::string name;
  std::string tag = {};
  std::optional<int64_t> version = {};

  /// InvalidArgument for text that is none. A "catalog:" before it is left out.
  static Result<CatalogAddress> Parse(std::string_view text);
};

/// What an address stands for: what `Dataset::Open` takes.
struct CatalogLocation {
  /// One, or the partitions that were chosen.
  std::vector<std::string> uris;
  /// As `OpenOptions` takes it.
  std::string root = {};
  std::optional<int64_t> version = {};
  std::map<std::string, std::string> storage_options = {};
  std::map<std::string, std::string> partition_types = {};
};

/// Names of tables, kept in one place for many people.
///
/// Thread-safety: all methods may be called from any thread, and from any number of
/// processes at once: each is one transaction.
class Catalog {
 public:
  /// A path (or `file://`): an SQLite file, which the first `Add` makes, with its
  /// folders, readable by its owner alone. `thrift://host:port`, several with commas
  /// between them: a Hive Metastore. Errors: InvalidArgument; Corrupt for a file that is
  /// no catalog; Unsupported for one of a newer Headrace; Denied; Unavailable.
  static Result<std::shared_ptr<Catalog>> Open(const std::string& uri);

  virtual ~Catalog() = default;
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  /// What `Open` was given; local paths are absolute.
  const std::string& uri() const { return uri_; }

  /// Conflict if the name is taken, unless `replace`: then `created_us` and tags that the
  /// entry does not name stay. InvalidArgument for names that are none, and for
  /// credentials in `uri` or `storage_options`.
  Status Add(const CatalogEntry& entry, bool replace = false);
  /// NotFound, with names like it.
  Result<CatalogEntry> Show(const std::string& name) const;
  /// By name, bytewise.
  Result<std::vector<CatalogEntry>> Find(const CatalogQuery& query = {}) const;
  /// Names a version. Conflict if the tag stands for another one, unless `replace`.
  Status Tag(const std::string& name, const std::string& tag, int64_t version,
             bool replace = false);
  /// Forgets the entry, or its tag where the address has one. Files stay.
  Status Remove(const std::string& address);
  /// What a writer tells after it wrote. Unsupported where the catalog cannot alter
  /// partition columns, and others are told of.
  Status Update(const std::string& name, const CatalogUpdate& update);
  /// Where the table of an address lies. `where`: a filter; partitions that it rules out
  /// are not asked for where the catalog knows them.
  Result<CatalogLocation> Locate(const CatalogAddress& address,
                                 std::string_view where = {}) const;

 protected:
  explicit Catalog(std::string uri) : uri_(std::move(uri)) {}

 private:
  // Arguments are checked already.
  virtual Status DoAdd(const CatalogEntry& entry, bool replace) = 0;
  virtual Result<CatalogEntry> DoShow(const std::string& name) const = 0;
  virtual Result<std::vector<CatalogEntry>> DoFind(const CatalogQuery& query) const = 0;
  virtual Status DoTag(const std::string& name, const std::string& tag, int64_t version,
                       bool replace) = 0;
  virtual Status DoRemove(const std::string& name) = 0;
  virtual Status DoUntag(const std::string& name, const std::string& tag) = 0;
  virtual Status DoUpdate(const std::string& name, const CatalogUpdate& update) = 0;
  virtual Result<CatalogLocation> DoLocate(const CatalogEntry& entry,
                                           std::string_view where) const;

  std::string uri_;
};

/// Opens the table of an address, at its version. What `options` say of storage and types
/// goes before what the catalog says. `where`, not that of `options`: the dataset's
/// filter; partitions that it rules out are not listed, as with `OpenOptions::where`.
Result<Dataset> OpenTable(const Catalog& catalog, std::string_view address,
                          const OpenOptions& options = {}, std::string_view where = {});

/// Opens the table that lies at the entry's `uri` with `options`, and adds the entry with
/// what `DescribeTable` says of it. From the entry given come name, description, owner,
/// tags and the comments of the columns that it names (NotFound if one is not there).
/// What was added.
Result<CatalogEntry> AddTable(Catalog* catalog, const CatalogEntry& words,
                              const OpenOptions& options, bool replace = false);

/// What is to be said of an opened table: columns, counts, partitions, format. Name,
/// words of people and tags are left to the caller; credentials are left out of
/// `storage_options`. InvalidArgument for a dataset of several URIs, of one that holds
/// credentials, or of a part of a table.
Result<CatalogEntry> DescribeTable(const Dataset& dataset);

}  // namespace headrace
