#include <headrace/inspect.h>

#include <memory>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {

Action AddInspect(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "inspect", "Show a table's schema, files, row groups, sizes and compressions");
  auto common = std::make_shared<CommonOptions>();
  common->AddTo(command);
  command->footer(
      "Examples:\n"
      "  headrace inspect lake/flights\n"
      "  headrace inspect 'lake/flights/year=2013/*/*.parquet' --json\n"
      "  headrace inspect s3://bucket/table --storage-option region=eu-west-1\n");
  return [common]() -> Result<ExitCode> {
    ARROW_ASSIGN_OR_RAISE(const Dataset dataset, common->Open());
    ARROW_ASSIGN_OR_RAISE(const TableInfo info, Inspect(dataset));
    Write((common->json ? info.ToJson() : info.ToString()) + "\n");
    return kExitOk;
  };
}

}  // namespace headrace::cli
