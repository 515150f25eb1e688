#include "pipeline/catalog.h"

#include <headrace/catalog.h>
#include <parquet/metadata.h>

#include <algorithm>
#include <utility>

#include "catalog/entry.h"
#include "pipeline/dataset_impl.h"
#include "pipeline/delta_table.h"
#include "storage/glob.h"
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

Result<pipeline::NamedPlace> PlaceOf(const CatalogLocation& location,
                                     OpenOptions options) {
  if (location.version) {
    if (options.version || !options.as_of.empty()) {
      return Error(ErrorKind::kInvalidArgument,
                   location.uris[0] + ": version " + std::to_string(*location.version) +
                       " is named by the address, and another one beside it: expected "
                       "one of the two");
    }
    options.version = location.version;
  }
  return pipeline::NamedPlace{location.uris, OptionsOf(std::move(options), location)};
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

Result<std::shared_ptr<Catalog>> CatalogOf(const std::string& address,
                                           const std::string& catalog) {
  if (!catalog.empty()) return Catalog::Open(catalog);
  return Error(ErrorKind::kInvalidArgument,
               address + " is a name in a catalog, and no catalog was named: say which");
}

// Where rows of the table of a name go. No catalog keeps what is written beside it.
Result<CatalogLocation> LocateForWriting(const Catalog& catalog,
                                         const std::string& address) {
  ARROW_ASSIGN_OR_RAISE(const CatalogAddress parsed, CatalogAddress::Parse(address));
  if (parsed.version || !parsed.tag.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 address +
                     " names a version, and a write makes one: leave out @ and what "
                     "comes after it");
  }
  ARROW_ASSIGN_OR_RAISE(CatalogLocation location, catalog.Locate(parsed));
  if (!location.root.empty()) {
    return Error(ErrorKind::kUnsupported,
                 "table " + parsed.name +
                     ": its partitions are kept by the catalog, which would not see new "
                     "ones: write by the engine that made it");
  }
  if (storage::IsGlob(location.uris[0])) {
    return Error(ErrorKind::kInvalidArgument,
                 "table " + parsed.name + " lies at " + location.uris[0] +
                     ", expected a folder: a glob cannot be written to");
  }
  return location;
}

// Tells a catalog what the table of a name is now, and again if others committed to it
// meanwhile: whoever is the last to tell has seen the last version.
Status TellOfWrite(Catalog* catalog, const std::string& name, const std::string& uri,
                   const OpenOptions& options, bool columns) {
  while (true) {
    ARROW_ASSIGN_OR_RAISE(const Dataset dataset, Dataset::Open(uri, options));
    ARROW_ASSIGN_OR_RAISE(CatalogEntry entry, DescribeTable(dataset));
    CatalogUpdate update{.rows = entry.rows,
                         .bytes = entry.bytes,
                         .files = entry.files,
                         .version = entry.version,
                         .last_writer = std::move(entry.last_writer)};
    if (columns) {
      update.columns = std::move(entry.columns);
      update.partition_columns = std::move(entry.partition_columns);
      update.schema = std::move(entry.schema);
    }
    ARROW_RETURN_NOT_OK(catalog->Update(name, update));
    if (!entry.version) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(const auto now, pipeline::DeltaTable::Open(uri, options));
    if (now.log.last() == *entry.version) return Status::OK();
  }
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
  ARROW_ASSIGN_OR_RAISE(auto place, PlaceOf(location, options));
  place.options.where = where;
  auto opened = Dataset::Open(place.uris, place.options);
  if (!opened.ok()) return WithContext(opened.status(), "table " + parsed.name);
  return opened;
}

Result<pipeline::NamedPlace> pipeline::PlaceOfName(const std::string& address,
                                                   const OpenOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const auto catalog, CatalogOf(address, options.catalog));
  ARROW_ASSIGN_OR_RAISE(const CatalogAddress parsed, CatalogAddress::Parse(address));
  ARROW_ASSIGN_OR_RAISE(const CatalogLocation location, catalog->Locate(parsed));
  return PlaceOf(location, options);
}

Result<Dataset> pipeline::OpenByName(const std::string& address,
                                     const OpenOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const auto catalog, CatalogOf(address, options.catalog));
  return OpenTable(*catalog, address, options, options.where);
}

Result<pipeline::NamedWrite> pipeline::NamedWrite::Of(const std::string& address,
                                                      const WriteOptions& options) {
  NamedWrite write;
  ARROW_ASSIGN_OR_RAISE(write.catalog, CatalogOf(address, options.catalog));
  ARROW_ASSIGN_OR_RAISE(const CatalogLocation location,
                        LocateForWriting(*write.catalog, address));
  write.name = address.substr(kCatalogScheme.size());
  write.uri = location.uris[0];
  write.options = options;
  write.options.catalog.clear();
  write.options.storage_options.insert(location.storage_options.begin(),
                                       location.storage_options.end());
  // What a log says of a Delta table, the entry says of others.
  if (options.format == "parquet" && options.mode != "overwrite" &&
      options.partition_by.empty()) {
    ARROW_ASSIGN_OR_RAISE(const CatalogEntry entry, write.catalog->Show(write.name));
    write.options.partition_by = entry.partition_columns;
  }
  write.opening.storage_options = write.options.storage_options;
  write.opening.partition_types = location.partition_types;
  return write;
}

void pipeline::NamedWrite::Tell(WriteSummary* summary) const {
  // Rows that are appended to a Delta table change none of its columns.
  const bool columns =
      options.mode == "overwrite" || options.format == "parquet" || summary->version == 0;
  const Status told = TellOfWrite(catalog.get(), name, uri, opening, columns);
  if (!told.ok()) summary->catalog_error = MessageOf(told);
}

Result<WriteSummary> pipeline::WriteByName(
    const std::shared_ptr<arrow::RecordBatchReader>& data, const std::string& address,
    const WriteOptions& options, const Progress& progress) {
  ARROW_ASSIGN_OR_RAISE(const NamedWrite named, NamedWrite::Of(address, options));
  auto written = Write(data, named.uri, named.options, progress);
  if (!written.ok()) return WithContext(written.status(), "table " + named.name);
  named.Tell(&*written);
  return written;
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
