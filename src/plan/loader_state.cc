#include "plan/loader_state.h"

#include <arrow/util/utf8.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/json_text.h"

namespace headrace::plan {
namespace {

using nlohmann::json;

constexpr size_t kFilterBytesMax = 120;
constexpr size_t kShownBytesMax = 60;

Status NotAState(const std::string& what) {
  return Error(ErrorKind::kInvalidArgument,
               "this is not a loader's state: " + what +
                   "; pass what state_dict() returned, unchanged");
}

// A value as an error shows it: short, whatever it is. What nests is named and not
// written out, for that takes a stack as deep as the value.
std::string Shown(const json& value) {
  if (value.is_structured()) return std::string("an ") + value.type_name();
  std::string text =
      value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
  if (text.size() > kShownBytesMax) text = text.substr(0, kShownBytesMax) + "...";
  return text;
}

// Reads a key of a given kind, naming what was found otherwise.
template <typename T>
Status Read(const json& object, const char* key, const std::string& expected,
            bool (json::*is)() const noexcept, T* out) {
  const auto found = object.find(key);
  const std::string name = std::string("\"") + key + "\"";
  if (found == object.end()) {
    return NotAState(name + " is missing, expected " + expected);
  }
  if (!((*found).*is)()) {
    return NotAState(name + " is " + Shown(*found) + ", expected " + expected);
  }
  *out = found->get<T>();
  return Status::OK();
}

Status ReadInteger(const json& object, const char* key, int64_t least, int64_t most,
                   int64_t* out) {
  const std::string expected =
      "an integer of " + std::to_string(least) + " to " + std::to_string(most);
  // An integer that is not negative is an unsigned one to the parser.
  uint64_t value = 0;
  ARROW_RETURN_NOT_OK(Read(object, key, expected, &json::is_number_unsigned, &value));
  if (value < static_cast<uint64_t>(least) || value > static_cast<uint64_t>(most)) {
    return NotAState(std::string("\"") + key + "\" is " + std::to_string(value) +
                     ", expected " + expected);
  }
  *out = static_cast<int64_t>(value);
  return Status::OK();
}

template <typename T>
std::string Text(const T& value) {
  return base::JsonText(json(value));
}

}  // namespace

std::string LoaderState::ToJson() const {
  json state{{"format", kFormat},
             {"table_format", table_format},
             {"fingerprint", fingerprint},
             {"filter", filter},
             {"shuffle", shuffle},
             {"seed", seed},
             {"streams", streams},
             {"shuffle_window_rows", shuffle_window_rows},
             {"epoch", epoch},
             {"samples", samples}};
  if (table_version) state["table_version"] = *table_version;
  return base::JsonText(state);
}

Result<LoaderState> LoaderState::FromJson(const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) return NotAState("it is not JSON");
  if (!object.is_object()) {
    return NotAState("it is " + Shown(object) + ", expected a JSON object");
  }
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  LoaderState state;
  int64_t format = 0;
  ARROW_RETURN_NOT_OK(ReadInteger(object, "format", 1, kMost, &format));
  if (format > kFormat) {
    return Error(ErrorKind::kUnsupported,
                 "the state is of format " + std::to_string(format) +
                     ", this build reads up to " + std::to_string(kFormat) +
                     ": resume with the headrace that wrote it");
  }
  ARROW_RETURN_NOT_OK(
      Read(object, "table_format", "a string", &json::is_string, &state.table_format));
  ARROW_RETURN_NOT_OK(
      Read(object, "fingerprint", "a string", &json::is_string, &state.fingerprint));
  if (object.contains("table_version")) {
    int64_t version = 0;
    ARROW_RETURN_NOT_OK(ReadInteger(object, "table_version", 0, kMost, &version));
    state.table_version = version;
  }
  ARROW_RETURN_NOT_OK(
      Read(object, "filter", "a string", &json::is_string, &state.filter));
  ARROW_RETURN_NOT_OK(
      Read(object, "shuffle", "a boolean", &json::is_boolean, &state.shuffle));
  ARROW_RETURN_NOT_OK(Read(object, "seed", "an integer of 0 to 2^64 - 1",
                           &json::is_number_unsigned, &state.seed));
  int64_t streams = 0;
  ARROW_RETURN_NOT_OK(
      ReadInteger(object, "streams", 1, std::numeric_limits<int>::max(), &streams));
  state.streams = static_cast<int>(streams);
  ARROW_RETURN_NOT_OK(
      ReadInteger(object, "shuffle_window_rows", 1, kMost, &state.shuffle_window_rows));
  ARROW_RETURN_NOT_OK(ReadInteger(object, "epoch", 0, kMost, &state.epoch));
  ARROW_RETURN_NOT_OK(ReadInteger(object, "samples", 0, kMost, &state.samples));
  return state;
}

std::vector<std::string> LoaderState::DifferencesFrom(const LoaderState& loader) const {
  std::vector<std::string> lines;
  auto compare = [&](const char* name, const auto& mine, const auto& other) {
    if (mine == other) return;
    lines.push_back(std::string(name) + ": state " + Text(mine) + ", loader " +
                    Text(other));
  };
  compare("table_format", table_format, loader.table_format);
  if (table_version && loader.table_version && *table_version != *loader.table_version) {
    compare("table version", *table_version, *loader.table_version);
  } else {
    compare("table version (fingerprint)", fingerprint, loader.fingerprint);
  }
  compare("filter", filter, loader.filter);
  compare("shuffle", shuffle, loader.shuffle);
  compare("seed", seed, loader.seed);
  compare("streams", streams, loader.streams);
  compare("shuffle_window_rows", shuffle_window_rows, loader.shuffle_window_rows);
  return lines;
}

std::string FilterForState(const std::string& canonical_text) {
  // Bytes that are not UTF-8 cannot stand in JSON, and would come back as others.
  arrow::util::InitializeUTF8();
  if (canonical_text.size() <= kFilterBytesMax &&
      arrow::util::ValidateUTF8(canonical_text)) {
    return canonical_text;
  }
  return "hash:" + base::HashHex(canonical_text);
}

}  // namespace headrace::plan
