#include <headrace/inspect.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {

Action AddVerify(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "verify",
      "Decode every page, check page checksums, and say what is broken and where");
  auto common = std::make_shared<CommonOptions>();
  common->AddTo(command);
  command->footer(
      "Examples:\n"
      "  headrace verify lake/flights\n"
      "  headrace verify lake/flights@12\n"
      "  headrace verify part-0.parquet part-1.parquet\n"
      "  headrace verify lake/flights --json | jq '.defects[].path'\n\n"
      "Exits with 1 if there are defects.\n");
  return [common]() -> Result<ExitCode> {
    ARROW_ASSIGN_OR_RAISE(OpenOptions options, common->ToOpenOptions());
    std::vector<std::string> uris = common->uris;
    if (uris.size() == 1) {
      VersionedUri split = VersionedUri::Split(uris[0]);
      options.version = split.version;
      uris = {std::move(split.uri)};
    }
    VerifyReport report;
    {
      ProgressBar bar("verify");
      ARROW_ASSIGN_OR_RAISE(
          report, Verify(uris, options,
                         [&](int64_t done, int64_t total) { bar.Update(done, total); }));
    }
    Write((common->json ? report.ToJson() : report.ToString()) + "\n");
    return report.defects.empty() ? kExitOk : kExitDefects;
  };
}

}  // namespace headrace::cli
