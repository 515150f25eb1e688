/// \file
/// A Hive Metastore as a catalog.
#pragma once

#include <headrace/catalog.h>
#include <headrace/result.h>

#include <memory>
#include <string>

namespace headrace::catalog {

/// The one door of a part that is built with hidden symbols (cmake/HeadraceThrift.cmake).
///
/// Talks the metastore's protocol without authentication or encryption. `timeout_s`:
/// until a silent server is given up; 0: as usual. Connects to nothing yet.
[[gnu::visibility("default")]] Result<std::shared_ptr<Catalog>> MakeHiveCatalog(
    const std::string& uri, double timeout_s = 0);

}  // namespace headrace::catalog
