#include "pipeline/dataset_json.h"

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "pipeline/dataset_impl.h"
#include "schema/convert.h"

namespace headrace {

using nlohmann::json;

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
      j = policy.fill_text ? json{{"fill", *policy.fill_text}}
                           : json{{"fill", policy.fill}};
  }
}

static void from_json(const json& j, NullPolicy& policy) {
  if (j.is_string()) {
    policy.kind = j == "mask" ? NullPolicy::Kind::kMask : NullPolicy::Kind::kError;
    return;
  }
  policy.kind = NullPolicy::Kind::kFill;
  if (j.at("fill").is_string()) {
    policy.fill_text = j.at("fill").get<std::string>();
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
    case RaggedPolicy::Kind::kPad:
      j = {{"pad", policy.pad}};
      if (policy.length) j["length"] = *policy.length;
  }
}

static void from_json(const json& j, RaggedPolicy& policy) {
  if (j.is_string()) {
    policy.kind =
        j == "ragged" ? RaggedPolicy::Kind::kRagged : RaggedPolicy::Kind::kError;
    return;
  }
  policy.kind = RaggedPolicy::Kind::kPad;
  policy.pad = j.at("pad").get<Number>();
  if (j.contains("length")) policy.length = j.at("length").get<int64_t>();
}

static void to_json(json& j, const CodesPolicy& policy) {
  j = policy.vocabulary ? json(*policy.vocabulary) : json(nullptr);
}

static void from_json(const json& j, CodesPolicy& policy) {
  if (!j.is_null()) policy.vocabulary = j.get<std::vector<std::string>>();
}

static void to_json(json& j, const PackSpec& pack) {
  j = {{"name", pack.name}, {"columns", pack.columns}};
}

static void from_json(const json& j, PackSpec& pack) {
  pack.name = j.at("name").get<std::string>();
  pack.columns = j.at("columns").get<std::vector<std::string>>();
}

NLOHMANN_JSON_SERIALIZE_ENUM(ErrorPolicy, {{ErrorPolicy::kRaise, "raise"},
                                           {ErrorPolicy::kSkip, "skip"},
                                           {ErrorPolicy::kNull, "null"}})

namespace {

constexpr int kFormat = 1;
constexpr size_t kColumnsShown = 30;

// Bytes that are no UTF-8 (binary vocabularies) are kept as Latin-1 is: the text is ours
// alone.
std::string Dump(const json& value, int indent = -1) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

json CountsToJson(const ScanSummary::Counts& counts) {
  return {{"files", counts.files},
          {"row_groups", counts.row_groups},
          {"rows", counts.rows},
          {"bytes", counts.bytes}};
}

}  // namespace

std::string ScanSummary::ToJson() const {
  return Dump({{"before", CountsToJson(before)},
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

std::string DatasetToJson(const DatasetImpl& dataset) {
  json j;
  j["format"] = kFormat;
  j["uris"] = dataset.table->uris();
  j["storage_options"] = dataset.options.storage_options;
  j["partition_types"] = dataset.options.partition_types;
  j["cache_folder"] = dataset.options.cache_folder;
  j["num_threads"] = dataset.options.num_threads;
  j["fingerprint"] = dataset.table->fingerprint();
  j["files"] = dataset.table->fragments().size();
  j["rows"] = dataset.table->rows();
  j["select"] = dataset.select ? json(*dataset.select) : json(nullptr);
  if (dataset.where) {
    // Bound before, so it serializes.
    j["where"] = expression::SerializeExpression(*dataset.where).ValueOr("");
  }
  j["cast"] = dataset.choices.casts;
  j["nulls"] = dataset.choices.nulls;
  j["ragged"] = dataset.choices.ragged;
  j["codes"] = dataset.choices.codes;
  j["pack"] = dataset.choices.packs;
  j["on_error"] = dataset.choices.on_error;
  return Dump(j);
}

Result<DatasetDescription> DatasetDescription::FromJson(const std::string& text) {
  DatasetDescription d;
  try {
    const json j = json::parse(text);
    if (j.at("format").get<int>() > kFormat) {
      return Error(ErrorKind::kUnsupported,
                   "the dataset's JSON is of format " +
                       std::to_string(j.at("format").get<int>()) +
                       ", this build reads up to " + std::to_string(kFormat) +
                       ": use a newer headrace");
    }
    d.uris = j.at("uris").get<std::vector<std::string>>();
    d.options.storage_options =
        j.at("storage_options").get<std::map<std::string, std::string>>();
    d.options.partition_types =
        j.at("partition_types").get<std::map<std::string, std::string>>();
    d.options.cache_folder = j.at("cache_folder").get<std::string>();
    d.options.num_threads = j.at("num_threads").get<int>();
    d.fingerprint = j.at("fingerprint").get<std::string>();
    d.files = j.at("files").get<int64_t>();
    d.rows = j.at("rows").get<int64_t>();
    if (!j.at("select").is_null())
      d.select = j.at("select").get<std::vector<std::string>>();
    d.where = j.value("where", "");
    d.choices.casts = j.at("cast").get<std::map<std::string, std::string>>();
    d.choices.nulls = j.at("nulls").get<std::map<std::string, NullPolicy>>();
    d.choices.ragged = j.at("ragged").get<std::map<std::string, RaggedPolicy>>();
    d.choices.codes = j.at("codes").get<std::map<std::string, CodesPolicy>>();
    d.choices.packs = j.at("pack").get<std::vector<PackSpec>>();
    d.choices.on_error = j.at("on_error").get<ErrorPolicy>();
  } catch (const json::exception& e) {
    return Error(ErrorKind::kInvalidArgument,
                 std::string("this is not a dataset's JSON: ") + e.what());
  }
  return d;
}

std::string DatasetToString(const DatasetImpl& dataset) {
  const table::Table& table = *dataset.table;
  std::ostringstream text;
  text << "Dataset(" << table.DisplayUri() << ": " << table.rows() << " rows, "
       << table.fragments().size() << " files, " << table.row_groups().size()
       << " row groups";
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
    if (nulls != dataset.choices.nulls.end()) text << ", nulls " << Dump(nulls->second);
    auto ragged = dataset.choices.ragged.find(name);
    if (ragged != dataset.choices.ragged.end())
      text << ", ragged " << Dump(ragged->second);
    if (dataset.choices.codes.count(name)) text << ", codes";
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
