/// \file
/// Where bytes lie: URIs to Arrow filesystems, listing, and opening of files.
#pragma once

#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <headrace/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/system.h"

namespace headrace::storage {

struct FileEntry {
  std::string path;  ///< As the filesystem takes it.
  std::string
      relative_path;  ///< Below what was listed; a file's own name if it was listed.
  int64_t size = 0;
  int64_t modified_ns = 0;  ///< Since the epoch, as the storage tells it.
};

/// What lies in a directory, by name, bytewise.
struct DirectoryListing {
  struct Directory {
    std::string path;  ///< As the filesystem takes it.
    std::string name;
  };
  std::vector<FileEntry> files;
  std::vector<Directory> directories;
};

/// What became of a file since it was listed.
enum class FileChange {
  kNone,
  kTime,      ///< It has the size that it had, and another time.
  kReplaced,  ///< It has another size, or is no file.
};

/// One storage system. Thread-safe.
class Storage {
 public:
  /// Resolves a path or URI. `path` becomes what the filesystem takes. Options that the
  /// system does not know are InvalidArgument naming those it does.
  static Result<std::shared_ptr<Storage>> FromUri(
      const std::string& uri, const std::map<std::string, std::string>& options,
      std::string* path);

  /// The same of a folder: `path` ends with no slash.
  static Result<std::shared_ptr<Storage>> OfFolder(
      const std::string& uri, const std::map<std::string, std::string>& options,
      std::string* path);

  /// `secrets` never appear in messages.
  Storage(System system, std::vector<std::string> secrets);

  /// Files that a path, directory (recursive) or glob (`*`, `?`, `[...]`, `**`) names, by
  /// path, bytewise. Hidden names (`_`, `.`) below the root are left out. NotFound if
  /// there is none.
  Result<std::vector<FileEntry>> List(const std::string& path) const;

  /// Opens for ranged reads; NotFound, Denied, Unavailable name the file.
  Result<std::shared_ptr<arrow::io::RandomAccessFile>> Open(const FileEntry& file) const;

  /// All files below a directory, hidden ones too, by relative path, bytewise; none if it
  /// is not there. `recursive`: directories below it as well.
  Result<std::vector<FileEntry>> ListAll(const std::string& directory,
                                         bool recursive) const;
  /// The same without hidden names below the directory, and of those alone that a
  /// pattern fits: a glob of whole paths; empty: all.
  Result<std::vector<FileEntry>> ListBelow(const std::string& directory,
                                           const std::string& pattern = {}) const;
  /// What lies in a directory itself, hidden names left out; nothing if it is not there.
  Result<DirectoryListing> ListDirectory(const std::string& directory) const;
  /// Whether something is there, and is a directory.
  Result<bool> IsDirectory(const std::string& path) const;
  /// A whole file. NotFound if it is not there.
  Result<std::shared_ptr<arrow::Buffer>> ReadAll(const std::string& path) const;

  /// A file to be written, in the place of one that may be there; directories are made.
  /// What is not closed is not a file, or an incomplete one; what is, is durable.
  Result<std::shared_ptr<arrow::io::OutputStream>> Create(const std::string& path) const;
  /// Writes a file unless one is there: false if one is. Atomic and durable. Unsupported
  /// where the storage cannot promise it. An attempt whose answer was lost is told from
  /// another's file by its bytes, so let them be like no others' (hold a random id).
  /// After an error the file may be there or not.
  Result<bool> PutIfAbsent(const std::string& path, std::string_view bytes) const;
  /// Writes a small file, in the place of one that may be there. Atomic.
  Status Replace(const std::string& path, std::string_view bytes) const;
  /// Deletes a file; OK if it is not there.
  Status Delete(const std::string& path) const;
  /// Deletes a directory and all below it; OK if it is not there. On object stores those
  /// empty objects go that stand for directories.
  Status DeleteDirectory(const std::string& path) const;

  /// Opens by path alone.
  Result<std::shared_ptr<arrow::io::RandomAccessFile>> OpenPath(
      const std::string& path) const;

  /// Asks what became of a file. NotFound if it is gone.
  Result<FileChange> ChangeOf(const FileEntry& file) const;

  /// Whether files lie on disks of this machine, or what is mounted as such.
  bool local() const { return filesystem_->type_name() == "local"; }

  /// The path as users know it, without credentials ("s3://bucket/x", "/data/x").
  std::string Display(const std::string& path) const { return display_prefix_ + path; }

  /// A storage error in our kinds, naming `path`, with no credential in it.
  Status Translate(const Status& status, const std::string& path) const;

  /// Two URIs of the same system can be one table.
  bool SameSystem(const Storage& other) const {
    return filesystem_->Equals(*other.filesystem_);
  }

 private:
  Result<std::vector<arrow::fs::FileInfo>> InfosBelow(const std::string& directory,
                                                      bool recursive) const;

  std::shared_ptr<arrow::fs::FileSystem> filesystem_;
  std::string display_prefix_;
  storage::PutIfAbsent put_if_absent_;
  std::string put_needs_;
  CreateFile create_;
  DeleteFile remove_;
  RetryPolicy retry_;
  std::vector<std::string> secrets_;
};

}  // namespace headrace::storage
