#include "pipeline/catalog.h"

#include <headrace/catalog.h>
#include <parquet/metadata.h>

#include <algorithm>
#include <utility>

#include "catalog/entry.h"
#include "pipeline/dataset_impl.h"
#include "storage/system.h"
#include "table/table.h"

namespace headrace {
namespace {

// The options of a call go before those of the catalog.
OpenOptions OptionsOf(OpenOptions options, const CatalogLocation& location) {
  options.storage_options.insert(location.storage_options.begin(),
                                 location.storage_options.end());
  options.partition_types.insert(location.partition_types.begin(),
                                 location.partition_types.end());
  if (!location.root.empty()) options.root = location.root;
  options.catalog.clear();  // what was found is whole without it
  return options;
}

Result<Dataset> OpenLocation(const CatalogLocation& location, OpenOptions options) {
  if (location.version) {
    if (options.version || !options.as_of.empty()) {
      return Error(ErrorKind::kInvalidArgument,
                   location.uris[0] + ": version " + std::to_string(*location.version) +
                       " is named by the address, and another one beside it: expected "
                       "one of the two");
    }
    options.version = location.version;
  }
  return Dataset::Open(location.uris, OptionsOf(std::move(options), location));
}

// The program that wrote the newest file.
Result<std::string> WriterOf(const table::Table& table) {
  const auto& fragments = table.fragments();
  if (fragments.empty()) return std::string();
  const auto newest = std::ranges::max_element(
      fragments, {}, [](const auto& each) { return each.file.modified_ns; });
  ARROW_ASSIGN_OR_RAISE(const auto footer, table.Footer(newest - fragments.begin()));
  return footer->created_by();
}

Status SetComments(const std::vector<CatalogEntry::Column>& words, CatalogEntry* entry) {
  for (const CatalogEntry::Column& word : words) {
    const auto column =
        std::ranges::find(entry->columns, word.name, &CatalogEntry::Column::name);
    if (column == entry->columns.end()) {
      return Error(ErrorKind::kNotFound, "a comment names column \"" + word.name +
                                             "\", which is not one of table " +
                                             entry->name);
    }
    column->comment = word.comment;
  }
  return Status::OK();
}

}  // namespace

Result<CatalogEntry> AddTable(Catalog* catalog, const CatalogEntry& words,
                              const OpenOptions& options, bool replace) {
  ARROW_RETURN_NOT_OK(catalog::CheckEntry(words));  // before anything is read
  if (words.uri.starts_with(kCatalogScheme)) {
    return Error(ErrorKind::kInvalidArgument,
                 words.uri + " is a name already, expected where a table lies");
  }
  ARROW_ASSIGN_OR_RAISE(const Dataset dataset, Dataset::Open(words.uri, options));
  ARROW_ASSIGN_OR_RAISE(CatalogEntry entry, DescribeTable(dataset));
  entry.name = words.name;
  entry.description = words.description;
  entry.owner = words.owner;
  entry.tags = words.tags;
  ARROW_RETURN_NOT_OK(SetComments(words.columns, &entry));
  ARROW_RETURN_NOT_OK(catalog->Add(entry, replace));
  return catalog->Show(entry.name);
}

Result<Dataset> OpenTable(const Catalog& catalog, std::string_view address,
                          const OpenOptions& options, std::string_view where) {
  ARROW_ASSIGN_OR_RAISE(const CatalogAddress parsed, CatalogAddress::Parse(address));
  ARROW_ASSIGN_OR_RAISE(const CatalogLocation location, catalog.Locate(parsed, where));
  OpenOptions chosen = options;
  chosen.where = where;
  auto opened = OpenLocation(location, std::move(chosen));
  if (!opened.ok()) return WithContext(opened.status(), "table " + parsed.name);
  return opened;
}

Result<Dataset> pipeline::OpenByName(const std::string& address,
                                     const OpenOptions& options) {
  if (options.catalog.empty()) {
    return Error(
        ErrorKind::kInvalidArgument,
        address + " is a name in a catalog, and no catalog was named: say which");
  }
  ARROW_ASSIGN_OR_RAISE(const auto catalog, Catalog::Open(options.catalog));
  return OpenTable(*catalog, address, options, options.where);
}

Result<CatalogEntry> DescribeTable(const Dataset& dataset) {
  const table::Table& table = DatasetAccess::Table(dataset);
  if (table.uris().size() != 1) {
    return Error(ErrorKind::kInvalidArgument,
                 "a list of " + std::to_string(table.uris().size()) +
                     " URIs cannot be given a name, expected one directory, file or "
                     "glob");
  }
  if (table.is_part()) {
    return Error(ErrorKind::kInvalidArgument,
                 "a part of " + table.DisplayUri() +
                     " cannot be given a name: open it without where and between");
  }
  const OpenOptions& options = DatasetAccess::Impl(dataset).options;
  CatalogEntry entry;
  entry.uri = table.uris()[0];
  for (const auto& field : table.schema()->fields()) {
    entry.columns.push_back({field->name(), field->type()->ToString()});
  }
  for (const auto& field : table.partition_fields()) {
    entry.partition_columns.push_back(field->name());
  }
  entry.schema = table.schema();
  entry.format = table.format();
  entry.version = table.version();
  entry.rows = table.rows();
  entry.bytes = table.bytes();
  entry.files = static_cast<int64_t>(table.fragments().size());
  ARROW_ASSIGN_OR_RAISE(entry.last_writer, WriterOf(table));
  entry.partition_types = options.partition_types;
  for (const auto& [name, value] : options.storage_options) {
    if (!storage::IsSecretOption(name)) entry.storage_options[name] = value;
  }
  return entry;
}

}  // namespace headrace
