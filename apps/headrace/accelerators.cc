#include <headrace/accelerators.h>

#include <cstdlib>
#include <memory>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {

DiscoverOptions DefaultDiscovery() {
  DiscoverOptions options;
  if (const char* command = std::getenv("HEADRACE_ACCELERATOR_COMMAND")) {
    options.command = command;
  }
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES")) {
    options.visible = visible;
  }
  return options;
}

void AddDiscovery(CLI::App* command, DiscoverOptions* options) {
  command
      ->add_option("--accelerator-command", options->command,
                   "a program that prints {\"name\": ..., \"addresses\": [...]} in place "
                   "of NVIDIA's and AMD's tools; default: $HEADRACE_ACCELERATOR_COMMAND")
      ->type_name("PROGRAM");
  command->add_option("--accelerator", options->name, "their name (gpu)")
      ->type_name("NAME");
}

Action AddAccelerators(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "accelerators",
      "Print this machine's accelerators, as Spark's discovery scripts do");
  command->footer(
      "Examples:\n"
      "  headrace accelerators\n"
      "  spark-submit --conf spark.executor.resource.gpu.discoveryScript=script.sh ...\n"
      "    where script.sh holds: exec headrace accelerators\n");
  auto options = std::make_shared<DiscoverOptions>(DefaultDiscovery());
  AddDiscovery(command, options.get());
  return [options]() -> Result<ExitCode> {
    ARROW_ASSIGN_OR_RAISE(const Accelerators found, Discover(*options));
    Write(found.ToJson() + "\n");
    return kExitOk;
  };
}

}  // namespace headrace::cli
