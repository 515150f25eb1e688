#include "schema/column_path.h"

#include <string>
#include <vector>

#include "base/closest.h"

namespace headrace::schema {
namespace {

Status Unknown(const std::string& name, const std::string& where,
               const arrow::FieldVector& fields) {
  std::vector<std::string> names;
  names.reserve(fields.size());
  for (const auto& field : fields) names.push_back(field->name());
  return Error(ErrorKind::kNotFound,
               "column \"" + name + "\" is not in " + where + "; there are: " +
                   base::ListClosest(name.substr(name.rfind('.') + 1), names));
}

// Follows `rest` below `parent`, trying ever longer names so that a name with a dot is
// found.
bool Descend(const arrow::Field& parent, std::string_view rest, ColumnPath* out) {
  if (parent.type()->id() != arrow::Type::STRUCT) return false;
  for (size_t dot = rest.find('.');; dot = rest.find('.', dot + 1)) {
    const std::string_view name = rest.substr(0, dot);
    for (const auto& child : parent.type()->fields()) {
      if (child->name() != name) continue;
      out->path.emplace_back(name);
      const bool nullable = parent.nullable() || child->nullable();
      if (dot == std::string_view::npos) {
        out->field = child->WithNullable(nullable);
        return true;
      }
      if (Descend(*child->WithNullable(nullable), rest.substr(dot + 1), out)) return true;
      out->path.pop_back();
    }
    if (dot == std::string_view::npos) return false;
  }
}

}  // namespace

Result<ColumnPath> ResolveColumn(const arrow::Schema& schema, std::string_view name) {
  ColumnPath found;
  const std::string text(name);
  if (auto field = schema.GetFieldByName(text)) {
    return ColumnPath{{text}, field};
  }
  for (size_t dot = name.find('.'); dot != std::string_view::npos;
       dot = name.find('.', dot + 1)) {
    auto parent = schema.GetFieldByName(std::string(name.substr(0, dot)));
    if (parent == nullptr) continue;
    found.path = {parent->name()};
    if (Descend(*parent, name.substr(dot + 1), &found)) {
      found.field = found.field->WithName(text);
      return found;
    }
    if (parent->type()->id() == arrow::Type::STRUCT) {
      return Unknown(text, "struct \"" + parent->name() + "\"", parent->type()->fields());
    }
  }
  return Unknown(text, "the table", schema.fields());
}

}  // namespace headrace::schema
