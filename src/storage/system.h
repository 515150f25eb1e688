/// \file
/// What each storage system gives: a filesystem made from a URI and options.
#pragma once

#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <headrace/result.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "storage/retry.h"

namespace headrace::storage {

/// The storage options of one call. Each system says which names it knows.
class Options {
 public:
  /// InvalidArgument for a name that is not in `known`.
  static Result<Options> Make(const char* system,
                              const std::map<std::string, std::string>& given,
                              const std::set<std::string>& known);

  bool Has(const std::string& name) const { return given_.count(name) > 0; }
  /// The value, or `otherwise`.
  std::string Get(const std::string& name, const std::string& otherwise = "") const;
  /// "true" or "false"; InvalidArgument for anything else.
  Result<bool> Flag(const std::string& name) const;
  /// Seconds as a positive number.
  Result<double> Seconds(const std::string& name, double otherwise) const;

 private:
  std::map<std::string, std::string> given_;
};

/// Writes a file unless one of that path is there: false if one is. Atomic: of several at
/// once exactly one gets true, and no reader sees a part of it. Durable once it returns.
/// After an error it may be there or not.
using PutIfAbsent =
    std::function<Result<bool>(const std::string& path, std::string_view bytes)>;

/// Deletes a file. OK where none is.
using DeleteFile = std::function<Status(const std::string& path)>;

/// Makes a file to be written, and its folders. Durable once it is closed.
using CreateFile = std::function<Result<std::shared_ptr<arrow::io::OutputStream>>(
    const std::string& path)>;

/// A filesystem, and the part of the URI that it takes as path.
struct System {
  std::shared_ptr<arrow::fs::FileSystem> filesystem = nullptr;
  std::string path = {};
  std::string display_prefix = {};
  /// Null: the system cannot promise it.
  PutIfAbsent put_if_absent = nullptr;
  /// What it lacks for that, for the message: `the storage option "x"`. Or empty.
  std::string put_needs = {};
  /// Null: as the filesystem does.
  CreateFile create = nullptr;
  /// Null: as the filesystem does.
  DeleteFile remove = nullptr;
  /// How reads that fail in passing are made again.
  RetryPolicy retry = {.attempts = 1};
};

using OptionMap = std::map<std::string, std::string>;
Result<System> MakeLocal(const std::string& uri, const OptionMap& options);
Result<System> MakeS3(const std::string& uri, const OptionMap& options);
Result<System> MakeGcs(const std::string& uri, const OptionMap& options);
Result<System> MakeAzure(const std::string& uri, const OptionMap& options);
Result<System> MakeHdfs(const std::string& uri, const OptionMap& options);

/// URIs of another scheme, in lower case, become what `make` says, from here on. For
/// tests that bring a storage of their own.
using SystemMaker =
    std::function<Result<System>(const std::string& uri, const OptionMap& options)>;
void AddScheme(const std::string& scheme, SystemMaker make);

/// The URI of an object store in two parts: what Arrow parses (scheme, user info, bucket
/// or account, query), and the key, which is taken as it is written, as the stores' own
/// tools do.
struct ObjectUri {
  std::string base;
  std::string key;

  static ObjectUri Split(const std::string& uri);
  /// The key below the path that Arrow made of `base`.
  std::string PathBelow(std::string base_path) const;
};

/// Where a URI's query begins, its "?", or npos: a "?" that no `name=` follows is part of
/// the path, as in globs.
size_t QueryOf(std::string_view uri);

/// The scheme of a URI in lower case, or empty for a plain path.
std::string SchemeOf(std::string_view uri);
/// What stands between "://" and "@", or empty.
std::string UserInfoOf(std::string_view uri);
/// The value of a storage option of this name is never shown or stored.
bool IsSecretOption(std::string_view name);
/// A password, a key or a signature stands in the URI.
bool HoldsSecrets(const std::string& uri);
/// The URI without user info and query.
std::string WithoutCredentials(const std::string& uri);

}  // namespace headrace::storage
