#include "table/partition.h"

#include <arrow/util/value_parsing.h>

#include <algorithm>
#include <utility>

#include "table/percent.h"

namespace headrace::table {
namespace {

constexpr std::string_view kNullPartition = "__HIVE_DEFAULT_PARTITION__";

// Types by the names that users write.
const std::map<std::string, std::shared_ptr<arrow::DataType>>& TypesByName() {
  static const auto& types = *new std::map<std::string, std::shared_ptr<arrow::DataType>>{
      {"int8", arrow::int8()},
      {"int16", arrow::int16()},
      {"int32", arrow::int32()},
      {"int64", arrow::int64()},
      {"uint8", arrow::uint8()},
      {"uint16", arrow::uint16()},
      {"uint32", arrow::uint32()},
      {"uint64", arrow::uint64()},
      {"float32", arrow::float32()},
      {"float64", arrow::float64()},
      {"bool", arrow::boolean()},
      {"string", arrow::utf8()},
      {"date32", arrow::date32()},
      {"timestamp", arrow::timestamp(arrow::TimeUnit::MICRO)}};
  return types;
}

Result<std::shared_ptr<arrow::DataType>> TypeByName(const std::string& key,
                                                    const std::string& name) {
  auto found = TypesByName().find(name);
  if (found != TypesByName().end()) return found->second;
  std::string names;
  for (const auto& [each, type] : TypesByName())
    names += (names.empty() ? "" : ", ") + each;
  return Error(ErrorKind::kInvalidArgument, "partition_types: type '" + name + "' of \"" +
                                                key + "\" is unknown, expected one of " +
                                                names);
}

// "007" and "-0" are no numbers: reading them as such would lose what was written.
bool IsPadded(std::string_view number) {
  if (number.starts_with('-')) return IsPadded(number.substr(1)) || number == "-0";
  return number.size() > 1 && (number[0] == '0' || number[0] == '+');
}

// The narrowest of the inferred types that every value of a key fits.
std::shared_ptr<arrow::DataType> InferType(
    const std::vector<std::vector<PartitionKey>>& paths, size_t column) {
  for (const auto& type : {arrow::int32(), arrow::int64(), arrow::date32()}) {
    const bool fits = std::all_of(paths.begin(), paths.end(), [&](const auto& keys) {
      const auto& value = keys[column].value;
      const bool padded = value && type->id() != arrow::Type::DATE32 && IsPadded(*value);
      return !value || (!padded && arrow::Scalar::Parse(type, *value).ok());
    });
    if (fits) return type;
  }
  return arrow::utf8();
}

}  // namespace

std::vector<PartitionKey> ParsePartitionPath(std::string_view relative_path) {
  std::vector<PartitionKey> keys;
  for (size_t begin = 0;;) {
    const size_t slash = relative_path.find('/', begin);
    if (slash == std::string_view::npos) return keys;  // what is left is the file's name
    const std::string_view name = relative_path.substr(begin, slash - begin);
    begin = slash + 1;
    const size_t equals = name.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    PartitionKey key{PercentDecoded(name.substr(0, equals)), std::nullopt};
    const std::string_view value = name.substr(equals + 1);
    if (value != kNullPartition) key.value = PercentDecoded(value);
    keys.push_back(std::move(key));
  }
}

Result<Partitions> ReadPartitionPaths(const std::vector<std::string>& relative_paths,
                                      const std::map<std::string, std::string>& given) {
  std::vector<std::vector<PartitionKey>> paths;
  for (const std::string& path : relative_paths) {
    paths.push_back(ParsePartitionPath(path));
    const auto& keys = paths.back();
    const bool same =
        std::equal(keys.begin(), keys.end(), paths[0].begin(), paths[0].end(),
                   [](const auto& a, const auto& b) { return a.key == b.key; });
    if (!same) {
      return Error(ErrorKind::kSchemaMismatch,
                   path + " is partitioned by other keys than " + relative_paths[0] +
                       ": move it, or open it apart");
    }
  }
  Partitions partitions;
  partitions.values.resize(paths.size());
  std::map<std::string, std::string> unused = given;
  for (size_t column = 0; !paths.empty() && column < paths[0].size(); ++column) {
    const std::string& key = paths[0][column].key;
    for (size_t before = 0; before < column; ++before) {
      if (paths[0][before].key != key) continue;
      return Error(ErrorKind::kSchemaMismatch,
                   relative_paths[0] + " has the partition key \"" + key +
                       "\" twice, expected it once: rename one of the directories");
    }
    std::shared_ptr<arrow::DataType> type;
    if (auto found = given.find(key); found != given.end()) {
      ARROW_ASSIGN_OR_RAISE(type, TypeByName(key, found->second));
    } else {
      type = InferType(paths, column);
    }
    unused.erase(key);
    partitions.fields.push_back(arrow::field(key, type));
    for (size_t p = 0; p < paths.size(); ++p) {
      const auto& value = paths[p][column].value;
      auto scalar =
          value ? arrow::Scalar::Parse(type, *value)
                : Result<std::shared_ptr<arrow::Scalar>>(arrow::MakeNullScalar(type));
      if (!scalar.ok()) {
        return Error(ErrorKind::kInvalidArgument,
                     relative_paths[p] + ": partition value '" + *value + "' of \"" +
                         key + "\" is no " + type->ToString());
      }
      partitions.values[p].push_back(*scalar);
    }
  }
  if (!unused.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "partition_types names \"" + unused.begin()->first +
                     "\", which no path has as a partition key");
  }
  return partitions;
}

}  // namespace headrace::table
