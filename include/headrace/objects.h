/// \file
/// Small objects below one folder: what is read and written whole, as checkpoints are.
#pragma once

#include <arrow/type_fwd.h>
#include <headrace/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace headrace {

/// An object as `List` finds it.
struct ObjectEntry {
  /// Relative to the folder, with "/" between its parts.
  std::string name = {};
  int64_t bytes = 0;

  bool operator==(const ObjectEntry&) const = default;
};

/// A folder on any storage, and the objects below it. Nothing is kept between calls.
///
/// A name is relative, "runs/7/model.pt": InvalidArgument for one that is empty, begins
/// or ends with "/", ends with ".tmp", or has an empty part, "." or "..".
///
/// Thread-safety: all methods may be called from any thread and any number of processes.
/// Errors: those of storage, naming the object.
class ObjectFolder {
 public:
  /// Nothing is read or written; the folder need not be there.
  static Result<std::shared_ptr<ObjectFolder>> Open(
      const std::string& uri,
      const std::map<std::string, std::string>& storage_options = {});

  ~ObjectFolder();
  ObjectFolder(const ObjectFolder&) = delete;
  ObjectFolder& operator=(const ObjectFolder&) = delete;

  /// The folder as users know it, without credentials.
  std::string Display() const;

  /// All of an object. NotFound if it is not there.
  Result<std::shared_ptr<arrow::Buffer>> Read(const std::string& name) const;

  /// Writes an object, in the place of one that may be there: readers see the old bytes
  /// or the new ones, also where the writer dies on the way. Durable once it returns. Of
  /// several that put one name at once, use one.
  Status Put(const std::string& name, std::string_view bytes) const;

  /// What is there below `prefix`, a name or "" for all, by name, bytewise.
  Result<std::vector<ObjectEntry>> List(const std::string& prefix = {}) const;

  /// Deletes an object; OK if it is not there.
  Status Remove(const std::string& name) const;

 private:
  struct Impl;
  explicit ObjectFolder(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace headrace
