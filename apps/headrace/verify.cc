#include <headrace/inspect.h>

#include <memory>

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
      "  headrace verify part-0.parquet part-1.parquet\n"
      "  headrace verify lake/flights --json | jq '.defects[].path'\n\n"
      "Exits with 1 if there are defects.\n");
  return [common]() -> Result<ExitCode> {
    ARROW_ASSIGN_OR_RAISE(const OpenOptions options, common->ToOpenOptions());
    VerifyReport report;
    {
      ProgressBar bar("verify");
      ARROW_ASSIGN_OR_RAISE(
          report, Verify(common->uris, options,
                         [&](int64_t done, int64_t total) { bar.Update(done, total); }));
    }
    Write((common->json ? report.ToJson() : report.ToString()) + "\n");
    return report.defects.empty() ? kExitOk : kExitDefects;
  };
}

}  // namespace headrace::cli
