#include <arrow/util/cancel.h>
#include <fcntl.h>
#include <headrace/accelerators.h>
#include <headrace/gang.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "command.h"
#include "terminal.h"

extern char** environ;

namespace headrace::cli {
namespace {

struct RunOptions {
  GangOptions gang;
  DiscoverOptions discovery = DefaultDiscovery();
  double gpus_per_task = 0;
  double timeout = 600;
  double heartbeat_timeout = 30;
  double grace = 5;
  std::string output_dir;
};

int64_t Milliseconds(double seconds) { return static_cast<int64_t>(seconds * 1000); }

// Ctrl-C and SIGTERM end the gang first, and then this process. Once it runs, that is:
// the source lives as long as the process.
arrow::StopSource* ending = nullptr;

extern "C" void OnEndingSignal(int signal) { ending->RequestStopFromSignal(signal); }

arrow::StopToken StopOnSignals() {
  static arrow::StopSource source;
  ending = &source;
  struct sigaction action = {};
  action.sa_handler = OnEndingSignal;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  return source.token();
}

// "[1] line", or the lines as they are into files attempt-0/rank-1.out and .err.
class Output {
 public:
  explicit Output(std::string folder) : folder_(std::move(folder)) {}

  Status Put(int attempt, int rank, GangStream stream, std::string_view lines) {
    const bool is_out = stream == GangStream::kOut;
    if (folder_.empty()) {
      PutPrefixed(is_out ? stdout : stderr, rank, lines);
      return Status::OK();
    }
    const std::filesystem::path path =
        std::filesystem::path(folder_) / ("attempt-" + std::to_string(attempt)) /
        ("rank-" + std::to_string(rank) + (is_out ? ".out" : ".err"));
    std::ofstream& file = files_[path.string()];
    if (!file.is_open()) {
      std::error_code error;
      std::filesystem::create_directories(path.parent_path(), error);
      file.open(path, std::ios::binary);
    }
    file.write(lines.data(), static_cast<std::streamsize>(lines.size())).flush();
    if (file.good()) return Status::OK();
    return Error(ErrorKind::kInvalidArgument,
                 "cannot write the output of a task to " + path.string());
  }

 private:
  static void PutPrefixed(std::FILE* file, int rank, std::string_view lines) {
    const std::string prefix = "[" + std::to_string(rank) + "] ";
    std::string text;
    while (!lines.empty()) {
      const size_t end = std::min(lines.find('\n'), lines.size());
      text.append(prefix).append(lines.substr(0, end)).append("\n");
      lines.remove_prefix(std::min(end + 1, lines.size()));
    }
    std::fwrite(text.data(), 1, text.size(), file);
    std::fflush(file);
  }

  std::string folder_;
  std::map<std::string, std::ofstream> files_;
};

Result<ExitCode> Run(RunOptions* options) {
  GangOptions& gang = options->gang;
  gang.timeout_ms = Milliseconds(options->timeout);
  gang.heartbeat_timeout_ms = Milliseconds(options->heartbeat_timeout);
  gang.grace_ms = Milliseconds(options->grace);
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view variable = *each;
    const size_t equals = variable.find('=');
    if (equals == std::string_view::npos) continue;
    gang.environment.emplace_back(variable.substr(0, equals),
                                  variable.substr(equals + 1));
  }
  if (options->gpus_per_task > 0) {
    ARROW_ASSIGN_OR_RAISE(const Accelerators found, Discover(options->discovery));
    ARROW_ASSIGN_OR_RAISE(gang.accelerators,
                          Share(found, gang.tasks, options->gpus_per_task));
  }
  Output output(options->output_dir);
  GangCallbacks callbacks;
  callbacks.on_output = [&](int attempt, int rank, GangStream stream,
                            std::string_view lines) {
    return output.Put(attempt, rank, stream, lines);
  };
  callbacks.on_restart = [&](int attempt, const std::string& why) {
    WriteError("headrace: " + why + "\nheadrace: starting again, attempt " +
               std::to_string(attempt + 1) + " of " +
               std::to_string(gang.max_restarts + 1));
    return Status::OK();
  };
  const arrow::StopToken stop = StopOnSignals();
  const auto report = RunGang(gang, callbacks, stop);
  if (!report.ok() && stop.IsStopRequested()) return kExitInterrupted;
  ARROW_RETURN_NOT_OK(report.status());
  return kExitOk;
}

}  // namespace

Action AddRun(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "run", "Run a program as a gang: many tasks that start and fail together");
  command->footer(
      "Each task finds RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT, TF_CONFIG "
      "and\nCUDA_VISIBLE_DEVICES in its environment.\n\n"
      "Examples:\n"
      "  headrace run -n 4 -- python train.py --epochs 3\n"
      "  headrace run -n 2 --gpus-per-task 1 --max-restarts 3 -- python train.py\n"
      "  headrace run -n 8 --output-dir logs -- ./simulate\n");
  auto options = std::make_shared<RunOptions>();
  command->add_option("-n,--tasks", options->gang.tasks, "how many tasks (1)")
      ->check(AtLeast(1));
  command
      ->add_option("--gpus-per-task", options->gpus_per_task,
                   "accelerators a task: a whole number, or at most 0.5 of one")
      ->check(CLI::NonNegativeNumber);
  AddDiscovery(command, &options->discovery);
  command
      ->add_option("--max-restarts", options->gang.max_restarts,
                   "how many times all tasks start again after one has failed (0)")
      ->check(AtLeast(0));
  command
      ->add_option("--timeout", options->timeout,
                   "seconds that a barrier waits for all tasks (600)")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--heartbeat-timeout", options->heartbeat_timeout,
                   "seconds after which a task that is stopped or silent has failed (30)")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--grace", options->grace,
                   "seconds that a task may take to end after SIGTERM (5)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--output-dir", options->output_dir,
                      "write what tasks print to attempt-A/rank-R.out and .err in this "
                      "folder, not to the terminal");
  command->add_option("PROGRAM", options->gang.command, "the program and its arguments")
      ->required();
  return [options] { return Run(options.get()); };
}

}  // namespace headrace::cli
