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
std::shared_ptr<arrow::DataType> InferType(const PartitionValues& values) {
  for (const auto& type : {arrow::int32(), arrow::int64(), arrow::date32()}) {
    const bool fits = std::ranges::all_of(values, [&](const auto& value) {
      const bool padded = value && type->id() != arrow::Type::DATE32 && IsPadded(*value);
      return !value || (!padded && arrow::Scalar::Parse(type, *value).ok());
    });
    if (fits) return type;
  }
  return arrow::utf8();
}

Status OtherKeys(const std::string& path, const std::string& first) {
  return Error(ErrorKind::kSchemaMismatch, path + " is partitioned by other keys than " +
                                               first + ": move it, or open it apart");
}

// The keys of a path, which begin as those of the first path do; all of them, if `whole`.
Result<std::vector<PartitionKey>> KeysLike(const std::vector<PartitionKey>* first,
                                           const std::string& first_path,
                                           const std::string& path, bool whole) {
  std::vector<PartitionKey> keys = ParsePartitionPath(path);
  ARROW_RETURN_NOT_OK(CheckKeys(keys, path));
  if (first == nullptr) return keys;
  const bool fits =
      (whole ? keys.size() == first->size() : keys.size() <= first->size()) &&
      std::equal(keys.begin(), keys.end(), first->begin(),
                 [](const auto& a, const auto& b) { return a.key == b.key; });
  if (!fits) return OtherKeys(path, first_path);
  return keys;
}

// What stands in one column of the paths that have it.
PartitionValues ValuesOf(const std::vector<std::vector<PartitionKey>>& paths,
                         size_t column) {
  PartitionValues values;
  for (const auto& keys : paths) {
    if (column < keys.size()) values.insert(keys[column].value);
  }
  return values;
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

Status CheckKeys(const std::vector<PartitionKey>& keys, const std::string& path) {
  for (size_t k = 0; k < keys.size(); ++k) {
    for (size_t before = 0; before < k; ++before) {
      if (keys[before].key != keys[k].key) continue;
      return Error(ErrorKind::kSchemaMismatch,
                   path + " has the partition key \"" + keys[k].key +
                       "\" twice, expected it once: rename one of the directories");
    }
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::DataType>> PartitionType(const std::string& key,
                                                       const PartitionValues& values,
                                                       const PartitionTypes& given) {
  const auto found = given.find(key);
  return found == given.end() ? InferType(values) : TypeByName(key, found->second);
}

Result<std::shared_ptr<arrow::Scalar>> PartitionValue(
    const PartitionKey& key, const std::shared_ptr<arrow::DataType>& type,
    const std::string& path) {
  if (!key.value) return arrow::MakeNullScalar(type);
  auto scalar = arrow::Scalar::Parse(type, *key.value);
  if (scalar.ok()) return scalar;
  return Error(ErrorKind::kInvalidArgument, path + ": partition value '" + *key.value +
                                                "' of \"" + key.key + "\" is no " +
                                                type->ToString());
}

Result<Partitions> ReadPartitionPaths(const std::vector<std::string>& relative_paths,
                                      const PartitionTypes& given,
                                      const std::vector<std::string>& ruled_out) {
  std::vector<std::vector<PartitionKey>> paths, others;
  for (const std::string& path : relative_paths) {
    ARROW_ASSIGN_OR_RAISE(auto keys, KeysLike(paths.empty() ? nullptr : &paths[0],
                                              relative_paths[0], path, /*whole=*/true));
    paths.push_back(std::move(keys));
  }
  for (const std::string& path : ruled_out) {
    ARROW_ASSIGN_OR_RAISE(auto keys, KeysLike(paths.empty() ? nullptr : &paths[0],
                                              paths.empty() ? path : relative_paths[0],
                                              path, /*whole=*/false));
    others.push_back(std::move(keys));
  }
  Partitions partitions;
  partitions.values.resize(paths.size());
  PartitionTypes unused = given;
  for (size_t column = 0; !paths.empty() && column < paths[0].size(); ++column) {
    const std::string& key = paths[0][column].key;
    PartitionValues values = ValuesOf(paths, column);
    ARROW_ASSIGN_OR_RAISE(auto type, PartitionType(key, values, given));
    const PartitionValues outside = ValuesOf(others, column);
    if (!outside.empty()) {
      values.insert(outside.begin(), outside.end());
      ARROW_ASSIGN_OR_RAISE(auto with_outside, PartitionType(key, values, given));
      if (!with_outside->Equals(*type)) {
        type = std::move(with_outside);
        partitions.widened.push_back(arrow::field(key, type));
      }
    }
    unused.erase(key);
    partitions.fields.push_back(arrow::field(key, type));
    for (size_t p = 0; p < paths.size(); ++p) {
      ARROW_ASSIGN_OR_RAISE(partitions.values[p].emplace_back(),
                            PartitionValue(paths[p][column], type, relative_paths[p]));
    }
    arrow::ScalarVector& scalars = partitions.ruled_out.emplace_back();
    for (const auto& value : outside) {
      ARROW_ASSIGN_OR_RAISE(scalars.emplace_back(),
                            PartitionValue({key, value}, type, ruled_out[0]));
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
