// Rows by their ids: each row group that has some is entered at the first of them.

#include <arrow/array/array_primitive.h>
#include <arrow/array/concatenate.h>
#include <arrow/array/util.h>
#include <arrow/compute/api_vector.h>
#include <arrow/table.h>
#include <headrace/dataset.h>
#include <headrace/row_id.h>

#include <algorithm>
#include <utility>

#include "pipeline/dataset_impl.h"
#include "pipeline/thread_executor.h"
#include "reader/row_group_reader.h"
#include "schema/cast.h"
#include "schema/text.h"

namespace headrace {
namespace {

// Columns that are decoded from the row group's start on go on by this many rows.
constexpr int64_t kTileRows = 4 << 10;

/// Wanted rows of one row group, by ascending ids.
struct GroupRows {
  int64_t fragment = 0;
  int row_group = 0;
  int64_t first_row_in_file = 0;  // of the row group
  std::span<const int64_t> ids;
};

bool IsDeleted(const table::Fragment& fragment, int64_t id) {
  return fragment.deleted != nullptr && fragment.deleted->CountIn(RowInFileOf(id), 1) > 0;
}

Status NotThere(const table::Table& table, int64_t id) {
  const auto files = static_cast<int64_t>(table.fragments().size());
  std::string why = "ids are 0 or more";
  if (id >= 0 && FileOf(id) >= files) {
    why = "it would be in file " + std::to_string(FileOf(id)) +
          ", and the files are 0 to " + std::to_string(files - 1);
  } else if (id >= 0 &&
             IsDeleted(table.fragments()[static_cast<size_t>(FileOf(id))], id)) {
    why = "it was deleted";
  } else if (id >= 0) {
    why = "it would be row " + std::to_string(RowInFileOf(id)) + " of " +
          table.DisplayPath(FileOf(id)) + ", which has " +
          std::to_string(table.fragments()[static_cast<size_t>(FileOf(id))].rows) +
          " rows";
  }
  return Error(ErrorKind::kNotFound, "row id " + std::to_string(id) + " is not in " +
                                         table.DisplayUri() + ": " + why +
                                         "; take ids from the column row_id of this "
                                         "version of the table");
}

/// Which files have some of the ids.
std::vector<uint8_t> FilesOf(const table::Table& table, std::span<const int64_t> ids) {
  std::vector<uint8_t> wanted(table.fragments().size());
  for (const int64_t id : ids) {
    const int64_t file = FileOf(id);
    if (file >= 0 && file < std::ssize(wanted)) wanted[static_cast<size_t>(file)] = 1;
  }
  return wanted;
}

/// The row groups of ascending ids.
Result<std::vector<GroupRows>> GroupsOf(const table::Table& table,
                                        std::span<const int64_t> ids) {
  std::vector<GroupRows> groups;
  for (size_t i = 0; i < ids.size();) {
    const int64_t file = FileOf(ids[i]);
    const auto files = static_cast<int64_t>(table.fragments().size());
    if (file < 0 || file >= files) return NotThere(table, ids[i]);
    const table::Fragment& fragment = table.fragments()[static_cast<size_t>(file)];
    int64_t first = 0;
    for (int g = 0; g < fragment.row_group_count; ++g) {
      const auto number = static_cast<size_t>(fragment.first_row_group + g);
      const int64_t end = first + table.row_groups()[number].rows;
      const size_t begin = i;
      for (; i < ids.size() && ids[i] < RowId(file, end); ++i) {
        if (IsDeleted(fragment, ids[i])) return NotThere(table, ids[i]);
      }
      if (begin < i) groups.push_back({file, g, first, ids.subspan(begin, i - begin)});
      first = end;
    }
    if (i < ids.size() && FileOf(ids[i]) == file) return NotThere(table, ids[i]);
  }
  return groups;
}

/// A group's rows of all columns.
Result<arrow::ArrayVector> ReadGroup(const reader::ReadContext& context,
                                     const std::vector<reader::ReadColumn>& columns,
                                     const GroupRows& group) {
  auto row_of = [&](size_t i) {
    return RowInFileOf(group.ids[i]) - group.first_row_in_file;
  };
  ARROW_ASSIGN_OR_RAISE(
      auto reader, reader::RowGroupReader::Open(context, group.fragment, group.row_group,
                                                {row_of(0)}, columns));
  arrow::ArrayVector read;
  for (size_t c = 0; c < columns.size(); ++c) {
    arrow::ArrayVector runs;
    int64_t at = row_of(0);
    for (size_t i = 0; i < group.ids.size();) {
      size_t end = i + 1;
      while (end < group.ids.size() && group.ids[end] == group.ids[end - 1] + 1) ++end;
      if (row_of(i) > at) reader->Skip(c, row_of(i) - at);
      const auto rows = static_cast<int64_t>(end - i);
      ARROW_ASSIGN_OR_RAISE(auto values, reader->Read(c, rows));
      ARROW_ASSIGN_OR_RAISE(values, schema::WithoutView(values, context.pool));
      runs.push_back(std::move(values));
      at = row_of(i) + rows;
      i = end;
    }
    ARROW_ASSIGN_OR_RAISE(read.emplace_back(), arrow::Concatenate(runs, context.pool));
  }
  return read;
}

/// One call of Take.
class Taking {
 public:
  explicit Taking(const DatasetImpl& dataset) : dataset_(dataset) {
    context_.pool = arrow::default_memory_pool();
    context_.counters = &counters_;
    context_.tile_rows = kTileRows;
  }

