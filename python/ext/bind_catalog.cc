#include <headrace/catalog.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bind.h"
#include "errors.h"

namespace nb = nanobind;

namespace headrace::ext {
namespace {

using Texts = std::map<std::string, std::string>;

OpenOptions Options(const Texts& storage_options, const Texts& partition_types,
                    const std::optional<Schema>& schema,
                    const std::string& cache_folder) {
  OpenOptions options;
  options.storage_options = storage_options;
  options.partition_types = partition_types;
  options.schema = schema;
  options.cache_folder = cache_folder;
  return options;
}

/// JSON and text.
using PyEntry = std::pair<std::string, std::string>;

PyEntry ToPython(const CatalogEntry& entry) { return {entry.ToJson(), entry.ToString()}; }

std::vector<PyEntry> Find(const Catalog& catalog, const CatalogQuery& query) {
  return Released([&]() -> Result<std::vector<PyEntry>> {
    ARROW_ASSIGN_OR_RAISE(const auto entries, catalog.Find(query));
    std::vector<PyEntry> found;
    found.reserve(entries.size());
    for (const CatalogEntry& entry : entries) found.push_back(ToPython(entry));
    return found;
  });
}

}  // namespace

void BindCatalog(nb::module_& m) {
  nb::class_<Catalog>(m, "Catalog", "headrace::Catalog. Entries are JSON and text.")
      .def_static(
          "open",
          [](const std::string& uri) {
            return Released([&] { return Catalog::Open(uri); });
          },
          nb::arg("uri"))
      .def_prop_ro("uri", &Catalog::uri)
      .def(
          "add",
          [](Catalog& catalog, std::string name, std::string uri, std::string description,
             std::string owner, const Texts& comments,
             std::map<std::string, int64_t> tags, const Texts& storage_options,
             const Texts& partition_types, bool replace) {
            CatalogEntry words;
            words.name = std::move(name);
            words.uri = std::move(uri);
            words.description = std::move(description);
            words.owner = std::move(owner);
            words.tags = std::move(tags);
            for (const auto& [column, comment] : comments) {
              words.columns.push_back({column, "", comment});
            }
            const OpenOptions options =
                Options(storage_options, partition_types, std::nullopt, "");
            return ToPython(
                Released([&] { return AddTable(&catalog, words, options, replace); }));
          },
          nb::kw_only(), nb::arg("name"), nb::arg("uri"), nb::arg("description"),
          nb::arg("owner"), nb::arg("comments"), nb::arg("tags"),
          nb::arg("storage_options"), nb::arg("partition_types"), nb::arg("replace"))
      .def(
          "show",
          [](const Catalog& catalog, const std::string& name) {
            return ToPython(Released([&] { return catalog.Show(name); }));
          },
          nb::arg("name"))
      .def(
          "find",
          [](const Catalog& catalog, std::string text, std::string column,
             std::string tag, std::string owner) {
            return Find(catalog, {std::move(text), std::move(column), std::move(tag),
                                  std::move(owner)});
          },
          nb::kw_only(), nb::arg("text"), nb::arg("column"), nb::arg("tag"),
          nb::arg("owner"))
      .def(
          "tag",
          [](Catalog& catalog, const std::string& name, const std::string& tag,
             int64_t version, bool replace) {
            Released([&] { return catalog.Tag(name, tag, version, replace); });
          },
          nb::arg("name"), nb::arg("tag"), nb::arg("version"), nb::kw_only(),
          nb::arg("replace"))
      .def(
          "remove",
          [](Catalog& catalog, const std::string& address) {
            Released([&] { return catalog.Remove(address); });
          },
          nb::arg("address"))
      .def(
          "open_table",
          [](const Catalog& catalog, const std::string& address, const std::string& where,
             const Texts& storage_options, const Texts& partition_types,
             const std::optional<Schema>& schema, const std::string& cache_folder,
             std::optional<int64_t> version, std::string as_of) {
            OpenOptions options =
                Options(storage_options, partition_types, schema, cache_folder);
            options.version = version;
            options.as_of = std::move(as_of);
            return Released([&] { return OpenTable(catalog, address, options, where); });
          },
          nb::arg("address"), nb::kw_only(), nb::arg("where"), nb::arg("storage_options"),
          nb::arg("partition_types"), nb::arg("schema").none(), nb::arg("cache_folder"),
          nb::arg("version").none(), nb::arg("as_of"));
}

}  // namespace headrace::ext
