#include <headrace/catalog.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

#include "catalog/entry.h"
#include "catalog/hive/hive_catalog.h"
#include "catalog/sqlite/sqlite_catalog.h"
#include "storage/system.h"

namespace headrace {
namespace {

Result<std::string> AbsolutePath(const std::string& uri) {
  const std::string path = uri.starts_with("file://") ? uri.substr(7) : uri;
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  if (error || path.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "the catalog is \"" + uri + "\", expected the path of a file");
  }
  return absolute.lexically_normal().string();
}

}  // namespace

Result<CatalogAddress> CatalogAddress::Parse(std::string_view text) {
  if (text.starts_with(kCatalogScheme)) text.remove_prefix(kCatalogScheme.size());
  const size_t at = text.find('@');
  CatalogAddress address;
  address.name = text.substr(0, at);
  ARROW_RETURN_NOT_OK(catalog::CheckName(address.name));
  if (at == std::string_view::npos) return address;
  const std::string_view which = text.substr(at + 1);
  int64_t version = 0;
  const auto [end, error] =
      std::from_chars(which.data(), which.data() + which.size(), version);
  if (error == std::errc() && end == which.data() + which.size() && which[0] != '-') {
    address.version = version;
    return address;
  }
  if (const Status fits = catalog::CheckTag(which); !fits.ok()) {
    return WithContext(fits, "after @ comes a tag, or the number of a version");
  }
  address.tag = which;
  return address;
}

Result<std::shared_ptr<Catalog>> Catalog::Open(const std::string& uri) {
  const std::string scheme = storage::SchemeOf(uri);
  if (uri.empty()) {
    return Error(
        ErrorKind::kInvalidArgument,
        "no catalog was named, expected the path of a file or thrift://host:port");
  }
  if (scheme.empty() || scheme == "file") {
    ARROW_ASSIGN_OR_RAISE(const std::string path, AbsolutePath(uri));
    return catalog::SqliteCatalog::Make(path);
  }
  if (scheme == "thrift") return catalog::MakeHiveCatalog(uri);
  return Error(ErrorKind::kInvalidArgument,
               "catalogs of scheme \"" + scheme + "\" are unknown in " +
                   storage::WithoutCredentials(uri) +
                   ", expected the path of a file or thrift://host:port");
}

Status Catalog::Add(const CatalogEntry& entry, bool replace) {
  ARROW_RETURN_NOT_OK(catalog::CheckEntry(entry));
  return DoAdd(entry, replace);
}

Result<CatalogEntry> Catalog::Show(const std::string& name) const {
  ARROW_RETURN_NOT_OK(catalog::CheckName(name));
  return DoShow(name);
}

Result<std::vector<CatalogEntry>> Catalog::Find(const CatalogQuery& query) const {
  ARROW_ASSIGN_OR_RAISE(auto entries, DoFind(query));
  std::ranges::sort(entries, {}, &CatalogEntry::name);
  return entries;
}

Status Catalog::Tag(const std::string& name, const std::string& tag, int64_t version,
                    bool replace) {
  ARROW_RETURN_NOT_OK(catalog::CheckName(name));
  ARROW_RETURN_NOT_OK(catalog::CheckTag(tag));
  if (version < 0) {
    return Error(ErrorKind::kInvalidArgument, "the version of tag " + tag + " is " +
                                                  std::to_string(version) +
                                                  ", expected at least 0");
  }
  return DoTag(name, tag, version, replace);
}

Status Catalog::Remove(const std::string& address) {
  ARROW_ASSIGN_OR_RAISE(const CatalogAddress what, CatalogAddress::Parse(address));
  if (what.version) {
    return Error(ErrorKind::kInvalidArgument,
                 address + " is a version: a catalog forgets tables and tags");
  }
  return what.tag.empty() ? DoRemove(what.name) : DoUntag(what.name, what.tag);
}

Status Catalog::Update(const std::string& name, const CatalogUpdate& update) {
  ARROW_RETURN_NOT_OK(catalog::CheckName(name));
  return DoUpdate(name, update);
}

Result<CatalogLocation> Catalog::Locate(const CatalogAddress& address,
                                        std::string_view where) const {
  ARROW_ASSIGN_OR_RAISE(const CatalogEntry entry, DoShow(address.name));
  ARROW_ASSIGN_OR_RAISE(CatalogLocation location, DoLocate(entry, where));
  location.version = address.version;
  if (!address.tag.empty()) {
    ARROW_ASSIGN_OR_RAISE(location.version, catalog::VersionOfTag(entry, address.tag));
  }
  return location;
}

Result<CatalogLocation> Catalog::DoLocate(const CatalogEntry& entry,
                                          std::string_view where) const {
  CatalogLocation location;
  location.uris = {entry.uri};
  location.storage_options = entry.storage_options;
  location.partition_types = entry.partition_types;
  return location;
}

}  // namespace headrace
