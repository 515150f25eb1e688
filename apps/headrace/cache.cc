#include <headrace/cache.h>

#include <memory>
#include <utility>
#include <vector>

#include "command.h"
#include "terminal.h"
#include "value_json.h"

namespace headrace::cli {
namespace {

struct CacheOptions {
  CommonOptions common;
  std::string uri;
  std::vector<std::string> directories;
  bool force = false;
  bool dry_run = false;
};

using Options = std::shared_ptr<CacheOptions>;
using Cache = std::shared_ptr<TableCache>;

Result<Cache> OpenCache(const CacheOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const OpenOptions open, options.common.ToOpenOptions());
  return TableCache::Open(options.uri, open.storage_options);
}

// "in use by host 12 (application), kept"
std::string StateOf(const CacheEntry& entry) {
  std::string users;
  for (const CacheLease& lease : entry.leases) {
    if (!lease.live) continue;
    users += (users.empty() ? "in use by " : ", ") + lease.host + " " +
             std::to_string(lease.pid);
    if (!lease.owner.application.empty()) users += " (" + lease.owner.application + ")";
  }
  if (entry.kept) return users.empty() ? "kept" : users + ", kept";
  return users.empty() ? "unused" : users;
}

Result<ExitCode> RunLs(const CacheOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const Cache cache, OpenCache(options));
  ARROW_ASSIGN_OR_RAISE(const auto entries, cache->List());
  if (options.common.json) {
    Write(ToJson(entries) + "\n");
    return kExitOk;
  }
  std::string text;
  int64_t bytes = 0;
  for (const CacheEntry& entry : entries) {
    text += entry.directory + "\n  " +
            (entry.rows ? Grouped(*entry.rows) + " rows, " : "") + Sized(entry.bytes) +
            ", " + Printable(StateOf(entry)) +
            (entry.key.empty() ? ", unpublished" : "") + "\n";
    bytes += entry.bytes;
  }
  text += std::to_string(entries.size()) +
          (entries.size() == 1 ? " table, " : " tables, ") + Sized(bytes) + "\n";
  Write(text);
  return kExitOk;
}

Result<ExitCode> RunRm(const CacheOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const Cache cache, OpenCache(options));
  for (const std::string& directory : options.directories) {
    ARROW_RETURN_NOT_OK(cache->Remove(directory, options.force));
    if (!options.common.json) Write("removed " + directory + "\n");
  }
  if (options.common.json) Write(Dump({{"removed", options.directories}}) + "\n");
  return kExitOk;
}

Result<ExitCode> RunGc(const CacheOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const Cache cache, OpenCache(options));
  ARROW_ASSIGN_OR_RAISE(const CacheReport report, cache->Collect(options.dry_run));
  if (options.common.json) {
    Write(report.ToJson() + "\n");
    return kExitOk;
  }
  std::string text;
  for (const std::string& directory : report.directories) text += directory + "\n";
  const size_t tables = report.directories.size();
  text += std::to_string(tables) + (tables == 1 ? " table, " : " tables, ") +
          Sized(report.bytes) + ", and " + std::to_string(report.files) +
          (report.files == 1 ? " other file" : " other files") +
          (report.deleted ? " deleted" : " can be deleted") + "\n";
  Write(text);
  return kExitOk;
}

using Run = Result<ExitCode> (*)(const CacheOptions&);

CLI::App* AddCommand(CLI::App* parent, const char* name, const char* what,
                     const Options& options) {
  CLI::App* command = parent->add_subcommand(name, what);
  command
      ->add_option("URI", options->uri,
                   "the cache directory: a path, or file://, s3://, gs://, abfs://, "
                   "hdfs://")
      ->required();
  options->common.AddStorageTo(command);
  return command;
}

}  // namespace

Action AddCache(CLI::App* app) {
  CLI::App* command = app->add_subcommand(
      "cache", "List and clear a directory of cached tables, as Spark's converters use");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n"
      "  headrace cache ls s3://bucket/cache\n"
      "  headrace cache gc s3://bucket/cache --dry-run\n"
      "  headrace cache rm lake/cache "
      "20261128101530-trainer-local-1-0b9c2f7e-9d1b-4a53-8c57-6f2a54d1e8aa\n");
  auto options = std::make_shared<CacheOptions>();
  std::vector<std::pair<CLI::App*, Run>> runs;
  CLI::App* ls =
      AddCommand(command, "ls", "List tables, their size, and who uses them", options);
  ls->footer("Example:\n  headrace cache ls s3://bucket/cache --json\n");
  runs.emplace_back(ls, RunLs);
  CLI::App* rm = AddCommand(command, "rm", "Delete tables, kept ones too", options);
  rm->add_option("DIRECTORY", options->directories, "as `headrace cache ls` prints them")
      ->required();
  rm->add_flag("--force", options->force, "also tables in use, whose readers then fail");
  rm->footer(
      "Example:\n"
      "  headrace cache rm lake/cache "
      "20261128101530-trainer-local-1-0b9c2f7e-9d1b-4a53-8c57-6f2a54d1e8aa\n");
  runs.emplace_back(rm, RunRm);
  CLI::App* gc = AddCommand(
      command, "gc", "Delete what nobody uses and nobody keeps: left by a kill, say",
      options);
  gc->add_flag("--dry-run", options->dry_run, "only say what would be deleted");
  gc->footer("Example:\n  headrace cache gc lake/cache --dry-run\n");
  runs.emplace_back(gc, RunGc);
  return [options, runs = std::move(runs)]() -> Result<ExitCode> {
    for (const auto& [each, run] : runs) {
      if (each->parsed()) return run(*options);
    }
    return Error(ErrorKind::kInternal, "no subcommand of cache was parsed");
  };
}

}  // namespace headrace::cli
