/// \file
/// What a Delta log says, action by action (the Delta transaction log protocol,
/// https://github.com/delta-io/delta/blob/master/PROTOCOL.md).
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "table/data_file.h"

namespace headrace::table::delta {

/// Which rows of a file are deleted: where their numbers are written.
struct DeletionVector {
  /// 'u': a file below the table by a UUID; 'p': a file by its path; 'i': right here.
  char storage = 'i';
  std::string path_or_bytes = {};
  std::optional<int64_t> offset = {};
  int64_t size = 0;
  int64_t cardinality = 0;

  /// What tells it from others of one file.
  std::string UniqueId() const;
};

/// An `add`: a data file, and what is deleted of it.
struct AddFile {
  DataFile file = {};
  std::optional<DeletionVector> deletion_vector = {};
  bool data_change = true;
  std::map<std::string, std::string> tags = {};

  /// What tells it from all others of a version.
  std::string Key() const;
};

/// A `remove`.
struct RemoveFile {
  std::string path = {};
  std::optional<DeletionVector> deletion_vector = {};
  int64_t deleted_ms = 0;
  bool data_change = true;

  std::string Key() const;
};

struct Protocol {
  int reader_version = 1;
  int writer_version = 2;
  std::vector<std::string> reader_features = {};
  std::vector<std::string> writer_features = {};

  bool operator==(const Protocol&) const = default;
};

struct Metadata {
  std::string id = {};
  std::string name = {};
  std::string description = {};
  /// JSON (delta_schema.h).
  std::string schema = {};
  std::vector<std::string> partition_columns = {};
  std::map<std::string, std::string> configuration = {};
  std::optional<int64_t> created_ms = {};

  bool operator==(const Metadata&) const = default;
  /// A property of the table, or `otherwise`.
  std::string Property(const std::string& name, const std::string& otherwise = "") const;
};

struct CommitInfo {
  std::optional<int64_t> timestamp_ms = {};
  std::optional<int64_t> in_commit_timestamp_ms = {};
  std::string operation = {};
  /// JSON objects, as they were written; empty: none.
  std::string parameters = {};
  std::string metrics = {};
  std::string engine = {};
};

/// How far an application's own writes have come.
struct ApplicationVersion {
  std::string app_id = {};
  int64_t version = 0;
  std::optional<int64_t> updated_ms = {};
};

/// Configuration of a feature, by its name.
struct DomainMetadata {
  std::string domain = {};
  std::string configuration = {};
  bool removed = false;
};

/// A file that holds part of a checkpoint of version 2.
struct Sidecar {
  std::string path = {};
  int64_t size = 0;
};

/// The actions of one commit or checkpoint, in the order that they were written in.
struct Actions {
  std::vector<AddFile> adds = {};
  std::vector<RemoveFile> removes = {};
  std::optional<Protocol> protocol = {};
  std::optional<Metadata> metadata = {};
  std::optional<CommitInfo> commit_info = {};
  std::vector<ApplicationVersion> applications = {};
  std::vector<DomainMetadata> domains = {};
  std::vector<Sidecar> sidecars = {};
};

/// Parses a commit: a JSON object a line. Unknown actions are passed over, as the
/// protocol has it. Corrupt, naming `where` and the line.
Result<Actions> ParseActions(std::string_view lines, const std::string& where);

/// The lines of a commit, each with its line break.
std::string ToLine(const AddFile& add);
std::string ToLine(const RemoveFile& remove);
std::string ToLine(const Protocol& protocol);
std::string ToLine(const Metadata& metadata);

/// A path as actions have it: with percent-escapes.
std::string EscapePath(std::string_view path);

}  // namespace headrace::table::delta
