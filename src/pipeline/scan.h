/// \file
/// Scan: which blocks of a table a choice reads, and how many survivors each has.
#pragma once

#include <headrace/dataset.h>
#include <headrace/result.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/executor.h"
#include "expression/filter.h"
#include "pipeline/survivor_cache.h"
#include "plan/blocks.h"
#include "reader/read_context.h"
#include "reader/survivor_reader.h"

namespace headrace::pipeline {

/// A planned scan. Immutable; about 50 bytes a row group.
class Scan {
 public:
  /// Decides every file by its partition and what the table's log says of it, then every
  /// row group of those left by statistics and bloom filters; reads no data page.
  /// `row_ids`: each row's id is read beside the selected columns.
  static Result<std::shared_ptr<const Scan>> Make(
      std::shared_ptr<const DatasetImpl> dataset, const reader::ReadContext& context,
      base::Executor& executor, bool row_ids = false);

  const DatasetImpl& dataset() const { return *dataset_; }
  /// The dataset's table with the row groups of the files that may hold survivors: what
  /// readers of the blocks take as theirs.
  const table::Table& table() const { return *table_; }
  const std::vector<plan::Block>& blocks() const { return blocks_; }
  expression::Verdict verdict(const plan::Block& block) const;
  /// Selected columns, row ids if they were asked for, then the filter's.
  const reader::ReadSpec& spec() const { return spec_; }

  /// Survivors of each block: from statistics, the cache, or by reading the filter's
  /// columns. `progress` is told rows.
  Result<SurvivorCounts> CountSurvivors(reader::ReadContext context,
                                        base::Executor& executor,
                                        const Progress& progress = nullptr) const;
  /// The block as readers take it. With `survivors`, a block that keeps all its rows is
  /// not filtered again.
  reader::BlockRef Ref(int64_t block, const SurvivorCounts& survivors) const;
  /// Where a block's survivor lies, for messages: " (path, row 7)".
  std::string LocationOf(int64_t block, int64_t survivor,
                         const SurvivorCounts& survivors) const;
  Result<ScanSummary> Summarize(reader::ReadContext context) const;
  int64_t row_groups_pruned() const;
  /// Uncompressed, of all their columns.
  int64_t bytes_pruned() const;

 private:
  Scan() = default;

  /// Decides row groups of the files whose own verdict is kSome; others have theirs.
  Status Decide(reader::ReadContext context,
                const std::vector<expression::Verdict>& files,
                const std::vector<reader::ReadColumn>& columns, base::Executor& executor);
  /// Rows of a block that are not deleted.
  int64_t Present(const plan::Block& block) const;

  std::shared_ptr<const DatasetImpl> dataset_;
  std::shared_ptr<const table::Table> table_;
  std::vector<plan::Block> blocks_;
  std::vector<expression::Verdict> verdicts_;  // by the table's row group numbers
  reader::ReadSpec spec_;
};

}  // namespace headrace::pipeline
