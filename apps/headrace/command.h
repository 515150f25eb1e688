/// \file
/// What the subcommands share: their shape, common options, exit codes.
#pragma once

#include <headrace/accelerators.h>
#include <headrace/dataset.h>
#include <headrace/result.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace headrace::cli {

/// Exit codes; docs/guide/cli.md tells users.
enum ExitCode {
  kExitOk = 0,
  kExitDefects = 1,
  kExitUsage = 2,
  kExitNotFound = 3,
  kExitDenied = 4,
  kExitCorrupt = 5,
  kExitUnavailable = 6,
  kExitOther = 7,
  kExitInterrupted = 130,
  kExitBrokenPipe = 141,
};

/// The exit code of an error.
ExitCode ExitCodeOf(ErrorKind kind);

/// "headrace: Kind: message", in one line; a filter that does not parse is shown below
/// it.
std::string ErrorText(const Status& status);

/// What a subcommand does once its arguments are parsed: an exit code, or an error.
using Action = std::function<Result<ExitCode>()>;

// One function a subcommand, each in a file of its own: declares the subcommand and its
// options, and returns what it does.
Action AddInspect(CLI::App* app);
Action AddHead(CLI::App* app);
Action AddStats(CLI::App* app);
Action AddVerify(CLI::App* app);
Action AddBench(CLI::App* app);
Action AddCompact(CLI::App* app);
Action AddHistory(CLI::App* app);
Action AddDiff(CLI::App* app);
Action AddRestore(CLI::App* app);
Action AddVacuum(CLI::App* app);
Action AddCopy(CLI::App* app);
Action AddCatalog(CLI::App* app);
Action AddCache(CLI::App* app);
Action AddRun(CLI::App* app);
Action AddAccelerators(CLI::App* app);

/// Where accelerators are looked for, by $HEADRACE_ACCELERATOR_COMMAND and
/// $CUDA_VISIBLE_DEVICES; and the options that change it.
DiscoverOptions DefaultDiscovery();
void AddDiscovery(CLI::App* command, DiscoverOptions* options);

/// The catalog that is meant if none is named: $HEADRACE_CATALOG, else the user's own.
/// Empty where there is no home folder.
std::string DefaultCatalog();

inline constexpr const char* kCatalogHelp =
    "the catalog: the path of a file, or thrift://host:port; $HEADRACE_CATALOG, else "
    "~/.local/share/headrace/catalog.db";

/// Options of every subcommand. Parsing fills it, so it must stay where it is.
struct CommonOptions {
  std::vector<std::string> uris;
  std::vector<std::string> storage_options;
  std::string catalog;
  bool json = false;

  void AddTo(CLI::App* app);
  /// All but the URIs.
  void AddOptionsTo(CLI::App* app);
  /// --storage-option and --json alone.
  void AddStorageTo(CLI::App* app);
  Result<OpenOptions> ToOpenOptions() const;
  /// InvalidArgument unless one was given.
  Result<std::string> OneUri() const;
  /// The table; "URI@12" is its version 12.
  Result<Dataset> Open() const;
  /// The table of a URI that is none of `uris`, likewise.
  Result<Dataset> Open(const std::string& uri) const;
};

/// "URI@12" in two parts; no version where the text does not end so.
struct VersionedUri {
  std::string uri;
  std::optional<int64_t> version;

  static VersionedUri Split(const std::string& text);
};

/// Options of the subcommands that choose rows and columns.
struct ChoiceOptions {
  std::vector<std::string> select;
  std::string where;
  bool explain = false;

  void AddTo(CLI::App* app);
  Result<Dataset> Apply(Dataset dataset) const;
};

/// An option of bytes, as in 256MiB (2^20) or 1GB (10^9). `shown`: its default.
void AddBytes(CLI::App* command, const char* name, int64_t* value, const char* shown,
              const char* meaning);
/// An option of names of columns, as in a,b.
void AddColumns(CLI::App* command, const char* name, std::vector<std::string>* value,
                const char* meaning);

/// Refuses smaller numbers.
CLI::Validator AtLeast(int64_t least);

/// What `--explain` prints.
Status PrintPlan(const Dataset& dataset, bool json);

}  // namespace headrace::cli
