#include <arrow/buffer.h>
#include <headrace/objects.h>

#include <algorithm>
#include <utility>

#include "storage/storage.h"

namespace headrace {
namespace {

// What `Storage::Replace` appends while it writes.
constexpr std::string_view kUnfinished = ".tmp";

Status CheckName(std::string_view name) {
  bool good = !name.empty() && !name.ends_with(kUnfinished);
  for (size_t begin = 0; good && begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    good = !part.empty() && part != "." && part != "..";
    begin = end + 1;
  }
  if (good) return Status::OK();
  return Error(ErrorKind::kInvalidArgument,
               "the object's name is \"" + std::string(name) +
                   "\", expected a relative path such as \"runs/7/model.pt\", without "
                   "empty parts, \".\", \"..\" and the ending \".tmp\"");
}

}  // namespace

struct ObjectFolder::Impl {
  std::shared_ptr<storage::Storage> storage;
  std::string path;

  std::string PathOf(const std::string& name) const { return path + "/" + name; }
};

ObjectFolder::ObjectFolder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ObjectFolder::~ObjectFolder() = default;

Result<std::shared_ptr<ObjectFolder>> ObjectFolder::Open(
    const std::string& uri, const std::map<std::string, std::string>& storage_options) {
  auto impl = std::make_unique<Impl>();
  ARROW_ASSIGN_OR_RAISE(impl->storage,
                        storage::Storage::OfFolder(uri, storage_options, &impl->path));
  return std::shared_ptr<ObjectFolder>(new ObjectFolder(std::move(impl)));
}

std::string ObjectFolder::Display() const { return impl_->storage->Display(impl_->path); }

Result<std::shared_ptr<arrow::Buffer>> ObjectFolder::Read(const std::string& name) const {
  ARROW_RETURN_NOT_OK(CheckName(name));
  return impl_->storage->ReadAll(impl_->PathOf(name));
}

Status ObjectFolder::Put(const std::string& name, std::string_view bytes) const {
  ARROW_RETURN_NOT_OK(CheckName(name));
  return impl_->storage->Replace(impl_->PathOf(name), bytes);
}

Result<std::vector<ObjectEntry>> ObjectFolder::List(const std::string& prefix) const {
  if (!prefix.empty()) ARROW_RETURN_NOT_OK(CheckName(prefix));
  const std::string below = prefix.empty() ? prefix : prefix + "/";
  ARROW_ASSIGN_OR_RAISE(
      const auto files,
      impl_->storage->ListAll(prefix.empty() ? impl_->path : impl_->PathOf(prefix),
                              /*recursive=*/true));
  std::vector<ObjectEntry> entries;
  for (const storage::FileEntry& file : files) {
    if (file.relative_path.ends_with(kUnfinished)) continue;
    entries.push_back({below + file.relative_path, file.size});
  }
  return entries;
}

Status ObjectFolder::Remove(const std::string& name) const {
  ARROW_RETURN_NOT_OK(CheckName(name));
  return impl_->storage->Delete(impl_->PathOf(name));
}

}  // namespace headrace
