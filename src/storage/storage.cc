#include "storage/storage.h"

#include <arrow/buffer.h>
#include <arrow/util/io_util.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/one_line.h"
#include "storage/errors.h"
#include "storage/glob.h"
#include "storage/system.h"

namespace headrace::storage {
namespace {

// Names of options whose values are never shown.
constexpr std::string_view kSecretOptions[] = {
    "access_key", "secret_key",   "session_token",       "account_key",
    "sas_token",  "access_token", "service_account_json"};

// Names in a URI's query whose values are never shown, besides.
constexpr std::string_view kSecretParameters[] = {"client_secret", "secret", "sig"};

void AddSecretsOfQuery(const std::string& uri, std::vector<std::string>* secrets) {
  if (SchemeOf(uri).empty()) return;
  auto add = [&](std::string_view name) {
    const std::string begin = std::string(name) + "=";
    for (size_t at = uri.find('?'); at != std::string::npos; at = uri.find('&', at)) {
      ++at;
      if (uri.compare(at, begin.size(), begin) != 0) continue;
      const size_t value = at + begin.size();
      const size_t size = std::min(uri.find_first_of("&#", value), uri.size()) - value;
      if (size > 0) secrets->push_back(uri.substr(value, size));
    }
  };
  for (std::string_view name : kSecretOptions) add(name);
  for (std::string_view name : kSecretParameters) add(name);
}

std::vector<std::string> SecretsOf(const std::string& uri, const OptionMap& options) {
  std::vector<std::string> secrets;
  for (std::string_view name : kSecretOptions) {
    auto found = options.find(std::string(name));
    if (found != options.end() && !found->second.empty())
      secrets.push_back(found->second);
  }
  const std::string user = UserInfoOf(uri);
  const size_t colon = user.find(':');
  if (colon != std::string::npos) {
    secrets.push_back(user);
    if (colon + 1 < user.size()) secrets.push_back(user.substr(colon + 1));
  }
  AddSecretsOfQuery(uri, &secrets);
  // The longest first, so that none is left half shown.
  std::sort(secrets.begin(), secrets.end(),
            [](const auto& a, const auto& b) { return a.size() > b.size(); });
  return secrets;
}

std::string Hide(std::string text, const std::vector<std::string>& secrets) {
  for (const std::string& secret : secrets) {
    for (size_t at = text.find(secret); at != std::string::npos;
         at = text.find(secret, at)) {
      text.replace(at, secret.size(), "***");
      at += 3;
    }
  }
  return text;
}

// URLs in what a storage says, without their queries: those may hold signatures.
std::string WithoutQueries(std::string text) {
  for (size_t at = text.find("://"); at != std::string::npos; at = text.find("://", at)) {
    const size_t end = std::min(text.find_first_of(" '\"", at), text.size());
    const size_t query = text.find('?', at);
    if (query < end) text.erase(query, end - query);
    at += 3;
  }
  return text;
}

bool IsHidden(std::string_view relative) {
  for (size_t begin = 0; begin < relative.size();) {
    if (relative[begin] == '_' || relative[begin] == '.') return true;
    const size_t slash = relative.find('/', begin);
    if (slash == std::string_view::npos) return false;
    begin = slash + 1;
  }
  return false;
}

struct AddedSchemes {
  std::mutex mutex;
  std::map<std::string, SystemMaker> makers;
};

AddedSchemes& Added() {
  static AddedSchemes added;
  return added;
}

SystemMaker AddedMaker(const std::string& scheme) {
  AddedSchemes& added = Added();
  std::lock_guard lock(added.mutex);
  const auto found = added.makers.find(scheme);
  return found == added.makers.end() ? nullptr : found->second;
}

Result<System> MakeSystem(const std::string& given, const OptionMap& options) {
  const std::string scheme = SchemeOf(given);
  // Arrow knows schemes in lower case only.
  const std::string uri = scheme + given.substr(scheme.size());
  if (scheme.empty() || scheme == "file") return MakeLocal(uri, options);
  if (scheme == "s3") return MakeS3(uri, options);
  if (scheme == "gs" || scheme == "gcs") return MakeGcs(uri, options);
  if (scheme == "abfs" || scheme == "abfss" || scheme == "az")
    return MakeAzure(uri, options);
  if (scheme == "hdfs" || scheme == "viewfs") return MakeHdfs(uri, options);
  if (const SystemMaker make = AddedMaker(scheme)) return make(uri, options);
  return Error(ErrorKind::kInvalidArgument,
               "scheme \"" + scheme + "\" is unknown in " + WithoutCredentials(uri) +
                   ", expected a path or one of file, s3, gs, abfs, hdfs" +
                   (scheme.starts_with("given-")
                        ? "; this one is of a filesystem that was given to `open` in "
                          "another process: give it to `open` here"
                        : ""));
}

int64_t ModifiedNs(const arrow::fs::FileInfo& info) {
  return std::chrono::nanoseconds(info.mtime().time_since_epoch()).count();
}

/// What is left of a path below a directory.
std::string Below(const std::string& directory, const std::string& path) {
  size_t below = directory.size();
  while (below < path.size() && path[below] == '/') ++below;
  return path.substr(below);
}

}  // namespace

bool IsSecretOption(std::string_view name) {
  return std::ranges::find(kSecretOptions, name) != std::end(kSecretOptions);
}

bool HoldsSecrets(const std::string& uri) { return !SecretsOf(uri, {}).empty(); }

void AddScheme(const std::string& scheme, SystemMaker make) {
  AddedSchemes& added = Added();
  std::lock_guard lock(added.mutex);
  added.makers.insert_or_assign(scheme, std::move(make));
}

Result<std::shared_ptr<Storage>> Storage::FromUri(const std::string& uri,
                                                  const OptionMap& options,
                                                  std::string* path) {
  const auto secrets = SecretsOf(uri, options);
  auto system = MakeSystem(uri, options);
  if (!system.ok()) {
    return Error(KindOf(system.status()),
                 Hide(WithoutQueries(base::OneLine(system.status().message())), secrets));
  }
  *path = std::move(system->path);
  return std::make_shared<Storage>(*std::move(system), secrets);
}

Result<std::shared_ptr<Storage>> Storage::OfFolder(
    const std::string& uri, const std::map<std::string, std::string>& options,
    std::string* path) {
  ARROW_ASSIGN_OR_RAISE(auto storage, FromUri(uri, options, path));
  while (path->size() > 1 && path->ends_with('/')) path->pop_back();
  return storage;
}

Storage::Storage(System system, std::vector<std::string> secrets)
    : filesystem_(std::move(system.filesystem)),
      display_prefix_(std::move(system.display_prefix)),
      put_if_absent_(std::move(system.put_if_absent)),
      put_needs_(std::move(system.put_needs)),
      create_(std::move(system.create)),
      remove_(std::move(system.remove)),
      retry_(std::move(system.retry)),
      secrets_(std::move(secrets)) {}

Result<std::vector<FileEntry>> Storage::List(const std::string& path) const {
  auto info = Retried(retry_, path, [&] { return filesystem_->GetFileInfo(path); });
  if (!info.ok()) return Translate(info.status(), path);
  if (info->IsFile())
    return std::vector<FileEntry>{
        {path, info->base_name(), info->size(), ModifiedNs(*info)}};
  std::vector<FileEntry> files;
  if (info->type() == arrow::fs::FileType::Directory) {
    ARROW_ASSIGN_OR_RAISE(files, ListBelow(path, ""));
  } else if (IsGlob(path)) {
    ARROW_ASSIGN_OR_RAISE(files, ListBelow(LiteralPrefix(path), path));
  } else {
    return Error(ErrorKind::kNotFound,
                 Display(path) + " is not there, expected a file, a directory or a glob");
  }
  if (files.empty()) {
    return Error(
        ErrorKind::kNotFound,
        Display(path) + (IsGlob(path) && info->type() == arrow::fs::FileType::NotFound
                             ? " matches no file"
                             : " is a directory without data files (names that begin "
                               "with _ or . do not count)"));
  }
  return files;
}

Result<std::vector<FileEntry>> Storage::ListBelow(const std::string& directory,
                                                  const std::string& pattern) const {
  ARROW_ASSIGN_OR_RAISE(auto files, ListAll(directory, /*recursive=*/true));
  std::erase_if(files, [&](const FileEntry& file) {
    return IsHidden(file.relative_path) ||
           (!pattern.empty() && !GlobMatches(pattern, file.path));
  });
  return files;
}

Result<std::vector<FileEntry>> Storage::ListAll(const std::string& directory,
                                                bool recursive) const {
  ARROW_ASSIGN_OR_RAISE(const auto infos, InfosBelow(directory, recursive));
  std::vector<FileEntry> files;
  for (const auto& info : infos) {
    if (!info.IsFile()) continue;
    files.push_back(
        {info.path(), Below(directory, info.path()), info.size(), ModifiedNs(info)});
  }
  std::ranges::sort(files, {}, &FileEntry::relative_path);
  return files;
}

Result<DirectoryListing> Storage::ListDirectory(const std::string& directory) const {
  ARROW_ASSIGN_OR_RAISE(const auto infos, InfosBelow(directory, /*recursive=*/false));
  DirectoryListing listing;
  for (const auto& info : infos) {
    std::string name = Below(directory, info.path());
    if (name.empty() || IsHidden(name)) continue;
    if (info.IsFile()) {
      listing.files.push_back(
          {info.path(), std::move(name), info.size(), ModifiedNs(info)});
    } else if (info.IsDirectory()) {
      listing.directories.push_back({info.path(), std::move(name)});
    }
  }
  std::ranges::sort(listing.files, {}, &FileEntry::relative_path);
  std::ranges::sort(listing.directories, {}, &DirectoryListing::Directory::name);
  return listing;
}

Result<std::vector<arrow::fs::FileInfo>> Storage::InfosBelow(const std::string& directory,
                                                             bool recursive) const {
  arrow::fs::FileSelector selector;
  selector.base_dir = directory;
  selector.recursive = recursive;
  selector.allow_not_found = true;
  auto infos =
      Retried(retry_, directory, [&] { return filesystem_->GetFileInfo(selector); });
  if (!infos.ok()) return Translate(infos.status(), directory);
  return infos;
}

Result<bool> Storage::IsDirectory(const std::string& path) const {
  auto info = Retried(retry_, path, [&] { return filesystem_->GetFileInfo(path); });
  if (!info.ok()) return Translate(info.status(), path);
  return info->IsDirectory();
}

Result<std::shared_ptr<arrow::Buffer>> Storage::ReadAll(const std::string& path) const {
  auto read = [&]() -> Result<std::shared_ptr<arrow::Buffer>> {
    ARROW_ASSIGN_OR_RAISE(auto file, filesystem_->OpenInputFile(path));
    ARROW_ASSIGN_OR_RAISE(const int64_t size, file->GetSize());
    ARROW_ASSIGN_OR_RAISE(auto bytes, file->ReadAt(0, size));
    if (bytes->size() != size) {
      return Status::IOError("the file ended at ", bytes->size(), " of ", size, " bytes");
    }
    return bytes;
  };
  auto bytes = Retried(retry_, path, read);
  if (!bytes.ok()) return Translate(bytes.status(), path);
  return bytes;
}

Result<std::shared_ptr<arrow::io::OutputStream>> Storage::Create(
    const std::string& path) const {
  auto stream = create_ ? create_(path) : filesystem_->OpenOutputStream(path);
  if (!stream.ok()) return Translate(stream.status(), path);
  return stream;
}

Result<bool> Storage::PutIfAbsent(const std::string& path, std::string_view bytes) const {
  if (put_if_absent_ == nullptr) {
    return Error(ErrorKind::kUnsupported,
                 Display(path) +
                     ": this storage, or what it was opened with, cannot promise to "
                     "write a file only where none is, which commits need" +
                     (put_needs_.empty() ? "" : ": give it " + put_needs_));
  }
  auto put = put_if_absent_(path, bytes);
  if (!put.ok()) return Translate(put.status(), path);
  return put;
}

Status Storage::Replace(const std::string& path, std::string_view bytes) const {
  // Object stores show a file when it is whole; a local one gets its name then.
  const std::string written = local() ? path + ".tmp" : path;
  ARROW_ASSIGN_OR_RAISE(auto out, Create(written));
  Status status = out->Write(bytes);
  if (status.ok()) status = out->Close();
  if (status.ok() && local()) status = filesystem_->Move(written, path);
  return status.ok() ? status : Translate(status, path);
}

Status Storage::Delete(const std::string& path) const {
  Status status = remove_ != nullptr ? remove_(path) : Retried(retry_, path, [&] {
    return filesystem_->DeleteFile(path);
  });
  if (status.ok()) return status;
  const Status translated = Translate(status, path);
  return KindOf(translated) == ErrorKind::kNotFound ? Status::OK() : translated;
}

Status Storage::DeleteDirectory(const std::string& path) const {
  Status status;
  // Where others write or delete below it meanwhile, a local disk gives up on the way.
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    status = Retried(retry_, path, [&] { return filesystem_->DeleteDir(path); });
    if (status.ok()) return status;
    if (KindOf(Translate(status, path)) == ErrorKind::kNotFound) return Status::OK();
    // Not all systems say of a directory that it is not there.
    auto info = Retried(retry_, path, [&] { return filesystem_->GetFileInfo(path); });
    if (!info.ok()) break;
    if (info->type() == arrow::fs::FileType::NotFound) return Status::OK();
  }
  return Translate(status, path);
}

