#include "expression/bind.h"

#include <arrow/array/concatenate.h>
#include <arrow/array/util.h>
#include <arrow/builder.h>
#include <arrow/compute/api_scalar.h>
#include <arrow/compute/api_vector.h>
#include <arrow/compute/cast.h>
#include <arrow/compute/exec.h>
#include <arrow/compute/function.h>
#include <arrow/compute/registry.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "expression/functions.h"
#include "expression/literal.h"
#include "expression/text.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using arrow::Datum;
using arrow::Type;
using cp::Expression;
using TypePtr = std::shared_ptr<arrow::DataType>;

constexpr std::array<std::string_view, 5> kLogical = {"and_kleene", "or_kleene", "and",
                                                      "or", "invert"};

/// A comparison with its sides swapped; empty for other functions.
std::string Flipped(std::string_view comparison) {
  static constexpr std::pair<std::string_view, const char*> kFlipped[] = {
      {"equal", "equal"},  {"not_equal", "not_equal"},
      {"less", "greater"}, {"less_equal", "greater_equal"},
      {"greater", "less"}, {"greater_equal", "less_equal"}};
  for (const auto& [name, flipped] : kFlipped) {
    if (name == comparison) return flipped;
  }
  return "";
}

constexpr std::array<std::string_view, 7> kArithmetic = {
    "add_checked",    "subtract_checked", "multiply_checked", "divide",
    "divide_checked", "remainder",        "negate_checked"};

template <typename Names>
bool Contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Status Invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

Expression NullCondition() {
  return cp::literal(arrow::MakeNullScalar(arrow::boolean()));
}

/// False, but null where `value` is.
Expression NeverUnlessNull(const Expression& value) {
  return cp::and_(cp::is_null(value), NullCondition());
}

/// True, but null where `value` is.
Expression AlwaysUnlessNull(const Expression& value) {
  return cp::or_(cp::is_valid(value), NullCondition());
}

bool IsNull(const Expression& expression) {
  const Datum* literal = expression.literal();
  return (literal != nullptr && !literal->scalar()->is_valid) ||
         (expression.type() != nullptr && expression.type()->id() == Type::NA);
}

/// Trees of bound parts: what is boolean by its nature stays unbound until the end, since
/// binding a call binds all below it once more.
class Binder {
 public:
  explicit Binder(const ColumnSet& columns)
      : names_(columns.names()), schema_(columns.schema()) {}

  Result<Expression> Condition(const Expression& expression, ColumnSet* columns) {
    columns_ = columns;
    ARROW_ASSIGN_OR_RAISE(Expression bound, Bind(expression));
    ARROW_ASSIGN_OR_RAISE(bound, AsCondition(std::move(bound), "the filter"));
    return bound.Bind(*schema_);
  }

 private:
  Result<Expression> Bind(const Expression& expression) {
    if (const Datum* literal = expression.literal()) {
      if (!literal->is_scalar()) {
        return Invalid("the filter holds a literal that is no single value but " +
                       literal->ToString());
      }
      ARROW_ASSIGN_OR_RAISE(auto plain, PlainScalar(literal->scalar()));
      return cp::literal(std::move(plain));
    }
    if (const arrow::FieldRef* ref = expression.field_ref()) return BindColumn(*ref);
    const Expression::Call& call = *expression.call();
    ARROW_RETURN_NOT_OK(CheckCall(call));
    std::vector<Expression> arguments;
    for (const Expression& argument : call.arguments) {
      ARROW_ASSIGN_OR_RAISE(arguments.emplace_back(), Bind(argument));
    }
    return BindCall(call, std::move(arguments));
  }

  Result<Expression> BindColumn(const arrow::FieldRef& ref) {
    ARROW_ASSIGN_OR_RAISE(const int number, columns_->Add(ref));
    ARROW_ASSIGN_OR_RAISE(Expression column,
                          cp::field_ref(arrow::FieldRef(number)).Bind(*schema_));
    const TypePtr type = column.type()->GetSharedPtr();
    const TypePtr plain = PlainType(type);
    if (plain->Equals(*type)) return column;
    return Cast(std::move(column), plain);
  }

