#include "table/part.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "expression/partial.h"

namespace headrace::table {
namespace {

using expression::ColumnBounds;
using storage::DirectoryListing;
using storage::FileEntry;

struct Directory {
  std::string path;
  std::string relative_path;  // "year=2013/month=1/"; of the folder itself ""
  std::vector<PartitionKey> keys;
};

/// The rule for directories of the same keys.
struct BoundRule {
  arrow::FieldVector known;
  expression::Filter filter;
  bool complete = false;
};

ColumnBounds BoundsOf(const std::shared_ptr<arrow::Scalar>& value) {
  ColumnBounds bounds;
  bounds.rows = 1;
  bounds.null_count = value->is_valid ? 0 : 1;
  if (value->is_valid) bounds.min = bounds.max = value;
  return bounds;
}

ColumnBounds Unknown() {
  ColumnBounds bounds;
  bounds.rows = 1;
  return bounds;
}

class PartLister {
 public:
  PartLister(const storage::Storage& storage, const PartRule& rule,
             const PartitionTypes& types, base::Executor& executor)
      : storage_(storage), rule_(rule), types_(types), executor_(executor) {}

  Result<Part> List(const std::string& folder) {
    const Directory root = {folder, "", {}};
    std::vector<Directory> frontier = {root};
    while (!frontier.empty()) {
      ARROW_RETURN_NOT_OK(RuleOut(&frontier));
      if (!first_ && !frontier.empty()) {
        ARROW_RETURN_NOT_OK(GoDown(frontier[0], /*anywhere=*/false));
        if (first_) ARROW_RETURN_NOT_OK(RuleOut(&frontier));  // by all keys
      }
      ARROW_ASSIGN_OR_RAISE(frontier, Expand(frontier));
    }
    if (part_.files.empty()) {
      if (!first_) ARROW_RETURN_NOT_OK(GoDown(root, /*anywhere=*/true));
      if (first_) {
        part_.files.push_back(*first_);
      } else {
        ARROW_ASSIGN_OR_RAISE(part_.files, storage_.List(folder));  // says what is amiss
      }
    }
    std::ranges::sort(part_.files, {}, &FileEntry::relative_path);
    return std::move(part_);
  }

 private:
  using Rules = std::map<std::vector<std::string>, Result<BoundRule>>;

  /// Looks for one file, for the keys that all have, and keeps what is listed on the way:
  /// only directories that may be left, or any.
  Status GoDown(const Directory& directory, bool anywhere) {
    auto kept = listings_.find(directory.path);
    if (kept == listings_.end()) {
      ARROW_ASSIGN_OR_RAISE(auto listing, storage_.ListDirectory(directory.path));
      kept = listings_.emplace(directory.path, std::move(listing)).first;
    }
    if (!kept->second.files.empty()) {
      first_ = Named(kept->second.files[0], directory);
      for (auto& key : ParsePartitionPath(first_->relative_path)) {
        keys_.push_back(std::move(key.key));
      }
      return Status::OK();
    }
    std::vector<Directory> children;
    for (const auto& child : kept->second.directories) {
      children.push_back(Child(directory, child));
    }
    See(children);
    Rules rules;
    for (const Directory& child : children) {
      // What the rule makes of too few values may be an error: that is no verdict.
      const BoundRule* rule = RuleOf(child, &rules).ValueOr(nullptr);
      if (!anywhere && rule != nullptr && !MayPass(*rule, child).ValueOr(true)) continue;
      ARROW_RETURN_NOT_OK(GoDown(child, anywhere));
      // The next level tells more of what may be left than going on from one to the next.
      if (!anywhere || first_) return Status::OK();
    }
    return Status::OK();
  }

  static Directory Child(const Directory& parent,
                         const DirectoryListing::Directory& found) {
    Directory child;
    child.path = found.path;
    child.relative_path = parent.relative_path + found.name + "/";
    child.keys = ParsePartitionPath(child.relative_path);
    return child;
  }

  static FileEntry Named(FileEntry file, const Directory& directory) {
    file.relative_path = directory.relative_path + file.relative_path;
    return file;
  }

  /// Takes away what is ruled out; `complete_` says of what is left where no directory
  /// below can be.
  Status RuleOut(std::vector<Directory>* frontier) {
    See(*frontier);
    Rules rules;
    std::vector<Directory> left;
    complete_.clear();
    for (Directory& directory : *frontier) {
      ARROW_RETURN_NOT_OK(CheckKeys(directory.keys, directory.relative_path));
      ARROW_ASSIGN_OR_RAISE(const BoundRule* rule, RuleOf(directory, &rules));
      ARROW_ASSIGN_OR_RAISE(const bool may_pass, MayPass(*rule, directory));
      if (may_pass) {
        left.push_back(std::move(directory));
        complete_.push_back(first_ && rule->complete);
      } else {
        part_.ruled_out.push_back(std::move(directory.relative_path));
      }
    }
    *frontier = std::move(left);
    return Status::OK();
  }

