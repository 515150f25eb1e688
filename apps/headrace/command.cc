#include "command.h"

#include <algorithm>
#include <cstdlib>

#include "terminal.h"

namespace headrace::cli {
namespace {

// Where survivor counts are remembered: as told, or in the user's cache folder by the XDG
// rules.
std::string CacheFolder() {
  if (const char* told = std::getenv("HEADRACE_CACHE_DIR"); told != nullptr) {
    return told;  // empty: nowhere
  }
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg == '/') {
    return std::string(xdg) + "/headrace";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return std::string(home) + "/.cache/headrace";
  }
  return "";
}

}  // namespace

std::string DefaultCatalog() {
  if (const char* told = std::getenv("HEADRACE_CATALOG");
      told != nullptr && *told != '\0') {
    return told;
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return std::string(home) + "/.local/share/headrace/catalog.db";
  }
  return "";
}

ExitCode ExitCodeOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument:
      return kExitUsage;
    case ErrorKind::kNotFound:
      return kExitNotFound;
    case ErrorKind::kDenied:
      return kExitDenied;
    case ErrorKind::kCorrupt:
    case ErrorKind::kSchemaMismatch:
      return kExitCorrupt;
    case ErrorKind::kUnavailable:
      return kExitUnavailable;
    default:
      return kExitOther;
  }
}

std::string ErrorText(const Status& status) {
  std::string text = "headrace: " + std::string(KindName(KindOf(status))) + ": ";
  const std::string message = MessageOf(status);
  for (size_t begin = 0; begin <= message.size();) {
    const size_t end = std::min(message.find('\n', begin), message.size());
    if (begin > 0) text += '\n';
    text += Printable(std::string_view(message).substr(begin, end - begin));
    begin = end + 1;
  }
  return text;
}

void CommonOptions::AddTo(CLI::App* app) {
  app->add_option("URI", uris,
                  "a table, directory, file or glob: a path, or file://, s3://, gs://, "
                  "abfs://, hdfs://; or catalog:NAME; URI@12 is version 12")
      ->required();
  AddOptionsTo(app);
}

void CommonOptions::AddOptionsTo(CLI::App* app) {
  app->add_option("--catalog", catalog, kCatalogHelp)->type_name("URI");
  AddStorageTo(app);
}

void CommonOptions::AddStorageTo(CLI::App* app) {
  app->add_option("--storage-option", storage_options,
                  "how to reach the storage, as in region=eu-west-1; repeatable")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
  app->add_flag("--json", json, "print JSON");
}

Result<OpenOptions> CommonOptions::ToOpenOptions() const {
  OpenOptions options;
  options.cache_folder = CacheFolder();
  options.catalog = catalog.empty() ? DefaultCatalog() : catalog;
  for (const std::string& option : storage_options) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos || equals == 0) {
      // The text may be a mistyped secret, so it is not repeated.
      return Error(ErrorKind::kInvalidArgument,
                   "--storage-option has no KEY=VALUE, as in region=eu-west-1");
    }
    options.storage_options[option.substr(0, equals)] = option.substr(equals + 1);
  }
  return options;
}

Result<std::string> CommonOptions::OneUri() const {
  if (uris.size() == 1) return uris[0];
  return Error(ErrorKind::kInvalidArgument,
               "found " + std::to_string(uris.size()) + " URIs, expected one table");
}

Result<Dataset> CommonOptions::Open() const {
  if (uris.size() == 1) return Open(uris[0]);
  ARROW_ASSIGN_OR_RAISE(const OpenOptions options, ToOpenOptions());
  return Dataset::Open(uris, options);
}

Result<Dataset> CommonOptions::Open(const std::string& uri) const {
  ARROW_ASSIGN_OR_RAISE(OpenOptions options, ToOpenOptions());
  const VersionedUri split = VersionedUri::Split(uri);
  options.version = split.version;
  return Dataset::Open(split.uri, options);
}

VersionedUri VersionedUri::Split(const std::string& text) {
  constexpr size_t kDigitsMax = 18;
  const size_t at = text.rfind('@');
  const std::string digits = at == std::string::npos ? "" : text.substr(at + 1);
  if (at == 0 || digits.empty() || digits.size() > kDigitsMax ||
      digits.find_first_not_of("0123456789") != std::string::npos) {
    return {text, {}};
  }
  return {text.substr(0, at), std::stoll(digits)};
}

void ChoiceOptions::AddTo(CLI::App* app) {
  app->add_option("--select", select, "columns, as in a,b.c; all if absent")
      ->type_name("COLUMNS")
      ->delimiter(',')
      ->allow_extra_args(false);
  app->add_option("--where", where,
                  "a filter, as in \"month <= 10 and delay is not null\"")
      ->type_name("FILTER");
  app->add_flag("--explain", explain, "print what would be read, and stop");
}

Result<Dataset> ChoiceOptions::Apply(Dataset dataset) const {
  if (!select.empty()) {
    ARROW_ASSIGN_OR_RAISE(dataset, dataset.Select(select));
  }
  if (!where.empty()) {
    ARROW_ASSIGN_OR_RAISE(dataset, dataset.Where(where));
  }
  return dataset;
}

void AddBytes(CLI::App* command, const char* name, int64_t* value, const char* shown,
              const char* meaning) {
  command->add_option(name, *value, meaning)
      ->type_name("BYTES")
      ->default_str(shown)
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true).description(""));
}

void AddColumns(CLI::App* command, const char* name, std::vector<std::string>* value,
                const char* meaning) {
  command->add_option(name, *value, meaning)
      ->type_name("COLUMNS")
      ->delimiter(',')
      ->allow_extra_args(false);
}

CLI::Validator AtLeast(int64_t least) {
  auto check = [least](std::string& text) -> std::string {
    int64_t number = 0;
    if (CLI::detail::lexical_cast(text, number) && number >= least) return "";
    return "found " + text + ", expected a number of at least " + std::to_string(least);
  };
  return CLI::Validator(check, "");
}

Status PrintPlan(const Dataset& dataset, bool json) {
  ARROW_ASSIGN_OR_RAISE(const ScanSummary plan, dataset.Explain());
  std::string text = json ? plan.ToJson() : plan.ToString();
  if (text.empty() || text.back() != '\n') text += '\n';
  Write(text);
  return Status::OK();
}

}  // namespace headrace::cli
