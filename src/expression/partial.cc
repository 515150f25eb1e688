#include "expression/partial.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "expression/bind.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using cp::Expression;

bool IsLogical(const Expression::Call& call) {
  static constexpr std::array<std::string_view, 5> kLogical = {"and_kleene", "or_kleene",
                                                               "and", "or", "invert"};
  return std::ranges::find(kLogical, call.function_name) != kLogical.end();
}

/// Puts columns of which nothing is known in the place of conditions on unknown ones.
class Replacer {
 public:
  explicit Replacer(const arrow::FieldVector& known) : fields_(known) {
    for (const auto& field : known) names_.insert(field->name());
  }

  const arrow::FieldVector& fields() const { return fields_; }

  Expression Replaced(const Expression& condition) {
    const Expression::Call* call = condition.call();
    if (call != nullptr && IsLogical(*call)) {
      Expression::Call copy = *call;
      for (Expression& argument : copy.arguments) argument = Replaced(argument);
      return Expression(std::move(copy));
    }
    const auto refs = cp::FieldsInExpression(condition);
    const bool known = std::ranges::all_of(refs, [&](const arrow::FieldRef& ref) {
      return ref.name() != nullptr && names_.contains(*ref.name());
    });
    return known ? condition : Unknown();
  }

 private:
  /// One for each condition, lest two be taken for the same.
  Expression Unknown() {
    std::string name;
    do {
      name = "unknown " + std::to_string(++unknown_);
    } while (names_.contains(name));
    fields_.push_back(arrow::field(name, arrow::boolean()));
    return cp::field_ref(arrow::FieldRef(std::move(name)));
  }

  arrow::FieldVector fields_;
  std::set<std::string> names_;
  int unknown_ = 0;
};

}  // namespace

Result<std::set<std::string>> MentionedColumns(const Expression& filter) {
  ARROW_RETURN_NOT_OK(CheckDepth(filter));
  std::set<std::string> names;
  for (const arrow::FieldRef& ref : cp::FieldsInExpression(filter)) {
    if (ref.name() != nullptr) names.insert(*ref.name());
  }
  return names;
}

Result<Filter> BindKnown(const Expression& filter, const arrow::FieldVector& known) {
  ARROW_RETURN_NOT_OK(CheckDepth(filter));
  Replacer replacer(known);
  const Expression replaced = replacer.Replaced(filter);
  return Filter::Bind(replaced, arrow::Schema(replacer.fields()));
}

}  // namespace headrace::expression
