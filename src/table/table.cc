#include "table/table.h"

#include <headrace/row_id.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "base/hash.h"
#include "table/delta/deletion_vector.h"
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

}  // namespace

/// What was read of files, by fragment; shared by a table and what is loaded of it.
struct Table::Facts {
  struct File {
    uint64_t checksum = 0;
    std::shared_ptr<arrow::Schema> schema;  // of plain Parquet
    std::vector<RowGroup> row_groups;
    std::shared_ptr<const DeletedRows> deleted;
  };

  std::mutex mutex;
  std::vector<std::shared_ptr<const File>> files;
};

Table::Table(int64_t footer_cache_bytes)
    : facts_(std::make_shared<Facts>()),
      footers_(std::make_shared<FooterCache>(footer_cache_bytes)) {}

Result<std::shared_ptr<const Table>> Table::Open(const std::vector<std::string>& uris,
                                                 const TableOptions& options,
                                                 base::Executor& executor) {
  std::shared_ptr<Table> table(new Table(options.footer_cache_bytes));
  table->uris_ = uris;
  table->options_ = options;
  ARROW_ASSIGN_OR_RAISE(const auto paths, table->ResolveUris());
  if (!options.actions.empty()) {
    ARROW_RETURN_NOT_OK(table->ReadActions(paths[0], executor));
    return table;
  }
  if (paths.size() == 1) {
    ARROW_ASSIGN_OR_RAISE(const auto log, delta::Log::Open(table->storage_, paths[0]));
    if (log) {
      ARROW_RETURN_NOT_OK(table->ReadLog(*log, executor));
      return table;
    }
  }
  if (options.version || options.as_of_ms) {
    return Error(ErrorKind::kInvalidArgument,
                 table->DisplayUri() + " has no versions, as it is no Delta table, and " +
                     (options.version ? "version " + std::to_string(*options.version)
                                      : std::string("as_of")) +
                     " was asked for: open it without");
  }
  ARROW_RETURN_NOT_OK(table->ListFiles(paths, executor));
  ARROW_RETURN_NOT_OK(table->ReadPartitions());
  ARROW_RETURN_NOT_OK(table->ReadFacts({}, executor));
  ARROW_RETURN_NOT_OK(table->UnifyFiles());
  table->TakeFacts({});
  table->loaded_ = true;
  table->Fingerprint();
  return table;
}

Result<std::vector<std::string>> Table::ResolveUris() {
  std::vector<std::string> paths;
  for (std::string& uri : uris_) {
    std::string& path = paths.emplace_back();
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
  }
  return paths;
}

