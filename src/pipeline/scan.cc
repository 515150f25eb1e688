#include "pipeline/scan.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "pipeline/dataset_impl.h"
#include "reader/row_group_bounds.h"

namespace headrace::pipeline {

using expression::Verdict;

Result<std::shared_ptr<const Scan>> Scan::Make(std::shared_ptr<const DatasetImpl> dataset,
                                               const reader::ReadContext& context,
                                               base::Executor& executor, bool row_ids) {
  std::shared_ptr<Scan> scan(new Scan());
  const expression::Filter* filter = dataset->filter_or_null();
  const table::Table& opened = *dataset->table;
  std::vector<Verdict> files;
  std::vector<uint8_t> wanted = dataset->files;
  std::vector<reader::ReadColumn> columns;
  if (filter != nullptr) {
    ARROW_ASSIGN_OR_RAISE(columns, reader::ResolveColumns(opened, filter->columns()));
    files.resize(opened.fragments().size());
    if (wanted.empty()) wanted.assign(opened.fragments().size(), 1);
    ARROW_RETURN_NOT_OK(executor.ForEach(std::ssize(files), [&](int64_t f) -> Status {
      const auto at = static_cast<size_t>(f);
      ARROW_ASSIGN_OR_RAISE(files[at],
                            reader::DecideFragment(opened, *filter, columns, f));
      if (files[at] == Verdict::kNone) wanted[at] = 0;
      return Status::OK();
    }));
  }
  ARROW_ASSIGN_OR_RAISE(scan->table_,
                        table::Table::Load(dataset->table, wanted, executor));
  const table::Table& table = *scan->table_;
  scan->blocks_ = plan::MakeBlocks(table);
  scan->verdicts_.assign(table.row_groups().size(), Verdict::kAll);
  ARROW_ASSIGN_OR_RAISE(scan->spec_,
                        reader::ReadSpec::Make(table, dataset->columns, filter, row_ids));
  scan->dataset_ = std::move(dataset);
  if (filter != nullptr) {
    ARROW_RETURN_NOT_OK(scan->Decide(context, files, columns, executor));
  }
  return scan;
}

Status Scan::Decide(reader::ReadContext context, const std::vector<Verdict>& files,
                    const std::vector<reader::ReadColumn>& columns,
                    base::Executor& executor) {
  context.table = table_.get();
  return executor.ForEach(std::ssize(files), [&](int64_t f) -> Status {
    const table::Fragment& fragment = table_->fragments()[static_cast<size_t>(f)];
    for (int g = 0; g < fragment.row_group_count; ++g) {
      Verdict verdict = files[static_cast<size_t>(f)];
      if (verdict == Verdict::kSome) {
        const base::Timed timed(&context.counters->timeline, base::Activity::kFill);
        ARROW_ASSIGN_OR_RAISE(
            verdict, reader::DecideRowGroup(context, *spec_.filter, columns, f, g));
      }
      verdicts_[static_cast<size_t>(fragment.first_row_group + g)] = verdict;
    }
    return Status::OK();
  });
}

int64_t Scan::Present(const plan::Block& block) const {
  const auto& deleted = table_->fragments()[static_cast<size_t>(block.fragment)].deleted;
  if (deleted == nullptr) return block.rows;
  return block.rows - deleted->CountIn(block.first_row_in_file, block.rows);
}

Verdict Scan::verdict(const plan::Block& block) const {
  const auto& fragment = table_->fragments()[static_cast<size_t>(block.fragment)];
  return verdicts_[static_cast<size_t>(fragment.first_row_group + block.row_group)];
}

int64_t Scan::row_groups_pruned() const {
  return std::count(verdicts_.begin(), verdicts_.end(), Verdict::kNone);
}

int64_t Scan::bytes_pruned() const {
  int64_t bytes = 0;
  for (size_t g = 0; g < verdicts_.size(); ++g) {
    if (verdicts_[g] == Verdict::kNone) {
      bytes += table_->row_groups()[g].stored_bytes;
    }
  }
  return bytes;
}

reader::BlockRef Scan::Ref(int64_t block, const SurvivorCounts& survivors) const {
  const plan::Block& found = blocks_[static_cast<size_t>(block)];
  reader::BlockRef ref;
  ref.fragment = found.fragment;
  ref.row_group = found.row_group;
  ref.first_row = found.first_row;
  ref.rows = found.rows;
  ref.first_row_in_file = found.first_row_in_file;
  const int64_t present = Present(found);
  ref.has_deleted = present < found.rows;
  ref.filtered =
      verdict(found) == Verdict::kSome &&
      (survivors == nullptr || (*survivors)[static_cast<size_t>(block)] < present);
  return ref;
}

std::string Scan::LocationOf(int64_t block, int64_t survivor,
                             const SurvivorCounts& survivors) const {
  const plan::Block& found = blocks_[static_cast<size_t>(block)];
  const std::string path = table_->DisplayPath(found.fragment);
  if (const auto ref = Ref(block, survivors); ref.thinned()) {
    return " (" + path + ", row group " + std::to_string(found.row_group) + ", row " +
           std::to_string(survivor) +
           (ref.filtered ? " of those that pass the filter)" : " of those not deleted)");
  }
  return " (" + path + ", row " + std::to_string(found.first_row_in_file + survivor) +
         ")";
}

Result<SurvivorCounts> Scan::CountSurvivors(reader::ReadContext context,
                                            base::Executor& executor,
                                            const Progress& progress) const {
  context.table = table_.get();
  auto by_statistics = [&](int64_t block) -> int64_t {
    const plan::Block& found = blocks_[static_cast<size_t>(block)];
    return verdict(found) == Verdict::kNone ? 0 : Present(found);
  };
  const auto blocks = static_cast<int64_t>(blocks_.size());
  std::vector<int64_t> open;  // blocks that statistics do not decide
  std::vector<int64_t> counts(blocks_.size());
  for (int64_t b = 0; b < blocks; ++b) {
    counts[static_cast<size_t>(b)] = by_statistics(b);
    if (verdict(blocks_[static_cast<size_t>(b)]) == Verdict::kSome) open.push_back(b);
  }
  if (open.empty())
    return std::make_shared<const std::vector<int64_t>>(std::move(counts));
  ARROW_ASSIGN_OR_RAISE(reader::ReadSpec spec,
                        reader::ReadSpec::Make(*table_, {}, spec_.filter));
  int64_t total = 0;
  for (const int64_t block : open) total += blocks_[static_cast<size_t>(block)].rows;
  std::mutex telling;
  int64_t done = 0;
  return dataset_->survivors->GetOrCount(
      table_->fingerprint(), spec_.filter->text(), blocks,
      [&]() -> Result<std::vector<int64_t>> {
        ARROW_RETURN_NOT_OK(
            executor.ForEach(static_cast<int64_t>(open.size()), [&](int64_t i) -> Status {
              const int64_t block = open[static_cast<size_t>(i)];
              const base::Timed timed(&context.counters->timeline, base::Activity::kFill,
                                      blocks_[static_cast<size_t>(block)].rows);
              reader::SurvivorReader reader(&context, &spec);
              ARROW_ASSIGN_OR_RAISE(counts[static_cast<size_t>(block)],
                                    reader.Count(Ref(block, nullptr)));
              if (progress == nullptr) return Status::OK();
              const std::lock_guard lock(telling);
              done += blocks_[static_cast<size_t>(block)].rows;
              progress(done, total);
              return Status::OK();
            }));
        return std::move(counts);
      });
}

Result<ScanSummary> Scan::Summarize(reader::ReadContext context) const {
  context.table = table_.get();
  ScanSummary summary;
  const table::Table& table = *table_;
  for (const auto& column : spec_.columns) {
    if (column.stored()) summary.columns_read.push_back(column.field->name());
  }
  if (spec_.filter != nullptr) summary.filter = spec_.filter->text();
  for (size_t f = 0; f < table.fragments().size(); ++f) {
    const table::Fragment& fragment = table.fragments()[f];
    bool file_left = false;
    if (!fragment.has_footer) {
      summary.before.rows += fragment.rows;
      summary.before.bytes += fragment.file.size;
    }
    for (int g = 0; g < fragment.row_group_count; ++g) {
      const auto group = static_cast<size_t>(fragment.first_row_group + g);
      const int64_t rows = table.row_groups()[group].rows;
      ARROW_ASSIGN_OR_RAISE(
          const int64_t bytes,
          reader::ColumnBytes(context, spec_.columns, static_cast<int64_t>(f), g));
      summary.before.row_groups += 1;
      summary.before.rows += rows;
      summary.before.bytes += bytes;
      if (verdicts_[group] == Verdict::kNone) continue;
      file_left = true;
      summary.after.row_groups += 1;
      summary.after.rows += rows;
      summary.after.bytes += bytes;
      if (verdicts_[group] == Verdict::kAll) summary.rows_proven += rows;
    }
    summary.before.files += 1;
    summary.after.files += file_left ? 1 : 0;
  }
  return summary;
}

}  // namespace headrace::pipeline
