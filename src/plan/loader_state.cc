#include "plan/loader_state.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/hash.h"

namespace headrace::plan {
namespace {

using nlohmann::json;

constexpr size_t kFilterTextMax = 120;

Status NotAState(const std::string& what) {
  return Error(ErrorKind::kInvalidArgument,
               "this is not a loader's state: " + what +
                   "; pass what state_dict() returned, unchanged");
}

// Reads a key of a given kind, naming what was found otherwise.
template <typename T>
Status Read(const json& object, const char* key, const char* expected,
            bool (json::*is)() const noexcept, T* out) {
  auto found = object.find(key);
  if (found == object.end()) return NotAState(std::string("\"") + key + "\" is missing");
  if (!((*found).*is)()) {
    return NotAState(std::string("\"") + key + "\" is " + found->dump() + ", expected " +
                     expected);
  }
  *out = found->get<T>();
  return Status::OK();
}

Status ReadInteger(const json& object, const char* key, int64_t least, int64_t* out) {
  ARROW_RETURN_NOT_OK(
      Read(object, key, "an integer", &json::is_number_integer, out));
  if (*out >= least) return Status::OK();
  return NotAState(std::string("\"") + key + "\" is " + std::to_string(*out) + ", expected " +
                   std::to_string(least) + " or more");
}

template <typename T>
std::string Text(const T& value) {
  return json(value).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string LoaderState::ToJson() const {
  return json{{"format", kFormat},
              {"table_format", table_format},
              {"fingerprint", fingerprint},
              {"filter", filter},
              {"shuffle", shuffle},
              {"seed", seed},
              {"streams", streams},
              {"shuffle_window_rows", shuffle_window_rows},
              {"epoch", epoch},
              {"samples", samples}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<LoaderState> LoaderState::FromJson(const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return NotAState("it is no JSON object");
  LoaderState state;
  int64_t format = 0;
  ARROW_RETURN_NOT_OK(ReadInteger(object, "format", 1, &format));
  if (format > kFormat) {
    return Error(ErrorKind::kUnsupported, "the state is of format " + std::to_string(format) +
                                              ", this build reads up to " +
                                              std::to_string(kFormat) +
                                              ": resume with the headrace that wrote it");
  }
  ARROW_RETURN_NOT_OK(
      Read(object, "table_format", "a string", &json::is_string, &state.table_format));
  ARROW_RETURN_NOT_OK(
      Read(object, "fingerprint", "a string", &json::is_string, &state.fingerprint));
  ARROW_RETURN_NOT_OK(Read(object, "filter", "a string", &json::is_string, &state.filter));
  ARROW_RETURN_NOT_OK(Read(object, "shuffle", "a boolean", &json::is_boolean, &state.shuffle));
  ARROW_RETURN_NOT_OK(Read(object, "seed", "an integer of 0 or more", &json::is_number_unsigned,
                           &state.seed));
  int64_t streams = 0;
  ARROW_RETURN_NOT_OK(ReadInteger(object, "streams", 1, &streams));
  if (streams > std::numeric_limits<int>::max()) {
    return NotAState("\"streams\" is " + std::to_string(streams));
  }
  state.streams = static_cast<int>(streams);
  ARROW_RETURN_NOT_OK(
      ReadInteger(object, "shuffle_window_rows", 1, &state.shuffle_window_rows));
  ARROW_RETURN_NOT_OK(ReadInteger(object, "epoch", 0, &state.epoch));
  ARROW_RETURN_NOT_OK(ReadInteger(object, "samples", 0, &state.samples));
  return state;
}

std::vector<std::string> LoaderState::DifferencesFrom(const LoaderState& loader) const {
  std::vector<std::string> lines;
  auto compare = [&](const char* name, const auto& mine, const auto& other) {
    if (mine == other) return;
    lines.push_back(std::string(name) + ": state " + Text(mine) + ", loader " + Text(other));
  };
  compare("table_format", table_format, loader.table_format);
  compare("table version (fingerprint)", fingerprint, loader.fingerprint);
  compare("filter", filter, loader.filter);
  compare("shuffle", shuffle, loader.shuffle);
  compare("seed", seed, loader.seed);
  compare("streams", streams, loader.streams);
  compare("shuffle_window_rows", shuffle_window_rows, loader.shuffle_window_rows);
  return lines;
}

std::string FilterForState(const std::string& canonical_text) {
  if (canonical_text.size() <= kFilterTextMax) return canonical_text;
  return "hash:" + base::HashHex(canonical_text);
}

}  // namespace headrace::plan
