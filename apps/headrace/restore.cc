#include <headrace/versions.h>

#include <memory>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {

Action AddRestore(CLI::App* app) {
  CLI::App* command =
      app->add_subcommand("restore", "Commit a new version that is as an older one was");
  auto common = std::make_shared<CommonOptions>();
  common->AddTo(command);
  command->footer(
      "Examples:\n"
      "  headrace restore lake/flights@12\n");
  return [common]() -> Result<ExitCode> {
    ARROW_ASSIGN_OR_RAISE(const OpenOptions options, common->ToOpenOptions());
    const auto wanted = VersionedUri::Split(common->uris[0]);
    if (common->uris.size() != 1 || !wanted.version) {
      return Error(ErrorKind::kInvalidArgument,
                   "restore takes one version, as in lake/flights@12");
    }
    ARROW_ASSIGN_OR_RAISE(const int64_t version,
                          Restore(wanted.uri, *wanted.version, options));
    Write(common->json ? "{\"version\": " + std::to_string(version) + "}\n"
                       : "version " + std::to_string(version) + " is as version " +
                             std::to_string(*wanted.version) + " was\n");
    return kExitOk;
  };
}

}  // namespace headrace::cli
