/// \file
/// The embedded catalog: one SQLite file.
#pragma once

#include <headrace/catalog.h>
#include <headrace/result.h>

#include <memory>
#include <string>
#include <vector>

namespace headrace::catalog {

/// Connects anew for each call: nothing is held between them, so that a process may fork,
/// and a file be moved or restored, at any time.
class SqliteCatalog final : public Catalog {
 public:
  /// `path` is absolute. Looks whether it is a catalog, if it is there.
  static Result<std::shared_ptr<Catalog>> Make(const std::string& path);

 private:
  explicit SqliteCatalog(const std::string& path) : Catalog(path) {}

  Status DoAdd(const CatalogEntry& entry, bool replace) override;
  Result<CatalogEntry> DoShow(const std::string& name) const override;
  Result<std::vector<CatalogEntry>> DoFind(const CatalogQuery& query) const override;
  Status DoTag(const std::string& name, const std::string& tag, int64_t version,
               bool replace) override;
  Status DoRemove(const std::string& name) override;
  Status DoUntag(const std::string& name, const std::string& tag) override;
  Status DoUpdate(const std::string& name, const CatalogUpdate& update) override;
};

}  // namespace headrace::catalog
