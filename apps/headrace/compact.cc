#include <arrow/record_batch.h>
#include <headrace/write.h>

#include <memory>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {

Action AddCompact(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "compact", "Rewrite the small files of a Delta table as fewer, larger ones");
  auto common = std::make_shared<CommonOptions>();
  auto write = std::make_shared<WriteOptions>();
  common->AddTo(command);
  AddBytes(command, "--file-bytes", &write->file_bytes, "512MiB",
           "of a file, about; files below half of it are rewritten");
  AddBytes(command, "--row-group-bytes", &write->row_group_bytes, "32MiB",
           "of a row group");
  AddBytes(command, "--memory-budget", &write->memory_budget, "2GiB", "held at most");
  AddColumns(command, "--sort-by", &write->sort_by, "sort the rewritten rows by these");
  command->footer(
      "Examples:\n"
      "  headrace compact lake/flights\n"
      "  headrace compact lake/flights --file-bytes 256MiB --sort-by time\n\n"
      "Older versions stay as they are until `headrace vacuum` deletes their files.\n");
  return [common, write]() -> Result<ExitCode> {
    ARROW_ASSIGN_OR_RAISE(const OpenOptions options, common->ToOpenOptions());
    ARROW_ASSIGN_OR_RAISE(const std::string uri, common->OneUri());
    write->storage_options = options.storage_options;
    WriteSummary summary;
    {
      ProgressBar bar("compact");
      ARROW_ASSIGN_OR_RAISE(summary,
                            Compact(uri, *write, [&](int64_t done, int64_t total) {
                              bar.Update(done, total);
                            }));
    }
    Write((common->json ? summary.ToJson() : summary.ToString()) + "\n");
    return kExitOk;
  };
}

}  // namespace headrace::cli
