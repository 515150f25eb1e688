#include <headrace/catalog.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <utility>

#include "command.h"
#include "terminal.h"
#include "text_table.h"
#include "value_json.h"

namespace headrace::cli {
namespace {

struct CatalogOptions {
  std::string catalog;
  bool json = false;

  std::string name;
  std::string uri;
  std::string tag;
  std::string version;
  std::string description;
  std::string owner;
  std::vector<std::string> comments;
  std::vector<std::string> tags;
  std::vector<std::string> partition_types;
  std::vector<std::string> storage_options;
  bool replace = false;
  CatalogQuery query;
};

using Options = std::shared_ptr<CatalogOptions>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

// Whom to ask, if it is not told.
std::string UserName() {
  for (const char* variable : {"LOGNAME", "USER", "LNAME", "USERNAME"}) {
    const char* name = std::getenv(variable);
    if (name != nullptr && *name != '\0') return name;
  }
  const passwd* user = getpwuid(getuid());
  return user != nullptr ? user->pw_name : std::to_string(getuid());
}

// Values of options of the form NAME=VALUE. A wrong one is not repeated: it may be a
// secret.
Result<Pairs> Split(const char* option, const std::vector<std::string>& given) {
  Pairs pairs;
  for (const std::string& each : given) {
    const size_t equals = each.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error(ErrorKind::kInvalidArgument,
                   std::string(option) + " has no \"=\" between two words");
    }
    pairs.emplace_back(each.substr(0, equals), each.substr(equals + 1));
  }
  return pairs;
}

Result<int64_t> VersionOf(const std::string& text) {
  int64_t version = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), version);
  if (error == std::errc() && end == text.data() + text.size()) return version;
  return Error(ErrorKind::kInvalidArgument,
               "the version is \"" + text + "\", expected a number");
}

Result<std::shared_ptr<Catalog>> OpenCatalog(const CatalogOptions& options) {
  return Catalog::Open(options.catalog.empty() ? DefaultCatalog() : options.catalog);
}

void PrintEntry(const CatalogEntry& entry, bool json) {
  if (json) {
    Write(entry.ToJson() + "\n");
    return;
  }
  const std::string text = entry.ToString();
  std::string lines;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines += Printable(std::string_view(text).substr(begin, end - begin)) + "\n";
    begin = end + 1;
  }
  Write(lines);
}

void PrintEntries(const std::vector<CatalogEntry>& entries, bool json) {
  if (json) {
    Json list = Json::array();
    for (const CatalogEntry& entry : entries) list.push_back(Json::parse(entry.ToJson()));
    Write(Dump(list) + "\n");
    return;
  }
  using enum TextTable::Align;
  TextTable table({kLeft, kLeft, kRight, kRight, kRight, kLeft, kLeft});
  table.AddRow({"name", "format", "version", "rows", "size", "owner", "description"});
  table.AddRule();
  for (const CatalogEntry& entry : entries) {
    table.AddRow(
        {entry.name, entry.format, entry.version ? std::to_string(*entry.version) : "-",
         entry.rows ? Grouped(*entry.rows) : "-", entry.bytes ? Sized(*entry.bytes) : "-",
         entry.owner, entry.description});
  }
  Write(table.ToString());
}

Result<OpenOptions> ToOpenOptions(const CatalogOptions& options) {
  OpenOptions open;
  ARROW_ASSIGN_OR_RAISE(const Pairs storage,
                        Split("--storage-option", options.storage_options));
  for (const auto& [name, value] : storage) open.storage_options[name] = value;
  ARROW_ASSIGN_OR_RAISE(const Pairs types,
                        Split("--partition-type", options.partition_types));
  for (const auto& [name, value] : types) open.partition_types[name] = value;
  return open;
}

Result<ExitCode> RunAdd(const CatalogOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const auto catalog, OpenCatalog(options));
  ARROW_ASSIGN_OR_RAISE(const OpenOptions open, ToOpenOptions(options));
  CatalogEntry words;
  words.name = options.name;
  words.uri = options.uri;
  words.description = options.description;
  words.owner = options.owner.empty() ? UserName() : options.owner;
  ARROW_ASSIGN_OR_RAISE(const Pairs comments, Split("--comment", options.comments));
  for (const auto& [column, comment] : comments) {
    words.columns.push_back({column, "", comment});
  }
  ARROW_ASSIGN_OR_RAISE(const Pairs tags, Split("--tag", options.tags));
  for (const auto& [tag, version] : tags) {
    ARROW_ASSIGN_OR_RAISE(words.tags[tag], VersionOf(version));
  }
  ARROW_ASSIGN_OR_RAISE(const CatalogEntry added,
                        AddTable(catalog.get(), words, open, options.replace));
  PrintEntry(added, options.json);
  return kExitOk;
}

Result<ExitCode> RunFind(const CatalogOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const auto catalog, OpenCatalog(options));
  ARROW_ASSIGN_OR_RAISE(const auto entries, catalog->Find(options.query));
  PrintEntries(entries, options.json);
  return kExitOk;
}