Result<FileChange> Storage::ChangeOf(const FileEntry& file) const {
  auto info =
      Retried(retry_, file.path, [&] { return filesystem_->GetFileInfo(file.path); });
  if (!info.ok()) return Translate(info.status(), file.path);
  if (info->type() == arrow::fs::FileType::NotFound) {
    return Error(ErrorKind::kNotFound, Display(file.path) + " is not there any more");
  }
  if (!info->IsFile() || info->size() != file.size) return FileChange::kReplaced;
  return ModifiedNs(*info) == file.modified_ns ? FileChange::kNone : FileChange::kTime;
}

Result<std::shared_ptr<arrow::io::RandomAccessFile>> Storage::Open(
    const FileEntry& file) const {
  // A known size saves asking the store for it.
  arrow::fs::FileInfo info(file.path, arrow::fs::FileType::File);
  info.set_size(file.size);
  auto opened =
      Retried(retry_, file.path, [&] { return filesystem_->OpenInputFile(info); });
  if (!opened.ok()) return Translate(opened.status(), file.path);
  if (retry_.attempts == 1) return opened;
  return MakeRetryingFile(*std::move(opened), retry_, file.path);
}

Result<std::shared_ptr<arrow::io::RandomAccessFile>> Storage::OpenPath(
    const std::string& path) const {
  auto opened = filesystem_->OpenInputFile(path);
  if (!opened.ok()) return Translate(opened.status(), path);
  return opened;
}

Status Storage::Translate(const Status& status, const std::string& path) const {
  const std::string name = Display(path);
  std::string said = Hide(WithoutQueries(base::OneLine(status.message())), secrets_);
  if (const int number = arrow::internal::ErrnoFromStatus(status); number != 0) {
    said += ": " + std::generic_category().message(number);
  }
  const std::string message = name + ": " + said;
  switch (const ErrorKind kind = KindOfStorage(status, path)) {
    case ErrorKind::kDenied:
      return Error(kind, message + ": check the credentials and their rights");
    case ErrorKind::kNotFound:
      return Error(kind, message);
    case ErrorKind::kResourceExhausted:
      return Error(kind, message + ": make room there, or write elsewhere");
    case ErrorKind::kUnavailable:
      return Error(kind, message + ": the storage did not answer as expected; try again");
    default:
      return Error(kind, message);
  }
}

}  // namespace headrace::storage