  /// Arrow trusts calls to be well formed; what was deserialized need not be.
  static Status CheckCall(const Expression::Call& call) {
    const std::string& name = call.function_name;
    const auto function = cp::GetFunctionRegistry()->GetFunction(name);
    if (!function.ok()) {
      return Invalid("the filter calls " + name + ", which is no function of Arrow");
    }
    if ((**function).kind() != cp::Function::SCALAR && name != "cast") {
      return Invalid("the filter calls " + name +
                     ", which does not work row by row; a filter may not");
    }
    if (!(**function).is_pure()) {
      return Invalid("the filter calls " + name +
                     ", which gives other values each time; a filter may not");
    }
    const cp::FunctionOptions* defaults = (**function).default_options();
    const std::string& documented = (**function).doc().options_class;
    const std::string expected = defaults != nullptr ? defaults->type_name() : documented;
    const bool required = (**function).doc().options_required || name == "cast";
    const std::string found = call.options == nullptr ? "" : call.options->type_name();
    if (found.empty() ? required : found != expected) {
      return Invalid("the filter calls " + name + " with " +
                     (found.empty() ? "no options" : found) + ", expected " +
                     (expected.empty() ? "none" : expected));
    }
    if (name == "cast" &&
        static_cast<const cp::CastOptions&>(*call.options).to_type.type == nullptr) {
      return Invalid("the filter calls cast without a type to cast to");
    }
    return Status::OK();
  }

  Result<Expression> BindCall(const Expression::Call& call,
                              std::vector<Expression> arguments) {
    const std::string& name = call.function_name;
    if (Contains(kLogical, name)) {
      for (Expression& argument : arguments) {
        const std::string who = "'" + name.substr(0, name.find('_')) + "'";
        ARROW_ASSIGN_OR_RAISE(
            argument, AsCondition(std::move(argument), name == "invert" ? "'not'" : who));
      }
      return CheckArity(call, name == "invert" ? 1 : 2, std::move(arguments));
    }
    if (!Flipped(name).empty()) {
      ARROW_RETURN_NOT_OK(CheckArity(call, 2, arguments));
      if (arguments[0].literal() != nullptr && arguments[1].literal() == nullptr) {
        return Compare(Flipped(name), arguments[1], arguments[0]);
      }
      return Compare(name, arguments[0], arguments[1]);
    }
    if (name == "is_in" && arguments.size() == 1) {
      return IsIn(arguments.front(),
                  static_cast<const cp::SetLookupOptions&>(*call.options));
    }
    if (name == "match_like" && arguments.size() == 1) {
      return Like(arguments.front(),
                  static_cast<const cp::MatchSubstringOptions&>(*call.options));
    }
    if (name == kSplitKey) {
      ARROW_RETURN_NOT_OK(CheckArity(call, 2, arguments));
      return SplitKey(std::move(arguments[0]), arguments[1]);
    }
    if (Contains(kArithmetic, name)) {
      ARROW_RETURN_NOT_OK(Widen(&arguments));
    }
    return Finish(name, std::move(arguments), call.options);
  }

  static Result<Expression> CheckArity(const Expression::Call& call, size_t expected,
                                       std::vector<Expression> arguments) {
    if (arguments.size() != expected) {
      return Invalid("the filter calls " + call.function_name + " with " +
                     std::to_string(arguments.size()) + " arguments, expected " +
                     std::to_string(expected));
    }
    return cp::call(call.function_name, std::move(arguments), call.options);
  }

  /// `expression` where a condition is wanted; null literals become null conditions.
  Result<Expression> AsCondition(Expression expression, const std::string& who) const {
    if (expression.type() == nullptr || expression.type()->id() == Type::BOOL) {
      return expression;
    }
    if (IsNull(expression)) return NullCondition();
    return Invalid(who + " needs a condition that is true or false, found " +
                   Describe(expression));
  }

  /// Binds one call whose arguments are bound, and evaluates it if they are literals.
  Result<Expression> Finish(const std::string& name, std::vector<Expression> arguments,
                            std::shared_ptr<cp::FunctionOptions> options) const {
    const auto fail = [&](const Status& status) {
      std::string on;
      for (const Expression& argument : arguments) {
        on += (on.empty() ? " on " : " and ") + Describe(argument);
      }
      return Invalid("the filter calls " + name + on +
                     ", which fails: " + status.message());
    };
    auto bound = cp::call(name, arguments, std::move(options)).Bind(*schema_);
    if (!bound.ok()) return fail(bound.status());
    if (!std::all_of(arguments.begin(), arguments.end(),
                     [](const Expression& e) { return e.literal() != nullptr; })) {
      return bound;
    }
    auto value = cp::ExecuteScalarExpression(*bound, cp::ExecBatch({}, 1));
    if (!value.ok()) return fail(value.status());
    if (!value->is_scalar()) return fail(Status::Invalid("it gives no single value"));
    return cp::literal(value->scalar());
  }

