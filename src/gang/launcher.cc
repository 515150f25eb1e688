#include <headrace/gang.h>

#include <string>
#include <utility>

#include "gang/attempt.h"

namespace headrace {
namespace {

Status Invalid(const std::string& message) {
  return Error(ErrorKind::kInvalidArgument, message);
}

Status CheckNumber(const char* name, int64_t value, int64_t least) {
  return value >= least ? Status::OK()
                        : Invalid(std::string(name) + " is " + std::to_string(value) +
                                  ", expected at least " + std::to_string(least));
}

Status CheckOptions(const GangOptions& options) {
  if (options.command.empty() || options.command[0].empty()) {
    return Invalid("a gang has no program to run");
  }
  ARROW_RETURN_NOT_OK(CheckNumber("tasks", options.tasks, 1));
  ARROW_RETURN_NOT_OK(CheckNumber("max_restarts", options.max_restarts, 0));
  ARROW_RETURN_NOT_OK(CheckNumber("timeout_ms", options.timeout_ms, 1));
  ARROW_RETURN_NOT_OK(
      CheckNumber("heartbeat_timeout_ms", options.heartbeat_timeout_ms, 1));
  ARROW_RETURN_NOT_OK(CheckNumber("grace_ms", options.grace_ms, 0));
  const size_t shares = options.accelerators.size();
  if (shares != 0 && shares != static_cast<size_t>(options.tasks)) {
    return Invalid("accelerators of " + std::to_string(shares) + " tasks, expected " +
                   std::to_string(options.tasks));
  }
  return Status::OK();
}

}  // namespace

Result<GangReport> RunGang(const GangOptions& options, const GangCallbacks& callbacks,
                           const arrow::StopToken& stop,
                           std::optional<GangException>* exception) {
  ARROW_RETURN_NOT_OK(CheckOptions(options));
  GangReport report;
  for (int number = 0;; ++number) {
    gang::Attempt attempt(options, callbacks, number);
    ARROW_ASSIGN_OR_RAISE(gang::Outcome outcome, attempt.Run(stop));
    if (!outcome.failure) {
      report.results = std::move(outcome.results);
      return report;
    }
    gang::Failure& failure = *outcome.failure;
    if (number == options.max_restarts) {
      if (exception != nullptr) *exception = std::move(failure.exception);
      const std::string tries =
          number == 0 ? "" : " in its attempt " + std::to_string(number + 1);
      return Error(ErrorKind::kPeerFailed,
                   "the gang failed" + tries + ": " + failure.text);
    }
    report.restarts.push_back(failure.text);
    if (callbacks.on_restart) {
      ARROW_RETURN_NOT_OK(callbacks.on_restart(number + 1, failure.text));
    }
  }
}

}  // namespace headrace