Status Table::ListFiles(const std::vector<std::string>& paths, base::Executor& executor) {
  // Of a list, and below a root, partition columns are those of longer paths.
  if (options_.part != nullptr && paths.size() == 1 && options_.root.empty()) {
    ARROW_ASSIGN_OR_RAISE(const bool is_folder, storage_->IsDirectory(paths[0]));
    if (is_folder) {
      ARROW_ASSIGN_OR_RAISE(auto part,
                            table::ListPart(*storage_, paths[0], options_.part,
                                            options_.partition_types, executor));
      ruled_out_ = std::move(part.ruled_out);
      for (auto& file : part.files) AddListed(std::move(file));
      return Status::OK();
    }
  }
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    ARROW_ASSIGN_OR_RAISE(auto files, storage_->List(path));
    for (auto& file : files) {
      if (!seen.insert(file.path).second) {
        return Error(ErrorKind::kInvalidArgument,
                     storage_->Display(file.path) + " is named twice, expected once");
      }
      AddListed(std::move(file));
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

void Table::AddListed(storage::FileEntry file) {
  Fragment fragment;
  fragment.relative_path = file.relative_path;
  fragment.file = std::move(file);
  fragments_.push_back(std::move(fragment));
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
                        ReadPartitionPaths(paths, options_.partition_types, ruled_out_));
  partition_fields_ = std::move(partitions.fields);
  ruled_out_values_ = std::move(partitions.ruled_out);
  widened_ = std::move(partitions.widened);
  for (size_t f = 0; f < fragments_.size(); ++f) {
    fragments_[f].partition_values = std::move(partitions.values[f]);
  }
  return Status::OK();
}

Status Table::ReadFacts(std::span<const uint8_t> wanted, base::Executor& executor) {
  std::vector<int64_t> missing;
  {
    std::lock_guard lock(facts_->mutex);
    facts_->files.resize(fragments_.size());
    for (size_t f = 0; f < fragments_.size(); ++f) {
      const bool read = wanted.empty() || wanted[f] != 0;
      if (read && facts_->files[f] == nullptr) missing.push_back(static_cast<int64_t>(f));
    }
  }
  return executor.ForEach(static_cast<int64_t>(missing.size()), [&](int64_t i) -> Status {
    const int64_t f = missing[static_cast<size_t>(i)];
    const Fragment& fragment = fragments_[static_cast<size_t>(f)];
    auto file = std::make_shared<Facts::File>();
    ARROW_ASSIGN_OR_RAISE(auto input, storage_->Open(fragment.file));
    auto footer = ReadFooter(*input, fragment.file.size, DisplayPath(f));
    if (!footer.ok()) return FooterError(f, footer.status());
    file->checksum = footer->checksum;
    if (!version_) {
      ARROW_ASSIGN_OR_RAISE(file->schema, FileSchema(*footer->metadata, DisplayPath(f)));
    }
    for (int g = 0; g < footer->metadata->num_row_groups(); ++g) {
      file->row_groups.push_back(DescribeRowGroup(*footer->metadata->RowGroup(g)));
    }
    file->deleted = fragment.deleted;
    if (fragment.deletion_vector != nullptr) {
      ARROW_ASSIGN_OR_RAISE(
          file->deleted,
          delta::ReadDeletionVector(*storage_, root_, *fragment.deletion_vector,
                                    DisplayPath(f)));
      const int64_t rows = footer->metadata->num_rows();
      if (file->deleted->CountIn(0, rows) != file->deleted->count()) {
        return Error(
            ErrorKind::kCorrupt,
            DisplayPath(f) + ": the deletion vector names rows beyond the file's " +
                std::to_string(rows) + ": restore it, or open a version before it");
      }
    }
    footers_->Put(f, footer->metadata, footer->serialized_bytes);
    std::lock_guard lock(facts_->mutex);
    facts_->files[static_cast<size_t>(f)] = std::move(file);
    return Status::OK();
  });
}

void Table::TakeFacts(std::span<const uint8_t> wanted) {
  std::lock_guard lock(facts_->mutex);
  facts_->files.resize(fragments_.size());
  row_groups_.clear();
  rows_ = bytes_ = stored_bytes_ = stored_rows_ = 0;
  for (size_t f = 0; f < fragments_.size(); ++f) {
    Fragment& fragment = fragments_[f];
    fragment.first_row_group = static_cast<int64_t>(row_groups_.size());
    fragment.has_footer = wanted.empty() || wanted[f] != 0;
    fragment.row_group_count = 0;
    if (fragment.has_footer) {
      const Facts::File& file = *facts_->files[f];
      fragment.footer_checksum = file.checksum;
      fragment.row_group_count = static_cast<int>(file.row_groups.size());
      fragment.deleted = file.deleted;
      fragment.rows = 0;
      for (const RowGroup& group : file.row_groups) {
        fragment.rows += group.rows;
        stored_bytes_ += group.stored_bytes;
        row_groups_.push_back(group);
      }
      stored_rows_ += fragment.rows;
    }
    rows_ += fragment.rows - fragment.deleted_count;
    bytes_ += fragment.file.size;
  }
}

Result<std::shared_ptr<const Table>> Table::Load(std::shared_ptr<const Table> table,
                                                 std::span<const uint8_t> wanted,
                                                 base::Executor& executor) {
  if (table->loaded_) return table;
  std::shared_ptr<Table> loaded(new Table(*table));
  ARROW_RETURN_NOT_OK(loaded->ReadFacts(wanted, executor));
  loaded->TakeFacts(wanted);
  loaded->loaded_ = wanted.empty();
  return loaded;
}

Status Table::UnifyFiles() {
  std::shared_ptr<arrow::Schema> last;  // most files have the schema of the one before
  for (size_t f = 0; f < fragments_.size(); ++f) {
    const auto& schema = facts_->files[f]->schema;
    if (schema_ == nullptr) {
      schema_ = schema;
    } else if (!schema->Equals(*last, /*check_metadata=*/true)) {
      ARROW_ASSIGN_OR_RAISE(
          schema_, UnifySchemas(*schema_, *schema, DisplayPath(static_cast<int64_t>(f))));
    }
    last = schema;
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
  schema_ = mapped_schema_ = arrow::schema(std::move(fields));
  NameSchema();
  return Status::OK();
}

void Table::NameSchema() {
  named_schema_ = schema_;
  const auto row_id = RowIdField();
  if (!schema_->GetAllFieldIndices(row_id->name()).empty()) return;
  arrow::FieldVector fields = schema_->fields();
  fields.push_back(row_id);
  named_schema_ = arrow::schema(std::move(fields));
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

PartitionColumns Table::partition_columns() const {
  return {partition_fields_, [this](int i) {
            const auto column = static_cast<size_t>(i);
            arrow::ScalarVector values;
            for (const Fragment& fragment : fragments_) {
              values.push_back(fragment.partition_values[column]);
            }
            if (column < ruled_out_values_.size()) {
              const auto& outside = ruled_out_values_[column];
              values.insert(values.end(), outside.begin(), outside.end());
            }
            return values;
          }};
}

void Table::Fingerprint() {
  std::string text;
  for (const Fragment& fragment : fragments_) {
    text += fragment.relative_path + "\n" + std::to_string(fragment.file.size) + "\n" +
            std::to_string(fragment.footer_checksum) + "\n";
  }
  for (const auto& field : widened_) text += field->ToString() + "\n";
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
  if (!footer.ok() || (known.has_footer && footer->checksum != known.footer_checksum)) {
    return Replaced(fragment);
  }
  return footer;
}

Result<std::shared_ptr<parquet::FileMetaData>> Table::Footer(int64_t fragment) const {
  if (auto held = footers_->Get(fragment)) return held;
  ARROW_ASSIGN_OR_RAISE(auto footer, ReadKnownFooter(fragment));
  footers_->Put(fragment, footer.metadata, footer.serialized_bytes);
  return footer.metadata;
}

Status Table::CheckUnchanged(int64_t fragment) const {
  if (version_) return Status::OK();  // what a Delta log names is not written again
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
