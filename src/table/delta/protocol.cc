#include "table/delta/protocol.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

namespace headrace::table::delta {
namespace {

constexpr int kReaderFeatures = 3;  // the version from which on features are named
constexpr int kWriterFeatures = 7;

// Variants are refused by the column that is one: engines name the feature in tables that
// have none.
constexpr std::string_view kReadable[] = {"columnMapping",
                                          "deletionVectors",
                                          "timestampNtz",
                                          "v2Checkpoint",
                                          "typeWidening",
                                          "typeWidening-preview",
                                          "vacuumProtocolCheck",
                                          "variantType",
                                          "variantType-preview",
                                          "variantShredding",
                                          "variantShredding-preview"};

// What is written under them: nothing that they forbid, and nothing that they ask for
// beyond what is said at each in CheckWritable.
constexpr std::string_view kWritable[] = {
    "appendOnly",     "invariants",        "timestampNtz",   "vacuumProtocolCheck",
    "v2Checkpoint",   "inCommitTimestamp", "changeDataFeed", "checkConstraints",
    "domainMetadata", "generatedColumns",  "deletionVectors"};

bool Has(const std::vector<std::string>& features, std::string_view feature) {
  return std::ranges::find(features, feature) != features.end();
}

template <size_t N>
std::string Unknown(const std::vector<std::string>& features,
                    const std::string_view (&known)[N]) {
  std::string unknown;
  for (const std::string& feature : features) {
    if (std::ranges::find(known, feature) != std::end(known)) continue;
    unknown += (unknown.empty() ? "\"" : ", \"") + feature + "\"";
  }
  return unknown;
}

Status NotWritable(const std::string& path, const std::string& what) {
  return Error(ErrorKind::kUnsupported,
               path + ": the table " + what +
                   ", which this build does not write: write it with the engine that "
                   "made it");
}

bool IsTrue(const Metadata& metadata, const char* property) {
  return metadata.Property(property) == "true";
}

}  // namespace

Status CheckReadable(const Protocol& protocol, const std::string& path) {
  if (protocol.reader_version > kReaderFeatures) {
    return Error(ErrorKind::kUnsupported,
                 path + ": the table asks for Delta readers of version " +
                     std::to_string(protocol.reader_version) +
                     ", this build reads 1 to " + std::to_string(kReaderFeatures) +
                     ": use a newer headrace");
  }
  if (protocol.reader_version < kReaderFeatures) return Status::OK();
  const std::string unknown = Unknown(protocol.reader_features, kReadable);
  if (unknown.empty()) return Status::OK();
  return Error(ErrorKind::kUnsupported,
               path + ": the table has the Delta reader features " + unknown +
                   ", which this build does not know: use a newer headrace, or have the "
                   "table's owner drop the feature");
}

Status CheckWritable(const Protocol& protocol, const Metadata& metadata,
                     const std::string& path) {
  ARROW_RETURN_NOT_OK(CheckReadable(protocol, path));
  if (protocol.writer_version > kWriterFeatures) {
    return NotWritable(path, "asks for Delta writers of version " +
                                 std::to_string(protocol.writer_version));
  }
  const std::string unknown = Unknown(protocol.writer_features, kWritable);
  if (!unknown.empty()) {
    return NotWritable(path, "has the Delta writer features " + unknown);
  }
  if (metadata.Property("delta.columnMapping.mode", "none") != "none") {
    return NotWritable(path, "maps its columns (delta.columnMapping.mode)");
  }
  if (IsTrue(metadata, "delta.enableChangeDataFeed")) {
    return NotWritable(path, "keeps a feed of changes (delta.enableChangeDataFeed)");
  }
  if (IsTrue(metadata, "delta.enableRowTracking")) {
    return NotWritable(path, "tracks rows (delta.enableRowTracking)");
  }
  for (const auto& [name, value] : metadata.configuration) {
    if (name.starts_with("delta.constraints.")) {
      return NotWritable(
          path, "has the constraint \"" +
                    name.substr(std::string_view("delta.constraints.").size()) + "\"");
    }
  }
  for (const char* key :
       {"delta.invariants", "delta.generationExpression", "delta.identity.start"}) {
    if (metadata.schema.find(key) != std::string::npos) {
      return NotWritable(path, "has a column with \"" + std::string(key) + "\"");
    }
  }
  return Status::OK();
}

bool IsAppendOnly(const Protocol& protocol, const Metadata& metadata) {
  const bool known = protocol.writer_version < kWriterFeatures ||
                     Has(protocol.writer_features, "appendOnly");
  return known && IsTrue(metadata, "delta.appendOnly");
}

int64_t CheckpointInterval(const Metadata& metadata) {
  const std::string text = metadata.Property("delta.checkpointInterval");
  int64_t interval = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, interval);
  const bool fits = read.ec == std::errc() && read.ptr == end && interval > 0;
  return fits ? interval : kCheckpointInterval;
}

bool HasInCommitTimestamps(const Protocol& protocol, const Metadata& metadata) {
  return Has(protocol.writer_features, "inCommitTimestamp") &&
         IsTrue(metadata, "delta.enableInCommitTimestamps");
}

}  // namespace headrace::table::delta