Result<ExitCode> RunShow(const CatalogOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const auto catalog, OpenCatalog(options));
  ARROW_ASSIGN_OR_RAISE(const CatalogEntry entry, catalog->Show(options.name));
  PrintEntry(entry, options.json);
  return kExitOk;
}

Result<ExitCode> RunTag(const CatalogOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const auto catalog, OpenCatalog(options));
  ARROW_ASSIGN_OR_RAISE(const int64_t version, VersionOf(options.version));
  ARROW_RETURN_NOT_OK(catalog->Tag(options.name, options.tag, version, options.replace));
  if (options.json) {
    Write(Dump({{"name", options.name}, {"tag", options.tag}, {"version", version}}) +
          "\n");
  } else {
    Write(options.name + "@" + options.tag + " is version " + std::to_string(version) +
          "\n");
  }
  return kExitOk;
}

Result<ExitCode> RunRemove(const CatalogOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const auto catalog, OpenCatalog(options));
  ARROW_RETURN_NOT_OK(catalog->Remove(options.name));
  Write(options.json ? Dump({{"removed", options.name}}) + "\n"
                     : options.name + " is out of the catalog; files stay\n");
  return kExitOk;
}

using Run = Result<ExitCode> (*)(const CatalogOptions&);

CLI::App* AddCommand(CLI::App* parent, const char* name, const char* what,
                     const Options& options) {
  CLI::App* command = parent->add_subcommand(name, what);
  command->add_option("--catalog", options->catalog, kCatalogHelp)->type_name("URI");
  command->add_flag("--json", options->json, "print JSON");
  return command;
}

CLI::App* AddRepeated(CLI::App* command, const char* name, const char* form,
                      std::vector<std::string>* values, const char* what) {
  command->add_option(name, *values, what)
      ->type_name(form)
      ->take_all()
      ->allow_extra_args(false);
  return command;
}

CLI::App* AddAdd(CLI::App* parent, const Options& options) {
  CLI::App* add = AddCommand(parent, "add", "Open a table, and keep what it is", options);
  add->add_option("NAME", options->name, "as in prod.flights")->required();
  add->add_option("URI", options->uri, "a path or URI")->required();
  add->add_option("--description", options->description, "what the rows are");
  add->add_option("--owner", options->owner, "whom to ask; you, if not given");
  AddRepeated(add, "--comment", "COLUMN=TEXT", &options->comments,
              "what a column means; repeatable");
  AddRepeated(add, "--tag", "TAG=VERSION", &options->tags,
              "a name for a version; repeatable");
  AddRepeated(add, "--partition-type", "COLUMN=TYPE", &options->partition_types,
              "the type of a partition column; repeatable");
  AddRepeated(add, "--storage-option", "KEY=VALUE", &options->storage_options,
              "how to reach the storage; credentials are not kept; repeatable");
  add->add_flag("--replace", options->replace, "take the place of an entry of this name");
  return add;
}

CLI::App* AddFind(CLI::App* parent, const Options& options) {
  CLI::App* find = AddCommand(parent, "find", "List the tables that fit", options);
  find->add_option("TEXT", options->query.text,
                   "words in name, description, columns or comments");
  find->add_option("--column", options->query.column, "with a column of this name");
  find->add_option("--tag", options->query.tag, "with this tag");
  find->add_option("--owner", options->query.owner, "of this owner");
  return find;
}

}  // namespace

Action AddCatalog(CLI::App* app) {
  CLI::App* command = app->add_subcommand("catalog", "Keep and find tables by name");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n"
      "  headrace catalog add prod.flights lake/flights --description Departures\n"
      "  headrace catalog find delay --owner ana\n"
      "  headrace catalog tag prod.flights train-2026-11 12\n"
      "  headrace head catalog:prod.flights\n");
  auto options = std::make_shared<CatalogOptions>();
  std::vector<std::pair<CLI::App*, Run>> runs;
  runs.emplace_back(AddCommand(command, "ls", "List all tables", options), RunFind);
  runs.emplace_back(AddAdd(command, options), RunAdd);
  runs.emplace_back(AddFind(command, options), RunFind);
  CLI::App* show = AddCommand(command, "show", "Show all of an entry", options);
  show->add_option("NAME", options->name, "as in prod.flights")->required();
  runs.emplace_back(show, RunShow);
  CLI::App* tag = AddCommand(command, "tag", "Name a version", options);
  tag->add_option("NAME", options->name, "as in prod.flights")->required();
  tag->add_option("TAG", options->tag, "as in train-2026-11")->required();
  tag->add_option("VERSION", options->version, "its number")->required();
  tag->add_flag("--replace", options->replace, "also if the tag is another version's");
  runs.emplace_back(tag, RunTag);
  CLI::App* remove = AddCommand(command, "rm", "Forget a table or a tag", options);
  remove->add_option("NAME", options->name, "as in prod.flights, or prod.flights@TAG")
      ->required();
  runs.emplace_back(remove, RunRemove);
  return [options, runs = std::move(runs)]() -> Result<ExitCode> {
    for (const auto& [each, run] : runs) {
      if (each->parsed()) return run(*options);
    }
    return Error(ErrorKind::kInternal, "no subcommand of catalog was parsed");
  };
}

}  // namespace headrace::cli
