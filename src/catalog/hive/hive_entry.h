/// \file
/// Tables of a Hive Metastore as entries of a catalog, and back.
#pragma once

#include <headrace/catalog.h>
#include <headrace/result.h>
#include <hive_metastore_types.h>

#include <map>
#include <string>

namespace headrace::catalog {

/// The parameter that every change of ours counts up.
inline constexpr const char* kRevision = "headrace.revision";

/// Spark and Hive spell some schemes in their own way: "s3a://b/x" is "s3://b/x", and
/// "file:/x" the path "/x".
std::string UriOfLocation(const std::string& location);

CatalogEntry EntryOf(const hive::Table& table);

/// Partition columns in lower case, with their Hive types.
std::map<std::string, std::string> PartitionKeys(const hive::Table& table);
/// Its partitions are listed in the metastore, and not found by looking.
bool KeepsPartitions(const hive::Table& table);

/// Writes an entry into a table as Spark and Hive read it; what else the table says
/// stays. InvalidArgument for an entry without types, Unsupported for types (naming the
/// column) and formats that they lack.
Status Describe(const CatalogEntry& entry, hive::Table* table);
/// Writes its columns alone, partition columns among them. REQUIRES: the entry has types.
Status SetColumns(const CatalogEntry& entry, hive::Table* table);
void SetTag(const std::string& tag, int64_t version, hive::Table* table);
void EraseTag(const std::string& tag, hive::Table* table);
/// Writes counts, version and writer of an entry.
void SetCounts(const CatalogEntry& entry, hive::Table* table);

}  // namespace headrace::catalog
