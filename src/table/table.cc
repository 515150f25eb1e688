#include "table/table.h"

#include <headrace/row_id.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/hash.h"
#include "table/footer.h"
#include "table/partition.h"
#include "table/unify.h"

namespace headrace::table {
namespace {

// The longest directory that all paths have in common.
std::string CommonDirectory(const std::vector<Fragment>& fragments) {
  std::string common = fragments[0].file.path;
  for (const Fragment& fragment : fragments) {
    const std::string& path = fragment.file.path;
    const auto ends =
        std::mismatch(common.begin(), common.end(), path.begin(), path.end());
    common.erase(ends.first, common.end());
  }
  const size_t slash = common.rfind('/');
  return slash == std::string::npos ? "" : common.substr(0, slash + 1);
}

RowGroup DescribeRowGroup(const parquet::RowGroupMetaData& metadata) {
  RowGroup group;
  group.rows = metadata.num_rows();
  group.has_offset_index = metadata.num_columns() > 0 ? 1 : 0;
  for (int c = 0; c < metadata.num_columns(); ++c) {
    auto chunk = metadata.ColumnChunk(c);
    group.stored_bytes += chunk->total_uncompressed_size();
    if (!chunk->GetOffsetIndexLocation()) group.has_offset_index = 0;
  }
  return group;
}

/// What one file's footer says.
struct FileFacts {
  uint64_t checksum = 0;
  std::shared_ptr<arrow::Schema> schema;
  std::vector<RowGroup> row_groups;
};

}  // namespace

Result<std::shared_ptr<const Table>> Table::Open(const std::vector<std::string>& uris,
                                                 const TableOptions& options,
                                                 base::Executor& executor) {
  std::shared_ptr<Table> table(new Table(options.footer_cache_bytes));
  table->uris_ = uris;
  table->options_ = options;
  ARROW_RETURN_NOT_OK(table->ListFiles());
  ARROW_RETURN_NOT_OK(table->ReadPartitions());
  ARROW_RETURN_NOT_OK(table->ReadFooters(executor));
  table->Fingerprint();
  return table;
}

Status Table::ListFiles() {
  std::set<std::string> seen;
  for (std::string& uri : uris_) {
    std::string path;
    ARROW_ASSIGN_OR_RAISE(
        auto system, storage::Storage::FromUri(uri, options_.storage_options, &path));
    if (storage_ != nullptr && !storage_->SameSystem(*system)) {
      return Error(ErrorKind::kInvalidArgument,
                   storage_->Display("") + " and " + system->Display(path) +
                       " lie on different storage systems, expected one");
    }
    if (storage_ == nullptr) {
      storage_ = std::move(system);
      display_uri_ = storage_->Display(path);
    }
    // Local paths are absolute from here on, for processes that run elsewhere.
    if (storage_->Display(path) == path) uri = path;
    ARROW_ASSIGN_OR_RAISE(auto files, storage_->List(path));
    for (auto& file : files) {
      if (!seen.insert(file.path).second) {
        return Error(ErrorKind::kInvalidArgument,
                     storage_->Display(file.path) + " is named twice, expected once");
      }
      Fragment fragment;
      fragment.relative_path = file.relative_path;
      fragment.file = std::move(file);
      fragments_.push_back(std::move(fragment));
    }
  }
  if (!options_.root.empty()) return NameBelowRoot();
  if (uris_.size() > 1) {
    const size_t below = CommonDirectory(fragments_).size();
    for (Fragment& fragment : fragments_) {
      fragment.relative_path = fragment.file.path.substr(below);
    }
  }
  return Status::OK();
}

Status Table::NameBelowRoot() {
  std::string root;
  ARROW_RETURN_NOT_OK(
      storage::Storage::FromUri(options_.root, options_.storage_options, &root).status());
  if (!root.ends_with('/')) root += '/';
  for (Fragment& fragment : fragments_) {
    if (!fragment.file.path.starts_with(root)) {
      return Error(ErrorKind::kInvalidArgument, storage_->Display(fragment.file.path) +
                                                    " does not lie below the root " +
                                                    storage_->Display(root));
    }
    fragment.relative_path = fragment.file.path.substr(root.size());
  }
  return Status::OK();
}

Status Table::ReadPartitions() {
  std::vector<std::string> paths;
  paths.reserve(fragments_.size());
  for (const Fragment& fragment : fragments_) paths.push_back(fragment.relative_path);
  ARROW_ASSIGN_OR_RAISE(auto partitions,
                        ReadPartitionPaths(paths, options_.partition_types));
  partition_fields_ = std::move(partitions.fields);
  for (size_t f = 0; f < fragments_.size(); ++f) {
    fragments_[f].partition_values = std::move(partitions.values[f]);
  }
  return Status::OK();
}

Status Table::ReadFooters(base::Executor& executor) {
  const auto count = static_cast<int64_t>(fragments_.size());
  std::vector<FileFacts> facts(fragments_.size());
  ARROW_RETURN_NOT_OK(executor.ForEach(count, [&](int64_t f) -> Status {
    const storage::FileEntry& entry = fragments_[static_cast<size_t>(f)].file;
    ARROW_ASSIGN_OR_RAISE(auto file, storage_->Open(entry));
    const int64_t size = entry.size;
    auto footer = ReadFooter(*file, size, DisplayPath(f));
    if (!footer.ok()) return FooterError(f, footer.status());
    FileFacts& fact = facts[static_cast<size_t>(f)];
    fact.checksum = footer->checksum;
    ARROW_ASSIGN_OR_RAISE(fact.schema, FileSchema(*footer->metadata, DisplayPath(f)));
    for (int g = 0; g < footer->metadata->num_row_groups(); ++g) {
      fact.row_groups.push_back(DescribeRowGroup(*footer->metadata->RowGroup(g)));
    }
    footers_.Put(f, footer->metadata, footer->serialized_bytes);
    return Status::OK();
  }));
  std::shared_ptr<arrow::Schema> last;  // most files have the schema of the one before
  for (int64_t f = 0; f < count; ++f) {
    Fragment& fragment = fragments_[static_cast<size_t>(f)];
    FileFacts& fact = facts[static_cast<size_t>(f)];
    if (schema_ == nullptr) {
      schema_ = fact.schema;
    } else if (!fact.schema->Equals(*last, /*check_metadata=*/true)) {
      ARROW_ASSIGN_OR_RAISE(schema_,
                            UnifySchemas(*schema_, *fact.schema, DisplayPath(f)));
    }
    last = fact.schema;
    fragment.footer_checksum = fact.checksum;
    fragment.first_row_group = static_cast<int64_t>(row_groups_.size());
    fragment.row_group_count = static_cast<int>(fact.row_groups.size());
    for (const RowGroup& group : fact.row_groups) {
      fragment.rows += group.rows;
      stored_bytes_ += group.stored_bytes;
      row_groups_.push_back(group);
    }
    rows_ += fragment.rows;
    bytes_ += fragment.file.size;
  }
  // A partition's value stands for a file column of the same name, as in Spark.
  arrow::FieldVector fields;
  for (const auto& field : schema_->fields()) {
    const bool partition =
        std::any_of(partition_fields_.begin(), partition_fields_.end(),
                    [&](const auto& key) { return key->name() == field->name(); });
    if (!partition) fields.push_back(field);
  }
  fields.insert(fields.end(), partition_fields_.begin(), partition_fields_.end());
  schema_ = named_schema_ = arrow::schema(std::move(fields));
  const auto row_id = RowIdField();
  if (schema_->GetAllFieldIndices(row_id->name()).empty()) {
    fields = schema_->fields();
    fields.push_back(row_id);
    named_schema_ = arrow::schema(std::move(fields));
  }
  return Status::OK();
}

std::shared_ptr<arrow::Field> RowIdField() {
  return arrow::field(std::string(kRowIdName), arrow::int64(), /*nullable=*/false);
}

int64_t Table::FirstRowInFile(int64_t fragment, int row_group) const {
  const auto first =
      static_cast<size_t>(fragments_[static_cast<size_t>(fragment)].first_row_group);
  int64_t rows = 0;
  for (size_t g = first; g < first + static_cast<size_t>(row_group); ++g) {
    rows += row_groups_[g].rows;
  }
  return rows;
}

void Table::Fingerprint() {
  std::string text;
  for (const Fragment& fragment : fragments_) {
    text += fragment.relative_path + "\n" + std::to_string(fragment.file.size) + "\n" +
            std::to_string(fragment.footer_checksum) + "\n";
  }
  fingerprint_ = base::HashHex(text);
}

Status Table::Replaced(int64_t fragment) const {
  return Error(ErrorKind::kConflict,
               DisplayPath(fragment) +
                   ": the file was replaced after the table was opened: open the table "
                   "anew");
}

Status Table::FooterError(int64_t fragment, const Status& status) const {
  // What storage says has no path yet; what is wrong with the bytes has.
  const ErrorKind kind = KindOf(status);
  if (kind == ErrorKind::kCorrupt || kind == ErrorKind::kUnsupported) return status;
  return storage_->Translate(status, fragments_[static_cast<size_t>(fragment)].file.path);
}

Result<Footer> Table::ReadKnownFooter(int64_t fragment) const {
  const Fragment& known = fragments_[static_cast<size_t>(fragment)];
  ARROW_ASSIGN_OR_RAISE(auto file, storage_->Open(known.file));
  auto footer = ReadFooter(*file, known.file.size, DisplayPath(fragment));
  if (!footer.ok() && KindOf(footer.status()) != ErrorKind::kCorrupt) {
    return FooterError(fragment, footer.status());
  }
  // It was sound when the table was opened.
  if (!footer.ok() || footer->checksum != known.footer_checksum) {
    return Replaced(fragment);
  }
  return footer;
}

Result<std::shared_ptr<parquet::FileMetaData>> Table::Footer(int64_t fragment) const {
  if (auto held = footers_.Get(fragment)) return held;
  ARROW_ASSIGN_OR_RAISE(auto footer, ReadKnownFooter(fragment));
  footers_.Put(fragment, footer.metadata, footer.serialized_bytes);
  return footer.metadata;
}

Status Table::CheckUnchanged(int64_t fragment) const {
  const storage::FileEntry& file = fragments_[static_cast<size_t>(fragment)].file;
  ARROW_ASSIGN_OR_RAISE(const auto change, storage_->ChangeOf(file));
  switch (change) {
    case storage::FileChange::kNone:
      return Status::OK();
    case storage::FileChange::kReplaced:
      return Replaced(fragment);
    case storage::FileChange::kTime:
      return ReadKnownFooter(fragment).status();
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::io::RandomAccessFile>> Table::OpenFile(
    int64_t fragment) const {
  ARROW_RETURN_NOT_OK(CheckUnchanged(fragment));
  return storage_->Open(fragments_[static_cast<size_t>(fragment)].file);
}

std::string Table::DisplayPath(int64_t fragment) const {
  return storage_->Display(fragments_[static_cast<size_t>(fragment)].file.path);
}

std::string Table::DisplayUri() const {
  if (uris_.size() == 1) return display_uri_;
  return display_uri_ + " and " + std::to_string(uris_.size() - 1) + " more";
}

}  // namespace headrace::table
