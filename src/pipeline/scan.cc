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
  const table::Table& table = *dataset->table;
  const expression::Filter* filter = dataset->filter_or_null();
  scan->dataset_ = dataset;
  scan->blocks_ = plan::MakeBlocks(table);
  scan->verdicts_.assign(table.row_groups().size(), Verdict::kAll);
  ARROW_ASSIGN_OR_RAISE(scan->spec_,
                        reader::ReadSpec::Make(table, dataset->columns, filter, row_ids));
  if (filter == nullptr) return scan;
  ARROW_ASSIGN_OR_RAISE(auto columns, reader::ResolveColumns(table, filter->columns()));
  auto& verdicts = scan->verdicts_;
  ARROW_RETURN_NOT_OK(executor.ForEach(
      static_cast<int64_t>(table.fragments().size()), [&](int64_t f) -> Status {
        const table::Fragment& fragment = table.fragments()[static_cast<size_t>(f)];
        ARROW_ASSIGN_OR_RAISE(Verdict whole,
                              reader::DecideFragment(table, *filter, columns, f));
        for (int g = 0; g < fragment.row_group_count; ++g) {
          Verdict verdict = whole;
          if (whole == Verdict::kSome) {
            const base::Timed timed(&context.counters->timeline, base::Activity::kFill);
            ARROW_ASSIGN_OR_RAISE(
                verdict, reader::DecideRowGroup(context, *filter, columns, f, g));
          }
          verdicts[static_cast<size_t>(fragment.first_row_group + g)] = verdict;
        }
        return Status::OK();
      }));
  return scan;
}

Verdict Scan::verdict(const plan::Block& block) const {
  const auto& fragment =
      dataset_->table->fragments()[static_cast<size_t>(block.fragment)];
  return verdicts_[static_cast<size_t>(fragment.first_row_group + block.row_group)];
}

int64_t Scan::row_groups_pruned() const {
  return std::count(verdicts_.begin(), verdicts_.end(), Verdict::kNone);
}

int64_t Scan::bytes_pruned() const {
  int64_t bytes = 0;
  for (size_t g = 0; g < verdicts_.size(); ++g) {
    if (verdicts_[g] == Verdict::kNone) {
      bytes += dataset_->table->row_groups()[g].stored_bytes;
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
  ref.filtered =
      verdict(found) == Verdict::kSome &&
      (survivors == nullptr || (*survivors)[static_cast<size_t>(block)] < found.rows);
  return ref;
}

std::string Scan::LocationOf(int64_t block, int64_t survivor,
                             const SurvivorCounts& survivors) const {
  const plan::Block& found = blocks_[static_cast<size_t>(block)];
  const std::string path = dataset_->table->DisplayPath(found.fragment);
  if (Ref(block, survivors).filtered) {
    return " (" + path + ", row group " + std::to_string(found.row_group) + ", row " +
           std::to_string(survivor) + " of those that pass the filter)";
  }
  return " (" + path + ", row " + std::to_string(found.first_row_in_file + survivor) +
         ")";
}

Result<SurvivorCounts> Scan::CountSurvivors(const reader::ReadContext& context,
                                            base::Executor& executor,
                                            const Progress& progress) const {
  auto by_statistics = [&](int64_t block) -> int64_t {
    const plan::Block& found = blocks_[static_cast<size_t>(block)];
    return verdict(found) == Verdict::kNone ? 0 : found.rows;
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
                        reader::ReadSpec::Make(*dataset_->table, {}, spec_.filter));
  int64_t total = 0;
  for (const int64_t block : open) total += blocks_[static_cast<size_t>(block)].rows;
  std::mutex telling;
  int64_t done = 0;
  return dataset_->survivors->GetOrCount(
      dataset_->table->fingerprint(), spec_.filter->text(), blocks,
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

Result<ScanSummary> Scan::Summarize(const reader::ReadContext& context) const {
  ScanSummary summary;
  const table::Table& table = *dataset_->table;
  for (const auto& column : spec_.columns) {
    if (column.stored()) summary.columns_read.push_back(column.field->name());
  }
  if (spec_.filter != nullptr) summary.filter = spec_.filter->text();
  for (size_t f = 0; f < table.fragments().size(); ++f) {
    const table::Fragment& fragment = table.fragments()[f];
    bool file_left = false;
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
