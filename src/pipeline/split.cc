// Splits: filters over a keyed hash of a column, so that all else knows them already.

#include <arrow/compute/expression.h>
#include <headrace/dataset.h>
#include <headrace/row_id.h>

#include <cmath>
#include <set>
#include <utility>

#include "expression/filter.h"
#include "expression/functions.h"
#include "pipeline/dataset_impl.h"
#include "schema/column_path.h"

namespace headrace {
namespace {

namespace cp = arrow::compute;

// How far from 1 the sum of fractions may be: what 0.7 + 0.2 + 0.1 is by rounding.
constexpr double kSumSlack = 1e-9;

Status Invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

/// Where each split ends; the last one has all that is left.
Result<std::vector<double>> EndsOf(const std::vector<Dataset::NamedFraction>& fractions) {
  std::set<std::string> names;
  std::vector<double> ends;
  double sum = 0;
  for (const auto& [name, fraction] : fractions) {
    if (!names.insert(name).second) {
      return Invalid("split names \"" + name + "\" twice, expected each once");
    }
    if (!std::isfinite(fraction) || fraction <= 0 || sum + fraction == sum) {
      return Invalid("split \"" + name + "\" is the fraction " +
                     std::to_string(fraction) + ", expected more than 0");
    }
    sum += fraction;
    ends.push_back(sum);
  }
  if (fractions.empty() || std::abs(sum - 1) > kSumSlack) {
    return Invalid("the fractions of split have the sum " + std::to_string(sum) +
                   ", expected 1: name what is left over as well");
  }
  return ends;
}

}  // namespace

Result<std::vector<Dataset::NamedDataset>> Dataset::Split(
    const std::vector<NamedFraction>& fractions, const std::optional<std::string>& by,
    uint64_t seed) const {
  ARROW_ASSIGN_OR_RAISE(const std::vector<double> ends, EndsOf(fractions));
  const table::Table& table = *impl_->table;
  if (!by && table.stores_row_id()) {
    return Invalid(
        "split got no column, and cannot go by row ids: the table stores a column \"" +
        std::string(kRowIdName) + "\" of its own; say by which column");
  }
  const std::string column = by.value_or(std::string(kRowIdName));
  ARROW_RETURN_NOT_OK(schema::ResolveColumn(*table.named_schema(), column).status());
  const cp::Expression key = cp::call(
      expression::kSplitKey, {cp::field_ref(arrow::FieldRef(column)), cp::literal(seed)});
  // Also where there is but one split, which takes everything.
  ARROW_RETURN_NOT_OK(
      expression::Filter::Bind(cp::less(key, cp::literal(1.0)), *table.named_schema())
          .status());
  std::vector<NamedDataset> splits;
  for (size_t i = 0; i < ends.size(); ++i) {
    Dataset split = *this;
    if (i > 0) {
      ARROW_ASSIGN_OR_RAISE(
          split, split.Where(cp::greater_equal(key, cp::literal(ends[i - 1]))));
    }
    if (i + 1 < ends.size()) {
      ARROW_ASSIGN_OR_RAISE(split, split.Where(cp::less(key, cp::literal(ends[i]))));
    }
    splits.emplace_back(fractions[i].first, std::move(split));
  }
  return splits;
}

}  // namespace headrace