  void See(const std::vector<Directory>& directories) {
    for (const Directory& directory : directories) {
      for (const auto& [key, value] : directory.keys) seen_[key].insert(value);
    }
  }

  /// The rule for a directory, made by what was seen when the first of its keys came.
  Result<const BoundRule*> RuleOf(const Directory& directory, Rules* rules) const {
    std::vector<std::string> names;
    names.reserve(directory.keys.size());
    for (const auto& key : directory.keys) names.push_back(key.key);
    auto rule = rules->find(names);
    if (rule == rules->end()) rule = rules->emplace(names, Bind(names)).first;
    ARROW_RETURN_NOT_OK(rule->second.status());
    return &*rule->second;
  }

  Result<BoundRule> Bind(const std::vector<std::string>& names) const {
    BoundRule bound;
    for (const std::string& name : names) {
      ARROW_ASSIGN_OR_RAISE(auto type, PartitionType(name, seen_.at(name), types_));
      bound.known.push_back(arrow::field(name, std::move(type)));
    }
    std::vector<arrow::ScalarVector> values(names.size());
    for (size_t i = 0; i < names.size(); ++i) {
      for (const auto& value : seen_.at(names[i])) {
        ARROW_ASSIGN_OR_RAISE(
            values[i].emplace_back(),
            PartitionValue({names[i], value}, bound.known[i]->type(), names[i] + "="));
      }
    }
    const PartitionColumns columns = {
        bound.known, [&](int i) { return values[static_cast<size_t>(i)]; }};
    ARROW_ASSIGN_OR_RAISE(const PartCondition condition, rule_(columns, keys_));
    bound.complete = condition.complete;
    ARROW_ASSIGN_OR_RAISE(bound.filter,
                          expression::BindKnown(condition.condition, bound.known));
    return bound;
  }

  static Result<bool> MayPass(const BoundRule& rule, const Directory& directory) {
    arrow::ScalarVector values;
    for (size_t i = 0; i < rule.known.size(); ++i) {
      ARROW_ASSIGN_OR_RAISE(values.emplace_back(),
                            PartitionValue(directory.keys[i], rule.known[i]->type(),
                                           directory.relative_path));
    }
    const auto& columns = rule.filter.columns();
    ARROW_ASSIGN_OR_RAISE(const auto verdict, rule.filter.Decide([&](int c) {
      const auto known =
          std::ranges::find(rule.known, columns[static_cast<size_t>(c)],
                            [](const auto& field) { return field->name(); });
      return known == rule.known.end()
                 ? Unknown()
                 : BoundsOf(values[static_cast<size_t>(known - rule.known.begin())]);
    }));
    return verdict != expression::Verdict::kNone;
  }

  /// Lists directories, several at a time; what lies in them joins the part, or is the
  /// next frontier.
  Result<std::vector<Directory>> Expand(const std::vector<Directory>& directories) {
    std::vector<DirectoryListing> listings(directories.size());
    ARROW_RETURN_NOT_OK(
        executor_.ForEach(std::ssize(directories), [&](int64_t i) -> Status {
          const auto at = static_cast<size_t>(i);
          const std::string& path = directories[at].path;
          const auto kept = listings_.find(path);
          if (kept != listings_.end() &&
              (!complete_[at] || kept->second.directories.empty())) {
            listings[at] = kept->second;
          } else if (complete_[at]) {
            ARROW_ASSIGN_OR_RAISE(listings[at].files, storage_.ListBelow(path));
          } else {
            ARROW_ASSIGN_OR_RAISE(listings[at], storage_.ListDirectory(path));
          }
          return Status::OK();
        }));
    std::vector<Directory> next;
    for (size_t i = 0; i < directories.size(); ++i) {
      for (FileEntry& file : listings[i].files) {
        part_.files.push_back(Named(std::move(file), directories[i]));
      }
      for (const auto& child : listings[i].directories) {
        next.push_back(Child(directories[i], child));
      }
    }
    return next;
  }

  const storage::Storage& storage_;
  const PartRule& rule_;
  const PartitionTypes& types_;
  base::Executor& executor_;
  std::optional<FileEntry> first_;                    // what going down found
  std::vector<std::string> keys_;                     // of first_
  std::map<std::string, DirectoryListing> listings_;  // of what it passed, by path
  std::map<std::string, PartitionValues> seen_;       // by key
  std::vector<bool> complete_;                        // parallel to the frontier
  Part part_;
};

}  // namespace

Result<Part> ListPart(const storage::Storage& storage, const std::string& folder,
                      const PartRule& rule, const PartitionTypes& types,
                      base::Executor& executor) {
  return PartLister(storage, rule, types, executor).List(folder);
}

}  // namespace headrace::table