  Result<std::shared_ptr<arrow::Table>> Run(std::span<const int64_t> ids) {
    pipeline::ThreadExecutor executor(dataset_.options.num_threads);
    ids_ = ids;
    ascending_.assign(ids.begin(), ids.end());
    std::ranges::sort(ascending_);
    const auto repeated = std::ranges::unique(ascending_);
    ascending_.erase(repeated.begin(), repeated.end());
    ARROW_ASSIGN_OR_RAISE(
        const auto loaded,
        table::Table::Load(dataset_.table, FilesOf(*dataset_.table, ascending_),
                           executor));
    const table::Table& table = *loaded;
    context_.table = &table;
    ARROW_ASSIGN_OR_RAISE(const auto groups, GroupsOf(table, ascending_));
    ARROW_ASSIGN_OR_RAISE(const auto columns,
                          reader::ResolveColumns(table, dataset_.columns));
    std::vector<arrow::ArrayVector> read(groups.size());
    ARROW_RETURN_NOT_OK(
        executor.ForEach(static_cast<int64_t>(groups.size()), [&](int64_t g) -> Status {
          const auto at = static_cast<size_t>(g);
          ARROW_ASSIGN_OR_RAISE(read[at], ReadGroup(context_, columns, groups[at]));
          return Status::OK();
        }));
    ARROW_ASSIGN_OR_RAISE(const auto places, Places());
    arrow::ArrayVector taken;
    for (size_t c = 0; c < columns.size(); ++c) {
      arrow::ArrayVector parts;
      for (arrow::ArrayVector& group : read) parts.push_back(std::move(group[c]));
      ARROW_ASSIGN_OR_RAISE(taken.emplace_back(), Column(c, parts, places));
    }
    return arrow::Table::Make(dataset_.schema, taken, static_cast<int64_t>(ids.size()));
  }

 private:
  /// Which of the ascending ids each one asked for is; null if they are the same.
  Result<std::shared_ptr<arrow::Array>> Places() const {
    if (std::ranges::equal(ids_, ascending_)) return nullptr;
    const auto rows = static_cast<int64_t>(ids_.size());
    ARROW_ASSIGN_OR_RAISE(
        std::shared_ptr<arrow::Buffer> places,
        arrow::AllocateBuffer(rows * static_cast<int64_t>(sizeof(int64_t))));
    auto* out = places->mutable_data_as<int64_t>();
    for (const int64_t id : ids_) {
      *out++ = std::ranges::lower_bound(ascending_, id) - ascending_.begin();
    }
    return std::make_shared<arrow::Int64Array>(rows, std::move(places));
  }

  /// A column of the result, out of those of the groups.
  Result<std::shared_ptr<arrow::Array>> Column(
      size_t c, const arrow::ArrayVector& parts,
      const std::shared_ptr<arrow::Array>& places) const {
    const auto& field = dataset_.schema->field(static_cast<int>(c));
    if (parts.empty()) return arrow::MakeEmptyArray(field->type());
    ARROW_ASSIGN_OR_RAISE(auto values, arrow::Concatenate(parts));
    if (places != nullptr) {
      ARROW_ASSIGN_OR_RAISE(values, arrow::compute::Take(*values, *places));
    }
    auto cast = schema::CastArray(values, field->type(), context_.pool);
    if (cast.ok()) return cast;
    const int64_t id =
        ids_[static_cast<size_t>(schema::FirstMisfit(*values, field->type()))];
    return WithContext(cast.status(), "column \"" + field->name() + "\" (" +
                                          dataset_.table->DisplayPath(FileOf(id)) +
                                          ", row " + std::to_string(RowInFileOf(id)) +
                                          ")");
  }

  const DatasetImpl& dataset_;
  reader::ReadCounters counters_;
  reader::ReadContext context_;
  std::span<const int64_t> ids_;
  std::vector<int64_t> ascending_;  // each once
};

}  // namespace

Result<std::shared_ptr<arrow::Table>> Dataset::Take(
    std::span<const int64_t> row_ids) const {
  return Taking(*impl_).Run(row_ids);
}

}  // namespace headrace
