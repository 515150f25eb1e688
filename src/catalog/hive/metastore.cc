#include "catalog/hive/metastore.h"

#include <thrift/TApplicationException.h>
#include <thrift/protocol/TBinaryProtocol.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/one_line.h"
#include "catalog/hive/socket_transport.h"

namespace headrace::catalog {
namespace {

namespace at = apache::thrift;

constexpr std::string_view kScheme = "thrift://";
constexpr int kDefaultPort = 9083;
// Partitions asked for in one call, of some kilobytes each.
constexpr size_t kPartitionsPerCall = 1000;
// What a server may make us hold for one answer.
constexpr int kMessageBytesMax = 1 << 30;

bool Mentions(const std::string& text, const char* word) {
  return text.find(word) != std::string::npos;
}

ErrorKind KindOfMessage(const std::string& message, ErrorKind otherwise) {
  if (Mentions(message, "AccessControlException") ||
      Mentions(message, "Permission denied") || Mentions(message, "not authorized")) {
    return ErrorKind::kDenied;
  }
  if (Mentions(message, "has been modified")) return ErrorKind::kConflict;
  return otherwise;
}

// What a call threw, in our kinds. REQUIRES: inside of a catch.
Status Caught() {
  // NOLINTBEGIN(bugprone-empty-catch): each returns what it caught, as an error of ours
  try {
    throw;
  } catch (const hive::NoSuchObjectException& e) {
    return Error(ErrorKind::kNotFound, e.message);
  } catch (const hive::AlreadyExistsException& e) {
    return Error(ErrorKind::kConflict, e.message);
  } catch (const hive::InvalidObjectException& e) {
    return Error(ErrorKind::kInvalidArgument, e.message);
  } catch (const hive::InvalidOperationException& e) {
    return Error(KindOfMessage(e.message, ErrorKind::kInvalidArgument), e.message);
  } catch (const hive::MetaException& e) {
    return Error(KindOfMessage(e.message, ErrorKind::kUnavailable), e.message);
  } catch (const at::TApplicationException& e) {
    const bool unknown = e.getType() == at::TApplicationException::UNKNOWN_METHOD;
    return Error(unknown ? ErrorKind::kUnsupported : ErrorKind::kUnavailable, e.what());
  } catch (const at::TException& e) {  // transport and protocol
    return Error(ErrorKind::kUnavailable, e.what());
  } catch (const std::exception& e) {
    return Error(ErrorKind::kUnavailable, e.what());
  }
  // NOLINTEND(bugprone-empty-catch)
}

int Milliseconds(double seconds) { return std::max(1, static_cast<int>(seconds * 1000)); }

}  // namespace

Result<Metastore> Metastore::Make(const std::string& uri, const Timeouts& timeouts) {
  Metastore store;
  store.uri_ = uri;
  store.timeouts_ = timeouts;
  for (size_t begin = 0; begin <= uri.size();) {
    const size_t end = std::min(uri.find(',', begin), uri.size());
    std::string_view one = std::string_view(uri).substr(begin, end - begin);
    begin = end + 1;
    Host host{"", kDefaultPort};
    bool fits = one.starts_with(kScheme);
    if (fits) one.remove_prefix(kScheme.size());
    while (one.ends_with('/')) one.remove_suffix(1);
    const size_t colon = one.rfind(':');
    const bool has_port = colon != std::string_view::npos && !one.ends_with(']');
    host.name = one.substr(0, has_port ? colon : one.size());
    if (has_port) {
      const std::string_view port = one.substr(colon + 1);
      const auto [last, error] =
          std::from_chars(port.data(), port.data() + port.size(), host.port);
      fits = fits && error == std::errc() && last == port.data() + port.size();
    }
    if (host.name.starts_with('[') && host.name.ends_with(']')) {
      host.name = host.name.substr(1, host.name.size() - 2);
    }
    if (!fits || host.name.empty() || host.port < 1 || host.port > 65535 ||
        host.name.find_first_of("/@?# ") != std::string::npos) {
      return Error(ErrorKind::kInvalidArgument,
                   "the catalog is \"" + uri +
                       "\", expected thrift://host:port, or "
                       "several of them with commas between");
    }
    store.hosts_.push_back(std::move(host));
  }
  return store;
}

Status Metastore::Call(const std::string& what, const Act& act) const {
  Status failed;
  for (const Host& host : hosts_) {
    bool connected = false;
    try {
      const auto config =
          std::make_shared<at::TConfiguration>(kMessageBytesMax, kMessageBytesMax);
      const auto socket = std::make_shared<SocketTransport>(
          host.name, host.port,
          SocketTransport::Timeouts{Milliseconds(timeouts_.connect_s),
                                    Milliseconds(timeouts_.silence_s)},
          config);
      hive::ThriftHiveMetastoreClient client(
          std::make_shared<at::protocol::TBinaryProtocol>(socket));
      socket->open();
      connected = true;
      act(client);
      return Status::OK();
    } catch (...) {
      failed = Caught();
    }
    if (connected) break;  // this one answers for all
  }
  std::string message =
      "catalog " + uri_ + ": " + what + ": " + base::OneLine(failed.message());
  if (KindOf(failed) == ErrorKind::kUnavailable) {
    message += ": check that a Hive Metastore runs there, without SASL or TLS; try again";
  }
  return Error(KindOf(failed), std::move(message));
}

Result<hive::Table> Metastore::GetTable(const std::string& database,
                                        const std::string& name) const {
  hive::Table table;
  ARROW_RETURN_NOT_OK(Call("table " + database + "." + name, [&](auto& client) {
    client.get_table(table, database, name);
  }));
  return table;
}

Result<std::vector<std::string>> Metastore::Databases() const {
  std::vector<std::string> names;
  ARROW_RETURN_NOT_OK(
      Call("its databases", [&](auto& client) { client.get_all_databases(names); }));
  return names;
}

Result<std::vector<std::string>> Metastore::TableNames(
    const std::string& database) const {
  std::vector<std::string> names;
  ARROW_RETURN_NOT_OK(Call("tables of " + database, [&](auto& client) {
    client.get_all_tables(names, database);
  }));
  return names;
}

Result<std::vector<hive::Table>> Metastore::Tables(
    const std::string& database, const std::vector<std::string>& names) const {
  std::vector<hive::Table> tables;
  if (names.empty()) return tables;
  ARROW_RETURN_NOT_OK(Call("tables of " + database, [&](auto& client) {
    client.get_table_objects_by_name(tables, database, names);
  }));
  return tables;
}

Result<std::vector<hive::Partition>> Metastore::NamedPartitions(
    const hive::Table& table, std::vector<std::string> names) const {
  std::vector<hive::Partition> partitions;
  for (size_t begin = 0; begin < names.size(); begin += kPartitionsPerCall) {
    const size_t end = std::min(begin + kPartitionsPerCall, names.size());
    const std::vector<std::string> some(names.begin() + static_cast<ptrdiff_t>(begin),
                                        names.begin() + static_cast<ptrdiff_t>(end));
    std::vector<hive::Partition> found;
    ARROW_RETURN_NOT_OK(
        Call("partitions of " + table.dbName + "." + table.tableName, [&](auto& client) {
          client.get_partitions_by_names(found, table.dbName, table.tableName, some);
        }));
    std::ranges::move(found, std::back_inserter(partitions));
  }
  return partitions;
}

Result<std::vector<hive::Partition>> Metastore::Partitions(
    const hive::Table& table, const std::string& filter) const {
  const std::string what = "partitions of " + table.dbName + "." + table.tableName;
  if (!filter.empty()) {
    std::vector<hive::Partition> partitions;
    const Status done = Call(what, [&](auto& client) {
      client.get_partitions_by_filter(partitions, table.dbName, table.tableName, filter,
                                      -1);
    });
    if (done.ok()) return partitions;
    if (KindOf(done) == ErrorKind::kNotFound) return done;
    // A server may not know the filter's form: then all are asked for.
  }
  std::vector<std::string> names;
  ARROW_RETURN_NOT_OK(Call(what, [&](auto& client) {
    client.get_partition_names(names, table.dbName, table.tableName, -1);
  }));
  return NamedPartitions(table, std::move(names));
}

Result<std::vector<hive::Partition>> Metastore::AnyPartition(
    const hive::Table& table) const {
  std::vector<std::string> names;
  ARROW_RETURN_NOT_OK(
      Call("partitions of " + table.dbName + "." + table.tableName, [&](auto& client) {
        client.get_partition_names(names, table.dbName, table.tableName, 1);
      }));
  return NamedPartitions(table, std::move(names));
}

Status Metastore::Create(const hive::Table& table) const {
  return Call("adding " + table.dbName + "." + table.tableName,
              [&](auto& client) { client.create_table(table); });
}

Status Metastore::Alter(const hive::Table& before, const hive::Table& after,
                        const std::string& guard) const {
  hive::EnvironmentContext context;
  context.properties["DO_NOT_UPDATE_STATS"] = "true";
  if (const auto value = before.parameters.find(guard);
      value != before.parameters.end()) {
    context.properties["expected_parameter_key"] = guard;
    context.properties["expected_parameter_value"] = value->second;
  }
  return Call("altering " + before.dbName + "." + before.tableName, [&](auto& client) {
    client.alter_table_with_environment_context(before.dbName, before.tableName, after,
                                                context);
  });
}

Status Metastore::Drop(const std::string& database, const std::string& name) const {
  return Call("removing " + database + "." + name, [&](auto& client) {
    client.drop_table(database, name, /*deleteData=*/false);
  });
}

}  // namespace headrace::catalog