  Result<Expression> Cast(Expression expression, const TypePtr& type,
                          bool exact = true) const {
    if (expression.type()->Equals(*type)) return expression;
    return Finish(
        "cast", {std::move(expression)},
        std::make_shared<cp::CastOptions>(exact ? cp::CastOptions::Safe(type)
                                                : cp::CastOptions::Unsafe(type)));
  }

  Result<Expression> Compare(const std::string& name, Expression left,
                             Expression right) const {
    ARROW_ASSIGN_OR_RAISE(left, Bound(std::move(left)));
    ARROW_ASSIGN_OR_RAISE(right, Bound(std::move(right)));
    if (IsNull(left) || IsNull(right)) return NullCondition();
    if (right.literal() != nullptr) return CompareLiteral(name, left, right);
    std::vector<Expression> sides = {std::move(left), std::move(right)};
    ARROW_RETURN_NOT_OK(WidenMixed(&sides));
    return Finish(name, std::move(sides), nullptr);
  }

  Result<Expression> CompareLiteral(const std::string& name, const Expression& left,
                                    const Expression& right) const {
    const auto place =
        BracketLiteral(right.literal()->scalar(), left.type()->GetSharedPtr());
    if (!place.ok() && left.literal() != nullptr &&
        BracketLiteral(left.literal()->scalar(), right.type()->GetSharedPtr()).ok()) {
      return CompareLiteral(Flipped(name), right, left);
    }
    if (!place.ok()) {
      return WithContext(place.status(), "the filter compares " + Describe(left));
    }
    if (place->exact()) return Finish(name, {left, cp::literal(place->lower)}, nullptr);
    if (name == "not_equal") return AlwaysUnlessNull(left);
    if (name == "equal" || place->unordered()) return NeverUnlessNull(left);
    const bool below = name == "less" || name == "less_equal";
    // Between two values, `< v` and `<= v` are both `<= lower`; past the end of the type
    // one side always holds. NaN is on neither side, so that floating point keeps its
    // comparison.
    const auto& bound = below ? place->lower : place->upper;
    if (bound != nullptr) {
      const bool open = (below ? place->upper : place->lower) == nullptr;
      if (open && !arrow::is_floating(left.type()->id())) return AlwaysUnlessNull(left);
      return Finish(below ? "less_equal" : "greater_equal", {left, cp::literal(bound)},
                    nullptr);
    }
    return NeverUnlessNull(left);
  }

  Result<Expression> IsIn(Expression value, const cp::SetLookupOptions& options) const {
    ARROW_ASSIGN_OR_RAISE(value, Bound(std::move(value)));
    if (!options.value_set.is_arraylike()) {
      return Invalid("the filter calls is_in with a value set that is no array");
    }
    const TypePtr type = value.type()->GetSharedPtr();
    const auto nulls = options.GetNullMatchingBehavior();
    if (IsNull(value)) {
      if (nulls == cp::SetLookupOptions::SKIP) return cp::literal(false);
      if (nulls != cp::SetLookupOptions::MATCH) return NullCondition();
      return cp::literal(options.value_set.null_count() > 0);
    }
    auto set = ValueSet(options.value_set, type, nulls);
    if (!set.ok()) {
      return WithContext(set.status(), "the filter looks up " + Describe(value));
    }
    return Finish("is_in", {std::move(value)},
                  std::make_shared<cp::SetLookupOptions>(*std::move(set), nulls));
  }

