#include <exception>
#include <utility>
#include <vector>

#include "command.h"
#include "terminal.h"

namespace headrace::cli {
namespace {

constexpr const char* kFooter =
    "Examples:\n"
    "  headrace inspect lake/flights\n"
    "  headrace head lake/flights -n 5 --where \"dep_delay > 60\"\n"
    "  headrace bench lake/flights --batch-size 4096 --shuffle\n\n"
    "Exit codes: 0 done; 1 verify found defects; 2 InvalidArgument; 3 NotFound; 4 "
    "Denied;\n"
    "5 Corrupt or SchemaMismatch; 6 Unavailable; 7 any other error; 130 interrupted.\n";

int Report(const Status& status) {
  WriteError(ErrorText(status));
  return ExitCodeOf(KindOf(status));
}

int Run(int argc, char** argv) {
  CLI::App app(
      "Looks at tables in a data lake, copies them, measures loading from them, and runs "
      "programs that train on them.",
      "headrace");
  app.set_version_flag("--version", "headrace " HEADRACE_VERSION);
  app.require_subcommand(0, 1);  // none is told below, after arguments that are unknown
  app.footer(kFooter);
  std::vector<Action> actions;
  for (auto* add : {AddInspect, AddHead, AddStats, AddVerify, AddBench, AddCopy,
                    AddCompact, AddHistory, AddDiff, AddRestore, AddVacuum, AddCatalog,
                    AddCache, AddRun, AddAccelerators}) {
    actions.push_back(add(&app));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    Write(app.help());
    return kExitOk;
  } catch (const CLI::CallForVersion& e) {
    Write(std::string(e.what()) + "\n");
    return kExitOk;
  } catch (const CLI::ParseError& e) {
    return Report(Error(ErrorKind::kInvalidArgument,
                        std::string(e.what()) + "; see `headrace --help`"));
  }
  const auto commands = app.get_subcommands(nullptr);
  for (size_t i = 0; i < commands.size(); ++i) {
    if (!commands[i]->parsed()) continue;
    Result<ExitCode> code = actions[i]();
    return code.ok() ? static_cast<int>(*code) : Report(code.status());
  }
  return Report(Error(ErrorKind::kInvalidArgument,
                      "a subcommand is missing, expected one such as inspect, head or "
                      "history; see `headrace --help`"));
}

}  // namespace
}  // namespace headrace::cli

int main(int argc, char** argv) {
  headrace::cli::InstallSignalHandlers();
  try {
    return headrace::cli::Run(argc, argv);
  } catch (const std::exception& e) {
    return headrace::cli::Report(
        headrace::Error(headrace::ErrorKind::kInternal, e.what()));
  }
}
