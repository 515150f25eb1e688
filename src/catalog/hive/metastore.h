/// \file
/// Calls to a Hive Metastore, with our errors and time-outs.
#pragma once

#include <ThriftHiveMetastore.h>
#include <headrace/result.h>

#include <functional>
#include <string>
#include <vector>

namespace headrace::catalog {

/// Seconds until an attempt to connect, and a server that is silent, are given up.
struct Timeouts {
  double connect_s = 10;
  double silence_s = 60;
};

/// Connects anew for each call. Thread-safe.
class Metastore {
 public:
  /// "thrift://host:port", several with commas between them: the first that can be
  /// reached is asked. Connects to none yet.
  static Result<Metastore> Make(const std::string& uri, const Timeouts& timeouts);

  /// NotFound if it is not there.
  Result<hive::Table> GetTable(const std::string& database,
                               const std::string& name) const;
  Result<std::vector<std::string>> Databases() const;
  Result<std::vector<std::string>> TableNames(const std::string& database) const;
  Result<std::vector<hive::Table>> Tables(const std::string& database,
                                          const std::vector<std::string>& names) const;
  /// Those that a filter in the metastore's words leaves, all for an empty one.
  Result<std::vector<hive::Partition>> Partitions(const hive::Table& table,
                                                  const std::string& filter) const;
  /// One of them, if there is any.
  Result<std::vector<hive::Partition>> AnyPartition(const hive::Table& table) const;
  /// Conflict if the name is taken, NotFound if the database is not there.
  Status Create(const hive::Table& table) const;
  /// Conflict if the parameter `guard` has another value there than in `before`.
  Status Alter(const hive::Table& before, const hive::Table& after,
               const std::string& guard) const;
  /// Forgets the table; its files stay.
  Status Drop(const std::string& database, const std::string& name) const;

 private:
  struct Host {
    std::string name;
    int port = 0;
  };
  using Act = std::function<void(hive::ThriftHiveMetastoreClient& client)>;

  Status Call(const std::string& what, const Act& act) const;
  Result<std::vector<hive::Partition>> NamedPartitions(
      const hive::Table& table, std::vector<std::string> names) const;

  std::string uri_;
  Timeouts timeouts_;
  std::vector<Host> hosts_;
};

}  // namespace headrace::catalog
