#include "gang/environment.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <utility>

namespace headrace::gang {
namespace {

constexpr const char* kLoopback = "127.0.0.1";

std::string Joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

std::string Host(uint16_t port) { return kLoopback + (":" + std::to_string(port)); }

// https://www.tensorflow.org/guide/distributed_training: "TF_CONFIG"
std::string TfConfig(const Meeting& meeting, int rank) {
  std::string workers;
  for (size_t i = 2; i < meeting.ports.size(); ++i) {
    workers += (i == 2 ? "\"" : ", \"") + Host(meeting.ports[i]) + "\"";
  }
  return "{\"cluster\": {\"worker\": [" + workers +
         "]}, \"task\": {\"type\": \"worker\", \"index\": " + std::to_string(rank) + "}}";
}

}  // namespace

std::vector<std::string> TaskEnvironment(const GangOptions& options,
                                         const Meeting& meeting, int rank) {
  std::map<std::string, std::string> variables;
  // Where they are given, these are right.
  variables["OMP_NUM_THREADS"] =
      std::to_string(std::max(1, meeting.cores / options.tasks));
  variables["PYTHONUNBUFFERED"] = "1";
  for (const auto& [name, value] : options.environment) variables[name] = value;

  const std::string tasks = std::to_string(options.tasks);
  variables["RANK"] = variables["LOCAL_RANK"] = std::to_string(rank);
  variables["WORLD_SIZE"] = variables["LOCAL_WORLD_SIZE"] = tasks;
  variables["MASTER_ADDR"] = kLoopback;
  variables["MASTER_PORT"] = std::to_string(meeting.ports[0]);
  variables["JAX_COORDINATOR_ADDRESS"] = Host(meeting.ports[1]);
  variables["TF_CONFIG"] = TfConfig(meeting, rank);
  variables["HEADRACE_GANG"] = meeting.address;
  variables["HEADRACE_GANG_SECRET"] = meeting.secret;
  variables["HEADRACE_GANG_ATTEMPT"] = std::to_string(meeting.attempt);
  variables["HEADRACE_GANG_TIMEOUT_MS"] = std::to_string(options.timeout_ms);
  variables["HEADRACE_GANG_HEARTBEAT_MS"] = std::to_string(HeartbeatMs(options));
  variables["HEADRACE_ACCELERATORS"] = "";
  if (!options.accelerators.empty()) {
    const std::string addresses = Joined(options.accelerators[rank]);
    variables["HEADRACE_ACCELERATORS"] = addresses;
    variables["CUDA_VISIBLE_DEVICES"] = addresses;
    variables["HIP_VISIBLE_DEVICES"] = addresses;
  }

  std::vector<std::string> environment;
  environment.reserve(variables.size());
  for (const auto& [name, value] : variables) {
    environment.push_back(std::string(name).append("=").append(value));
  }
  return environment;
}

}  // namespace headrace::gang

namespace headrace {
namespace {

using Variable = std::function<const char*(const char*)>;

template <typename Number>
Status ReadNumber(const Variable& variable, const char* name, Number least,
                  Number* value) {
  const char* text = variable(name);
  if (text == nullptr) return Status::OK();
  const char* end = text + std::strlen(text);
  const auto [at, code] = std::from_chars(text, end, *value);
  if (code != std::errc() || at != end || *value < least) {
    return Error(ErrorKind::kInvalidArgument,
                 std::string("the variable ") + name + " is '" + text +
                     "', expected a number of at least " + std::to_string(least));
  }
  return Status::OK();
}

}  // namespace

Result<std::optional<GangPlace>> GangPlace::Read(const Variable& variable) {
  const char* address = variable("HEADRACE_GANG");
  if (address == nullptr) return std::nullopt;
  GangPlace place;
  place.address = address;
  if (const char* secret = variable("HEADRACE_GANG_SECRET")) place.secret = secret;
  ARROW_RETURN_NOT_OK(ReadNumber(variable, "RANK", 0, &place.rank));
  ARROW_RETURN_NOT_OK(ReadNumber(variable, "WORLD_SIZE", 1, &place.world_size));
  ARROW_RETURN_NOT_OK(ReadNumber(variable, "HEADRACE_GANG_ATTEMPT", 0, &place.attempt));
  ARROW_RETURN_NOT_OK(
      ReadNumber(variable, "HEADRACE_GANG_TIMEOUT_MS", int64_t{1}, &place.timeout_ms));
  ARROW_RETURN_NOT_OK(ReadNumber(variable, "HEADRACE_GANG_HEARTBEAT_MS", int64_t{1},
                                 &place.heartbeat_ms));
  if (place.rank >= place.world_size) {
    return Error(ErrorKind::kInvalidArgument, "the variable RANK is " +
                                                  std::to_string(place.rank) +
                                                  ", expected less than WORLD_SIZE, " +
                                                  std::to_string(place.world_size));
  }
  const char* accelerators = variable("HEADRACE_ACCELERATORS");
  for (std::string_view rest = accelerators == nullptr ? "" : accelerators;
       !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    place.accelerators.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return place;
}

}  // namespace headrace