  /// The values of `type` in a set, each once, ascending; then NaN; then null if it has
  /// one.
  static Result<std::shared_ptr<arrow::Array>> ValueSet(
      const Datum& values, const TypePtr& type,
      cp::SetLookupOptions::NullMatchingBehavior nulls) {
    std::shared_ptr<arrow::Array> array;
    if (values.is_array()) {
      array = values.make_array();
    } else {
      ARROW_ASSIGN_OR_RAISE(array, arrow::Concatenate(values.chunked_array()->chunks()));
    }
    ARROW_RETURN_NOT_OK(array->ValidateFull());
    bool null = false;
    bool zero = false;
    ARROW_ASSIGN_OR_RAISE(auto builder, arrow::MakeBuilder(type));
    for (int64_t i = 0; i < array->length(); ++i) {
      ARROW_ASSIGN_OR_RAISE(auto scalar, array->GetScalar(i));
      ARROW_ASSIGN_OR_RAISE(scalar, PlainScalar(scalar));
      if (!scalar->is_valid) {
        null = true;
        continue;
      }
      ARROW_ASSIGN_OR_RAISE(const Bracket place, BracketLiteral(scalar, type));
      // What is no value of the type is in no row.
      if (!place.exact()) continue;
      zero |= IsZero(*place.lower);
      ARROW_RETURN_NOT_OK(builder->AppendScalar(*place.lower));
    }
    if (zero && nulls == cp::SetLookupOptions::INCONCLUSIVE) {
      // SQL's `in` is `=`, for which the zeros are equal; Arrow looks up bits.
      for (const double signed_zero : {0.0, -0.0}) {
        ARROW_ASSIGN_OR_RAISE(const Bracket place,
                              BracketLiteral(arrow::MakeScalar(signed_zero), type));
        ARROW_RETURN_NOT_OK(builder->AppendScalar(*place.lower));
      }
    }
    ARROW_ASSIGN_OR_RAISE(array, builder->Finish());
    ARROW_ASSIGN_OR_RAISE(array, SortedOnce(array));
    if (!null) return array;
    ARROW_ASSIGN_OR_RAISE(auto tail, arrow::MakeArrayOfNull(type, 1));
    return arrow::Concatenate({array, tail});
  }

  static bool IsZero(const arrow::Scalar& scalar) {
    if (scalar.type->id() == Type::DOUBLE) {
      return static_cast<const arrow::DoubleScalar&>(scalar).value == 0;
    }
    return scalar.type->id() == Type::FLOAT &&
           static_cast<const arrow::FloatScalar&>(scalar).value == 0;
  }

  static Result<std::shared_ptr<arrow::Array>> SortedOnce(
      const std::shared_ptr<arrow::Array>& values) {
    if (values->type_id() == Type::NA) return values->Slice(0, 0);
    ARROW_ASSIGN_OR_RAISE(auto once, cp::Unique(values));
    ARROW_ASSIGN_OR_RAISE(auto order, cp::SortIndices(*once));
    ARROW_ASSIGN_OR_RAISE(Datum sorted, cp::Take(once, order));
    return sorted.make_array();
  }

  Result<Expression> Like(Expression value,
                          const cp::MatchSubstringOptions& options) const {
    ARROW_ASSIGN_OR_RAISE(value, Bound(std::move(value)));
    if (IsNull(value)) return NullCondition();
    if (!arrow::is_base_binary_like(value.type()->id())) {
      return Invalid("'like' needs a string, found " + Describe(value));
    }
    if (options.pattern.find('\\') == std::string::npos) {
      return Finish("match_like", {std::move(value)},
                    std::make_shared<cp::MatchSubstringOptions>(options));
    }
    // Arrow takes a backslash for an escape in some patterns and literally in others.
    return Finish("match_substring_regex", {std::move(value)},
                  std::make_shared<cp::MatchSubstringOptions>(LikeRegex(options.pattern),
                                                              options.ignore_case));
  }

  Result<Expression> SplitKey(Expression value, const Expression& seed) const {
    ARROW_ASSIGN_OR_RAISE(value, Bound(std::move(value)));
    if (!HasSplitKey(*value.type())) {
      return Invalid("the filter calls split_key on " + Describe(value) +
                     ", expected integers, booleans, text, bytes, dates or times");
    }
    const Datum* literal = seed.literal();
    Bracket place;
    if (literal != nullptr && literal->scalar()->is_valid &&
        arrow::is_integer(literal->type()->id())) {
      ARROW_ASSIGN_OR_RAISE(place, BracketLiteral(literal->scalar(), arrow::uint64()));
    }
    if (!place.exact()) {
      return Invalid("the filter calls split_key with " + Describe(seed) +
                     " for a seed, expected an integer from 0 to 2^64 - 1");
    }
    return Finish(kSplitKey, {std::move(value), cp::literal(place.lower)}, nullptr);
  }

  static std::string LikeRegex(std::string_view pattern) {
    std::string regex = "(?s)\\A";
    for (size_t i = 0; i < pattern.size(); ++i) {
      char c = pattern[i];
      if (c == '%' || c == '_') {
        regex += c == '%' ? ".*" : ".";
        continue;
      }
      if (c == '\\' && i + 1 < pattern.size()) c = pattern[++i];
      if (std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos) {
        regex.push_back('\\');
      }
      regex.push_back(c);
    }
    return regex + "\\z";
  }

