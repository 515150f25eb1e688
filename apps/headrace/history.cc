#include <headrace/versions.h>

#include <memory>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {

Action AddHistory(CLI::App* app) {
  CLI::App* command =
      app->add_subcommand("history", "List the commits of a Delta table, the last first");
  auto common = std::make_shared<CommonOptions>();
  common->AddTo(command);
  command->footer(
      "Examples:\n"
      "  headrace history lake/flights\n"
      "  headrace history lake/flights --json | jq '.[0].version'\n");
  return [common]() -> Result<ExitCode> {
    ARROW_ASSIGN_OR_RAISE(const OpenOptions options, common->ToOpenOptions());
    ARROW_ASSIGN_OR_RAISE(const std::string uri, common->OneUri());
    ARROW_ASSIGN_OR_RAISE(const auto history, History(uri, options));
    Write(common->json ? ToJson(history) + "\n" : ToString(history));
    return kExitOk;
  };
}

}  // namespace headrace::cli
