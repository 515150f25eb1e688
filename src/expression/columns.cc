#include "expression/columns.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "base/closest.h"
#include "expression/text.h"

namespace headrace::expression {
namespace {

constexpr size_t kColumnsNamed = 2000;

using Path = std::vector<int>;

/// Fields of one level that have a name.
Path Named(const arrow::FieldVector& fields, std::string_view name) {
  Path found;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i]->name() == name) found.push_back(static_cast<int>(i));
  }
  return found;
}

Status Ambiguous(std::string_view name, size_t count) {
  return Error(ErrorKind::kInvalidArgument,
               "the filter names column " + NameText(name) + ", which is there " +
                   std::to_string(count) +
                   " times; rename the columns to tell them apart");
}

/// Appends to `path` the way to `name`: a field of just that name, else a struct whose
/// name is a dotted prefix (the longest first) and a field in it. False: not there.
Result<bool> Find(const arrow::FieldVector& fields, std::string_view name, Path* path) {
  const Path exact = Named(fields, name);
  if (exact.size() > 1) return Ambiguous(name, exact.size());
  if (exact.size() == 1) {
    path->push_back(exact.front());
    return true;
  }
  for (size_t dot = name.rfind('.'); dot != std::string_view::npos && dot > 0;
       dot = name.rfind('.', dot - 1)) {
    const Path structs = Named(fields, name.substr(0, dot));
    if (structs.size() > 1) return Ambiguous(name.substr(0, dot), structs.size());
    if (structs.empty()) continue;
    const auto& type = fields[static_cast<size_t>(structs.front())]->type();
    if (type->id() != arrow::Type::STRUCT) continue;
    path->push_back(structs.front());
    ARROW_ASSIGN_OR_RAISE(const bool found,
                          Find(type->fields(), name.substr(dot + 1), path));
    if (found) return true;
    path->pop_back();
  }
  return false;
}

void ListNames(const arrow::FieldVector& fields, const std::string& prefix,
               std::vector<std::string>* names) {
  for (const auto& field : fields) {
    if (names->size() >= kColumnsNamed) return;
    names->push_back(prefix + field->name());
    if (field->type()->id() == arrow::Type::STRUCT) {
      ListNames(field->type()->fields(), names->back() + ".", names);
    }
  }
}

Status Unknown(const arrow::Schema& schema, const std::string& name) {
  std::vector<std::string> names;
  ListNames(schema.fields(), "", &names);
  for (std::string& there : names) there = NameText(there);
  return Error(ErrorKind::kNotFound,
               "the filter names column " + NameText(name) + ", which is not there; " +
                   (names.empty() ? "there are no columns"
                                  : "there are: " + base::ListClosest(name, names)));
}

/// The way that a reference means; empty: not there.
Result<Path> PathOf(const arrow::Schema& schema, const arrow::FieldRef& ref) {
  Path path;
  if (const arrow::FieldPath* indices = ref.field_path()) {
    if (indices->Get(schema).ok()) path = indices->indices();
    return path;
  }
  if (const std::string* name = ref.name()) {
    ARROW_RETURN_NOT_OK(Find(schema.fields(), *name, &path));
    return path;
  }
  arrow::FieldVector fields = schema.fields();
  std::vector<arrow::FieldRef> parts = *ref.nested_refs();
  for (size_t i = 0; i < parts.size(); ++i) {
    // FieldRef flattens nested references, so that each is a name or a path.
    Path step;
    if (const std::string* name = parts[i].name()) {
      step = Named(fields, *name);
      if (step.size() > 1) return Ambiguous(*name, step.size());
    } else if (const arrow::FieldPath* indices = parts[i].field_path()) {
      if (indices->Get(fields).ok()) step = indices->indices();
    }
    if (step.empty()) return Path{};
    for (const int index : step) {
      path.push_back(index);
      fields = arrow::FieldVector(fields[static_cast<size_t>(index)]->type()->fields());
    }
  }
  return path;
}

std::string NameOf(const arrow::FieldRef& ref) {
  if (const std::string* name = ref.name()) return *name;
  if (ref.nested_refs() == nullptr) return ref.ToString();
  std::string name;
  for (const arrow::FieldRef& part : *ref.nested_refs()) {
    name += (name.empty() ? "" : ".") + NameOf(part);
  }
  return name;
}

}  // namespace

Result<int> ColumnSet::Add(const arrow::FieldRef& ref) {
  ARROW_ASSIGN_OR_RAISE(const Path path, PathOf(schema_, ref));
  if (path.empty()) return Unknown(schema_, NameOf(ref));

  std::string name;
  bool nullable = false;
  arrow::FieldVector fields = schema_.fields();
  std::shared_ptr<arrow::Field> field;
  for (const int index : path) {
    if (field != nullptr && field->type()->id() != arrow::Type::STRUCT) {
      return Error(ErrorKind::kInvalidArgument,
                   "the filter looks into column " + NameText(name) +
                       ", which is no struct but " + field->type()->ToString());
    }
    field = fields[static_cast<size_t>(index)];
    name += (name.empty() ? "" : ".") + field->name();
    nullable |= field->nullable();
    fields = arrow::FieldVector(field->type()->fields());
  }

  // From here on the dotted name stands for the column: it must lead back to it.
  Path again;
  ARROW_RETURN_NOT_OK(Find(schema_.fields(), name, &again));
  if (again != path) {
    return Error(ErrorKind::kInvalidArgument,
                 "the filter means a nested column " + NameText(name) +
                     ", but that is another column's name; rename one of them");
  }
  const auto [entry, added] = numbers_.emplace(name, static_cast<int>(names_.size()));
  if (added) {
    names_.push_back(name);
    fields_.push_back(arrow::field(name, field->type(), nullable));
  }
  return entry->second;
}

}  // namespace headrace::expression
