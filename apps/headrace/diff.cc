#include <headrace/versions.h>

#include <memory>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {

Action AddDiff(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "diff", "Show what differs between two versions: rows, files, schema");
  auto common = std::make_shared<CommonOptions>();
  common->AddTo(command);
  command->footer(
      "Examples:\n"
      "  headrace diff lake/flights@3 lake/flights@7\n"
      "  headrace diff lake/flights@3 lake/flights@7 --json\n");
  return [common]() -> Result<ExitCode> {
    ARROW_ASSIGN_OR_RAISE(const OpenOptions options, common->ToOpenOptions());
    if (common->uris.size() != 2) {
      return Error(ErrorKind::kInvalidArgument,
                   "diff takes two versions of one table, as in lake/t@3 lake/t@7, "
                   "found " +
                       std::to_string(common->uris.size()) + " arguments");
    }
    const auto from = VersionedUri::Split(common->uris[0]);
    const auto to = VersionedUri::Split(common->uris[1]);
    if (!from.version || !to.version || from.uri != to.uri) {
      return Error(ErrorKind::kInvalidArgument,
                   "diff takes two versions of one table, as in lake/t@3 lake/t@7, "
                   "found " +
                       common->uris[0] + " and " + common->uris[1]);
    }
    ARROW_ASSIGN_OR_RAISE(const TableDiff diff,
                          Diff(from.uri, *from.version, *to.version, options));
    Write(common->json ? diff.ToJson() + "\n" : diff.ToString());
    return kExitOk;
  };
}

}  // namespace headrace::cli