  /// Integers in arithmetic become int64 (uint64 where a column is), so that small
  /// columns do not overflow; see WidenMixed for floating point.
  Status Widen(std::vector<Expression>* arguments) const {
    bool integers = true;
    TypePtr type = arrow::int64();
    for (Expression& argument : *arguments) {
      ARROW_ASSIGN_OR_RAISE(argument, Bound(std::move(argument)));
      integers &= arrow::is_integer(argument.type()->id());
      if (argument.type()->id() == Type::UINT64) type = arrow::uint64();
    }
    if (!integers) return WidenMixed(arguments);
    for (const Expression& argument : *arguments) {
      // Negative values beside uint64: Arrow's own rules, which fail rather than wrap.
      if (type->id() == Type::UINT64 && !Fits(argument, type)) return Status::OK();
    }
    for (Expression& argument : *arguments) {
      ARROW_ASSIGN_OR_RAISE(argument, Cast(std::move(argument), type));
    }
    return Status::OK();
  }

  static bool Fits(const Expression& expression, const TypePtr& type) {
    if (arrow::is_unsigned_integer(expression.type()->id())) return true;
    const Datum* literal = expression.literal();
    if (literal == nullptr || !literal->scalar()->is_valid) return false;
    const auto place = BracketLiteral(literal->scalar(), type);
    return place.ok() && place->exact();
  }

  /// Integer columns beside floating point become double: Arrow would take the narrower
  /// float, and fail on integers that it lacks.
  Status WidenMixed(std::vector<Expression>* arguments) const {
    bool integer = false;
    bool real = false;
    for (const Expression& argument : *arguments) {
      const Type::type id =
          argument.type() == nullptr ? Type::BOOL : argument.type()->id();
      integer |= arrow::is_integer(id) && argument.literal() == nullptr;
      real |= arrow::is_floating(id);
      if (!arrow::is_integer(id) && !arrow::is_floating(id)) return Status::OK();
    }
    if (!integer || !real) return Status::OK();
    for (Expression& argument : *arguments) {
      ARROW_ASSIGN_OR_RAISE(argument,
                            Cast(std::move(argument), arrow::float64(), /*exact=*/false));
    }
    return Status::OK();
  }

  Result<Expression> Bound(Expression expression) const {
    if (expression.type() != nullptr) return expression;
    return expression.Bind(*schema_);
  }

  std::string Describe(const Expression& expression) const {
    const auto bound = Bound(expression);
    if (!bound.ok()) return "a condition";
    return ExpressionText(*bound, names_) + " (" + bound->type()->ToString() + ")";
  }

  const std::vector<std::string>& names_;
  std::shared_ptr<arrow::Schema> schema_;
  ColumnSet* columns_ = nullptr;
};

Status CheckDepthBelow(const Expression& expression, int left) {
  if (!expression.is_valid()) return Invalid("the filter is an empty expression");
  if (left == 0) {
    return Invalid("the filter is nested deeper than " +
                   std::to_string(kExpressionDepthMax) +
                   " levels; use isin for many values of one column");
  }
  if (const Expression::Call* call = expression.call()) {
    for (const Expression& argument : call->arguments) {
      ARROW_RETURN_NOT_OK(CheckDepthBelow(argument, left - 1));
    }
  }
  return Status::OK();
}

Status AddColumns(const Expression& expression, ColumnSet* columns) {
  if (const arrow::FieldRef* ref = expression.field_ref()) {
    return columns->Add(*ref).status();
  }
  if (const Expression::Call* call = expression.call()) {
    for (const Expression& argument : call->arguments) {
      ARROW_RETURN_NOT_OK(AddColumns(argument, columns));
    }
  }
  return Status::OK();
}

}  // namespace

Status CheckDepth(const Expression& expression) {
  return CheckDepthBelow(expression, kExpressionDepthMax);
}

Result<Expression> BindCondition(const Expression& expression, ColumnSet* columns) {
  ARROW_RETURN_NOT_OK(RegisterFunctions());
  ARROW_RETURN_NOT_OK(CheckDepth(expression));
  ARROW_RETURN_NOT_OK(AddColumns(expression, columns));
  return Binder(*columns).Condition(expression, columns);
}

}  // namespace headrace::expression
