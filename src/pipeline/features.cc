#include <headrace/features.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/json_text.h"
#include "pipeline/text_json.h"
#include "schema/convert.h"

namespace headrace {
namespace {

using nlohmann::json;
using pipeline::TextsFromJson;
using pipeline::TextsToJson;

constexpr int kFeaturesFormat = 1;
constexpr size_t kValuesShown = 8;
constexpr int kDigitsShown = 9;

std::string RealToString(double value) {
  return schema::NumberToString(Number{false, 0, value});
}

// What JSON has no number for goes as {"real": "inf"}.
json ExtremeToJson(const std::optional<Extreme>& extreme) {
  if (!extreme) return nullptr;
  const auto* real = std::get_if<double>(&*extreme);
  if (real != nullptr && std::isinf(*real)) return {{"real", RealToString(*real)}};
  return std::visit([](auto value) { return json(value); }, *extreme);
}

std::optional<Extreme> ExtremeFromJson(const json& j) {
  if (j.is_null()) return std::nullopt;
  if (j.is_object()) {
    const auto word = j.at("real").get<std::string>();
    return word == "-inf" ? -HUGE_VAL : HUGE_VAL;
  }
  if (j.is_number_float()) return j.get<double>();
  const bool wide = j.is_number_unsigned() && !std::in_range<int64_t>(j.get<uint64_t>());
  if (wide) return j.get<uint64_t>();
  return j.get<int64_t>();
}

json RealToJson(const std::optional<double>& real) {
  return real ? json(*real) : json(nullptr);
}

std::optional<double> RealFromJson(const json& j) {
  if (j.is_null()) return std::nullopt;
  return j.get<double>();
}

json ToJsonValue(const std::string& name, const NumericFeature& feature) {
  return {{"name", name},
          {"kind", "numeric"},
          {"count", feature.count},
          {"nulls", feature.nulls},
          {"nans", feature.nans},
          {"mean", RealToJson(feature.mean)},
          {"std", RealToJson(feature.std)},
          {"min", ExtremeToJson(feature.min)},
          {"max", ExtremeToJson(feature.max)}};
}

json ToJsonValue(const std::string& name, const VocabularyFeature& feature) {
  return {{"name", name},
          {"kind", "vocabulary"},
          {"nulls", feature.nulls},
          {"binary", feature.binary},
          {"values", TextsToJson(feature.values)},
          {"counts", feature.counts}};
}

json Document(const Features& features) {
  json columns = json::array();
  for (const Feature& column : features.columns) {
    columns.push_back(
        std::visit([&](const auto& value) { return ToJsonValue(column.name, value); },
                   column.value));
  }
  return {{"format", kFeaturesFormat},
          {"rows", features.rows},
          {"features", std::move(columns)}};
}

Feature FeatureFromJson(const json& j) {
  Feature feature;
  feature.name = j.at("name").get<std::string>();
  if (j.at("kind") == "numeric") {
    NumericFeature numbers;
    numbers.count = j.at("count").get<int64_t>();
    numbers.nulls = j.at("nulls").get<int64_t>();
    numbers.nans = j.at("nans").get<int64_t>();
    numbers.mean = RealFromJson(j.at("mean"));
    numbers.std = RealFromJson(j.at("std"));
    numbers.min = ExtremeFromJson(j.at("min"));
    numbers.max = ExtremeFromJson(j.at("max"));
    feature.value = numbers;
  } else {
    VocabularyFeature vocabulary;
    vocabulary.nulls = j.at("nulls").get<int64_t>();
    vocabulary.binary = j.at("binary").get<bool>();
    vocabulary.values = TextsFromJson(j.at("values"));
    vocabulary.counts = j.at("counts").get<std::vector<int64_t>>();
    feature.value = std::move(vocabulary);
  }
  return feature;
}

Status NoFeatures(const std::string& what) {
  return Error(ErrorKind::kInvalidArgument, "this is not features' JSON: " + what);
}

// What holds of features beyond the types of their keys.
Status CheckFeatures(const Features& features) {
  for (size_t i = 0; i < features.columns.size(); ++i) {
    const Feature& column = features.columns[i];
    const std::string named = "column \"" + column.name + "\"";
    if (features.Find(column.name) != &column)
      return NoFeatures(named + " is there twice");
    const auto* vocabulary = std::get_if<VocabularyFeature>(&column.value);
    if (vocabulary == nullptr) continue;
    if (vocabulary->values.size() != vocabulary->counts.size()) {
      return NoFeatures(named + " has " + std::to_string(vocabulary->values.size()) +
                        " values, and counts of " +
                        std::to_string(vocabulary->counts.size()));
    }
    const auto at =
        std::ranges::adjacent_find(vocabulary->values, std::ranges::greater_equal{});
    if (at != vocabulary->values.end()) {
      return NoFeatures(named + " has the value '" + *at + "' before '" + *(at + 1) +
                        "', expected them sorted and distinct");
    }
  }
  return Status::OK();
}

std::string Line(const NumericFeature& feature) {
  std::ostringstream text;
  text.precision(kDigitsShown);
  auto put = [&](const char* what, const auto& value) {
    text << what;
    if (value) {
      text << *value;
    } else {
      text << "none";
    }
  };
  auto put_extreme = [&](const char* what, const Extreme& extreme) {
    std::visit([&](auto value) { put(what, std::optional(value)); }, extreme);
  };
  put("mean ", feature.mean);
  put(", std ", feature.std);
  if (feature.min) put_extreme(", min ", *feature.min);
  if (feature.max) put_extreme(", max ", *feature.max);
  text << ", " << feature.count << " values, " << feature.nulls << " nulls";
  if (feature.nans > 0) text << ", " << feature.nans << " NaN";
  return text.str();
}

std::string Line(const VocabularyFeature& feature) {
  std::ostringstream text;
  text << feature.values.size() << " distinct values, " << feature.nulls << " nulls:";
  for (size_t i = 0; i < std::min(feature.values.size(), kValuesShown); ++i) {
    text << " " << base::JsonText(pipeline::TextToJson(feature.values[i]));
  }
  if (feature.values.size() > kValuesShown) text << " ...";
  return text.str();
}

}  // namespace

const Feature* Features::Find(std::string_view name) const {
  const auto found = std::ranges::find(columns, name, &Feature::name);
  return found == columns.end() ? nullptr : &*found;
}

std::string Features::ToJson() const { return base::JsonText(Document(*this)); }

Result<Features> Features::FromJson(const std::string& text) {
  Features features;
  try {
    const json j = json::parse(text);
    const int format = j.at("format").get<int>();
    if (format < 1 || format > kFeaturesFormat) {
      return Error(ErrorKind::kUnsupported,
                   "the features' JSON is of format " + std::to_string(format) +
                       ", this build reads 1 to " + std::to_string(kFeaturesFormat) +
                       ": use a newer headrace");
    }
    features.rows = j.at("rows").get<int64_t>();
    for (const json& column : j.at("features")) {
      features.columns.push_back(FeatureFromJson(column));
    }
    // What reads as something else than it says is none.
    const json again = Document(features);
    for (const auto& [key, value] : again.items()) {
      if (j.at(key) == value) continue;
      return NoFeatures("\"" + key + "\" is " + base::JsonText(j.at(key)) +
                        ", which would be read as " + base::JsonText(value));
    }
  } catch (const json::exception& e) {
    return NoFeatures(e.what());
  }
  ARROW_RETURN_NOT_OK(CheckFeatures(features));
  return features;
}

std::string Features::ToString() const {
  std::ostringstream text;
  text << "Features(" << rows << " rows";
  for (const Feature& column : columns) {
    text << "\n  " << column.name << ": "
         << std::visit([](const auto& value) { return Line(value); }, column.value);
  }
  text << ")";
  return text.str();
}

}  // namespace headrace
