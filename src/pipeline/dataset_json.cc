#include "pipeline/dataset_json.h"

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/json_text.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/text_json.h"
#include "schema/convert.h"

namespace headrace {

using nlohmann::json;

using pipeline::TextFromJson;
using pipeline::TextsFromJson;
using pipeline::TextsToJson;
using pipeline::TextToJson;

// The value of a word; a json::exception that names the word for another one.
template <typename E>
static E Word(const json& j, std::initializer_list<std::pair<const char*, E>> words) {
  json known;
  for (const auto& [word, value] : words) known[word] = static_cast<int>(value);
  return static_cast<E>(known.at(j.get<std::string>()).template get<int>());
}

// Found by nlohmann-json by argument-dependent lookup.
static void to_json(json& j, const Number& number) {
  if (number.is_integer) {
    j = number.integer;
  } else {
    j = {{"real", schema::NumberToString(number)}};
  }
}

static void from_json(const json& j, Number& number) {
  if (j.is_number_integer()) {
    number = Number{true, j.get<int64_t>(), 0};
  } else {
    number =
        Number{false, 0, std::strtod(j.at("real").get<std::string>().c_str(), nullptr)};
  }
}

static void to_json(json& j, const NullPolicy& policy) {
  switch (policy.kind) {
    case NullPolicy::Kind::kError:
      j = "error";
      return;
    case NullPolicy::Kind::kMask:
      j = "mask";
      return;
    case NullPolicy::Kind::kFill:
      j = policy.fill_text ? json{{"fill", TextToJson(*policy.fill_text)}}
                           : json{{"fill", policy.fill}};
  }
}

static void from_json(const json& j, NullPolicy& policy) {
  if (j.is_string()) {
    policy.kind = Word<NullPolicy::Kind>(
        j, {{"error", NullPolicy::Kind::kError}, {"mask", NullPolicy::Kind::kMask}});
    return;
  }
  policy.kind = NullPolicy::Kind::kFill;
  if (j.at("fill").is_string() || j.at("fill").contains("hex")) {
    policy.fill_text = TextFromJson(j.at("fill"));
  } else {
    policy.fill = j.at("fill").get<Number>();
  }
}

static void to_json(json& j, const RaggedPolicy& policy) {
  switch (policy.kind) {
    case RaggedPolicy::Kind::kError:
      j = "error";
      return;
    case RaggedPolicy::Kind::kRagged:
      j = "ragged";
      return;
    case RaggedPolicy::Kind::kSparse:
      j = "sparse";
      return;
    case RaggedPolicy::Kind::kPad:
      j = {{"pad", policy.pad}};
      if (policy.length) j["length"] = *policy.length;
  }
}

static void from_json(const json& j, RaggedPolicy& policy) {
  if (j.is_string()) {
    policy.kind = Word<RaggedPolicy::Kind>(j, {{"error", RaggedPolicy::Kind::kError},
                                               {"ragged", RaggedPolicy::Kind::kRagged},
                                               {"sparse", RaggedPolicy::Kind::kSparse}});
    return;
  }
  policy.kind = RaggedPolicy::Kind::kPad;
  policy.pad = j.at("pad").get<Number>();
  if (j.contains("length")) policy.length = j.at("length").get<int64_t>();
}

static void to_json(json& j, const CodesPolicy& policy) {
  j = policy.vocabulary ? TextsToJson(*policy.vocabulary) : json(nullptr);
}

static void from_json(const json& j, CodesPolicy& policy) {
  if (!j.is_null()) policy.vocabulary = TextsFromJson(j);
}

static void to_json(json& j, const StandardizePolicy& policy) {
  j = {{"mean", policy.mean}, {"std", policy.std}};
}

static void from_json(const json& j, StandardizePolicy& policy) {
  policy.mean = j.at("mean").get<double>();
  policy.std = j.at("std").get<double>();
}

static void to_json(json& j, const PackSpec& pack) {
  j = {{"name", pack.name}, {"columns", pack.columns}};
}

static void from_json(const json& j, PackSpec& pack) {
  pack.name = j.at("name").get<std::string>();
  pack.columns = j.at("columns").get<std::vector<std::string>>();
}

static void to_json(json& j, ErrorPolicy policy) {
  constexpr const char* kWords[] = {"raise", "skip", "null"};
  j = kWords[static_cast<int>(policy)];
}

static void from_json(const json& j, ErrorPolicy& policy) {
  policy = Word<ErrorPolicy>(j, {{"raise", ErrorPolicy::kRaise},
                                 {"skip", ErrorPolicy::kSkip},
                                 {"null", ErrorPolicy::kNull}});
}

namespace {

constexpr int kDatasetFormat = 1;
constexpr size_t kColumnsShown = 30;

json CountsToJson(const ScanSummary::Counts& counts) {
  return {{"files", counts.files},
          {"row_groups", counts.row_groups},
          {"rows", counts.rows},
          {"bytes", counts.bytes}};
}

}  // namespace

std::string ScanSummary::ToJson() const {
  return base::JsonText(json{{"before", CountsToJson(before)},
                             {"after", CountsToJson(after)},
                             {"rows_proven", rows_proven},
                             {"columns_read", columns_read},
                             {"filter", filter}});
}

std::string ScanSummary::ToString() const {
  std::ostringstream text;
  auto line = [&](const char* name, const Counts& counts) {
    text << name << counts.files << " files, " << counts.row_groups << " row groups, "
         << counts.rows << " rows, " << counts.bytes << " bytes\n";
  };
  text << "columns: ";
  for (size_t i = 0; i < columns_read.size(); ++i) {
    text << (i == 0 ? "" : ", ") << columns_read[i];
  }
  text << "\nfilter:  " << (filter.empty() ? "none" : filter) << "\n";
  line("before:  ", before);
  line("after:   ", after);
  if (!filter.empty()) {
    text << "proven:  " << rows_proven << " rows pass by statistics alone\n";
  }
  return text.str();
}

namespace pipeline {

static json ChoicesToJson(const schema::ColumnChoices& choices) {
  json j = {{"cast", choices.casts},    {"nulls", choices.nulls},
            {"ragged", choices.ragged}, {"codes", choices.codes},
            {"pack", choices.packs},    {"on_error", choices.on_error}};
  if (!choices.one_hot.empty()) j["one_hot"] = choices.one_hot;
  if (!choices.standardize.empty()) j["standardize"] = choices.standardize;
  for (const auto& [name, ops] : choices.maps) {
    j["map"][name] = json::parse(ImageOpsToJson(ops));
  }
  return j;
}

static Result<std::map<std::string, ImageOps>> MapsFromJson(const json& j) {
  std::map<std::string, ImageOps> maps;
  for (const auto& [name, ops] : j.get<std::map<std::string, json>>()) {
    ARROW_ASSIGN_OR_RAISE(maps[name], ImageOpsFromJson(base::JsonText(ops)));
  }
  return maps;
}

std::string DatasetToJson(const DatasetImpl& dataset) {
  json j;
  j["format"] = kDatasetFormat;
  j["uris"] = TextsToJson(dataset.table->uris());
  j["storage_options"] = dataset.options.storage_options;
  j["partition_types"] = dataset.options.partition_types;
  if (!dataset.options.root.empty()) j["root"] = dataset.options.root;
  j["cache_folder"] = dataset.options.cache_folder;
  j["num_threads"] = dataset.options.num_threads;
  if (dataset.options.schema) {
    j["schema"] = json::parse(dataset.options.schema->ToJson());
  }
  if (dataset.table->version()) j["version"] = *dataset.table->version();
  if (!dataset.options.actions.empty()) j["actions"] = dataset.options.actions;
  j["fingerprint"] = dataset.table->fingerprint();
  j["files"] = dataset.table->fragments().size();
  j["rows"] = dataset.table->rows();
  j["select"] = dataset.select ? json(*dataset.select) : json(nullptr);
  if (dataset.where) {
    // Bound before, so it serializes.
    j["where"] = expression::SerializeExpression(*dataset.where).ValueOr("");
  }
  if (dataset.part) {
    j["part"] = expression::SerializeExpression(*dataset.part).ValueOr("");
  }
  j.update(ChoicesToJson(dataset.choices));
  return base::JsonText(j);
}

Result<DatasetDescription> DatasetDescription::FromJson(const std::string& text) {
  DatasetDescription d;
  try {
    const json j = json::parse(text);
    const int format = j.at("format").get<int>();
    if (format < 1 || format > kDatasetFormat) {
      return Error(ErrorKind::kUnsupported,
                   "the dataset's JSON is of format " + std::to_string(format) +
                       ", this build reads 1 to " + std::to_string(kDatasetFormat) +
                       ": use a newer headrace");
    }
    d.uris = TextsFromJson(j.at("uris"));
    d.options.storage_options =
        j.at("storage_options").get<std::map<std::string, std::string>>();
    d.options.partition_types =
        j.at("partition_types").get<std::map<std::string, std::string>>();
    d.options.root = j.value("root", "");
    d.options.cache_folder = j.at("cache_folder").get<std::string>();
    d.options.num_threads = j.at("num_threads").get<int>();
    if (j.contains("schema")) {
      ARROW_ASSIGN_OR_RAISE(d.options.schema, Schema::FromJson(j.at("schema").dump()));
    }
    if (j.contains("version")) d.options.version = j.at("version").get<int64_t>();
    d.options.actions = j.value("actions", "");
    d.fingerprint = j.at("fingerprint").get<std::string>();
    d.files = j.at("files").get<int64_t>();
    d.rows = j.at("rows").get<int64_t>();
    if (!j.at("select").is_null())
      d.select = j.at("select").get<std::vector<std::string>>();
    d.where = j.value("where", "");
    d.part = j.value("part", "");
    d.choices.casts = j.at("cast").get<std::map<std::string, std::string>>();
    d.choices.nulls = j.at("nulls").get<std::map<std::string, NullPolicy>>();
    d.choices.ragged = j.at("ragged").get<std::map<std::string, RaggedPolicy>>();
    d.choices.codes = j.at("codes").get<std::map<std::string, CodesPolicy>>();
    if (j.contains("one_hot")) {
      d.choices.one_hot = j.at("one_hot").get<std::map<std::string, CodesPolicy>>();
    }
    if (j.contains("standardize")) {
      d.choices.standardize =
          j.at("standardize").get<std::map<std::string, StandardizePolicy>>();
    }
    if (j.contains("map")) {
      ARROW_ASSIGN_OR_RAISE(d.choices.maps, MapsFromJson(j.at("map")));
    }
    d.choices.packs = j.at("pack").get<std::vector<PackSpec>>();
    d.choices.on_error = j.at("on_error").get<ErrorPolicy>();
    // What reads as something else than it says is no dataset's.
    json again = ChoicesToJson(d.choices);
    again["uris"] = TextsToJson(d.uris);
    for (const auto& [key, value] : again.items()) {
      if (j.at(key) == value) continue;
      return Error(ErrorKind::kInvalidArgument, "this is not a dataset's JSON: \"" + key +
                                                    "\" is " + base::JsonText(j.at(key)) +
                                                    ", which would be read as " +
                                                    base::JsonText(value));
    }
  } catch (const json::exception& e) {
    return Error(ErrorKind::kInvalidArgument,
                 std::string("this is not a dataset's JSON: ") + e.what());
  }
  return d;
}

std::string DatasetToString(const DatasetImpl& dataset) {
  const table::Table& table = *dataset.table;
  std::ostringstream text;
  text << "Dataset(" << (table.is_part() ? "part of " : "") << table.DisplayUri() << ": "
       << table.rows() << " rows, " << table.fragments().size() << " files";
  if (table.version()) {
    text << ", version " << *table.version();
  } else {
    text << ", " << table.row_groups().size() << " row groups";
  }
  if (dataset.filter) text << "\n  where: " << dataset.filter->text();
  text << "\n  columns:";
  for (size_t i = 0; i < dataset.columns.size(); ++i) {
    if (i == kColumnsShown) {
      text << "\n    ... and " << dataset.columns.size() - i << " more";
      break;
    }
    const auto& name = dataset.columns[i];
    text << "\n    " << name << ": "
         << dataset.stored_schema->field(static_cast<int>(i))->type()->ToString();
    auto cast = dataset.choices.casts.find(name);
    if (cast != dataset.choices.casts.end()) text << " -> " << cast->second;
    auto nulls = dataset.choices.nulls.find(name);
    if (nulls != dataset.choices.nulls.end())
      text << ", nulls " << base::JsonText(json(nulls->second));
    auto ragged = dataset.choices.ragged.find(name);
    if (ragged != dataset.choices.ragged.end())
      text << ", ragged " << base::JsonText(json(ragged->second));
    if (dataset.choices.codes.count(name)) text << ", codes";
    if (dataset.choices.one_hot.count(name)) text << ", one-hot";
    auto standardize = dataset.choices.standardize.find(name);
    if (standardize != dataset.choices.standardize.end())
      text << ", standardize " << base::JsonText(json(standardize->second));
    auto map = dataset.choices.maps.find(name);
    if (map != dataset.choices.maps.end())
      text << ", map " << headrace::ToString(map->second);
  }
  for (const PackSpec& pack : dataset.choices.packs) {
    text << "\n  pack " << pack.name << ":";
    for (const std::string& column : pack.columns) text << " " << column;
  }
  if (dataset.choices.on_error != ErrorPolicy::kRaise) {
    text << "\n  on_error: " << json(dataset.choices.on_error).get<std::string>();
  }
  text << ")";
  return text.str();
}

}  // namespace pipeline
}  // namespace headrace
