#include "pipeline/part_rule.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "expression/partial.h"
#include "pipeline/time_filter.h"

namespace headrace::pipeline {

namespace cp = arrow::compute;

Result<table::PartRule> MakePartRule(const std::optional<cp::Expression>& where,
                                     const std::optional<TimeRange>& between) {
  if (!where && !between) return table::PartRule();
  std::set<std::string> mentioned;
  if (where) {
    ARROW_ASSIGN_OR_RAISE(mentioned, expression::MentionedColumns(*where));
  }
  return [where, between, mentioned = std::move(mentioned)](
             const table::PartitionColumns& known,
             const std::vector<std::string>& keys) -> Result<table::PartCondition> {
    table::PartCondition part{cp::literal(true), true};
    if (between) {
      ARROW_ASSIGN_OR_RAISE(part, BetweenKnown(known, keys, *between));
    }
    if (!where) return part;
    part.condition =
        cp::call("and_kleene", {std::move(part.condition), WithEpochs(*where, known)});
    part.complete &= std::ranges::none_of(keys, [&](const std::string& key) {
      return mentioned.contains(key) &&
             std::ranges::none_of(
                 known.fields, [&](const auto& field) { return field->name() == key; });
    });
    return part;
  };
}

}  // namespace headrace::pipeline
