#include "expression/decide.h"

#include <arrow/array.h>
#include <arrow/compute/api_scalar.h>
#include <arrow/compute/cast.h>
#include <arrow/compute/function.h>
#include <arrow/compute/kernel.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <cmath>
#include <compare>
#include <map>
#include <optional>
#include <string_view>

#include "expression/functions.h"
#include "expression/literal.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using arrow::Datum;
using arrow::Scalar;
using arrow::Type;
using cp::Expression;
using ScalarPtr = std::shared_ptr<Scalar>;

/// The outcomes of a condition that some row may have. More may be said than rows have,
/// never less: that is what makes verdicts proofs.
struct Outcomes {
  bool can_true = true;
  bool can_false = true;
  bool can_null = true;
};

/// Values that rows may have, by the same rule.
struct Values {
  ScalarPtr
      min;  ///< Inclusive; nullptr: unknown. They bound what is neither NaN nor null.
  ScalarPtr max;
  bool can_null = true;
  bool can_value = true;  ///< Something that is not null.
  bool can_nan = false;
  bool can_number = true;  ///< Something that is neither null nor NaN.
  /// As of ColumnBounds; empty for what is no column.
  std::function<bool(const Scalar&)> may_contain;
};

bool IsNan(const Scalar& scalar) {
  if (scalar.type->id() == Type::DOUBLE) {
    return std::isnan(static_cast<const arrow::DoubleScalar&>(scalar).value);
  }
  return scalar.type->id() == Type::FLOAT &&
         std::isnan(static_cast<const arrow::FloatScalar&>(scalar).value);
}

/// A bound as its plain type, or nullptr if it cannot be trusted as one of `type`.
ScalarPtr PlainBound(const ScalarPtr& bound,
                     const std::shared_ptr<arrow::DataType>& plain) {
  if (bound == nullptr || !bound->is_valid) return nullptr;
  auto value = PlainScalar(bound);
  if (!value.ok() || !(**value).is_valid || !(**value).type->Equals(*plain) ||
      IsNan(**value)) {
    return nullptr;
  }
  return *std::move(value);
}

bool Less(const ScalarPtr& left, const ScalarPtr& right) {
  return left != nullptr && right != nullptr && CompareScalars(*left, *right) < 0;
}

/// Casts that never turn two values' order around.
bool KeepsOrder(const arrow::DataType& from, const arrow::DataType& to) {
  const auto exact = [](const arrow::DataType& type) {
    return arrow::is_integer(type.id()) || arrow::is_decimal(type.id());
  };
  if (arrow::is_floating(to.id())) {
    return arrow::is_integer(from.id()) || arrow::is_floating(from.id());
  }
  // Overflow and truncation fail in safe casts, the only ones that get here.
  if (exact(from) && exact(to)) return true;
  const auto instant = [](const arrow::DataType& type) {
    return type.id() == Type::DATE32 || type.id() == Type::DATE64 ||
           type.id() == Type::TIMESTAMP;
  };
  const auto zone = [](const arrow::DataType& type) -> std::string {
    return type.id() == Type::TIMESTAMP
               ? static_cast<const arrow::TimestampType&>(type).timezone()
               : "";
  };
  // Where clocks are set back at midnight, local dates are not in order.
  return instant(from) && instant(to) && zone(from) == zone(to);
}

class Decider {
 public:
  Decider(const arrow::Schema& schema, const std::function<ColumnBounds(int)>& bounds)
      : schema_(schema), bounds_(bounds) {}

  bool no_rows() const { return no_rows_; }

  Outcomes Of(const Expression& condition) {
    if (condition.call() != nullptr) return OfCall(condition);
    const Values values = ValuesOf(condition);
    Outcomes out{values.can_value, values.can_value, values.can_null};
    const auto is = [](const ScalarPtr& bound, bool value) {
      return bound != nullptr &&
             static_cast<const arrow::BooleanScalar&>(*bound).value == value;
    };
    out.can_true &= !is(values.max, false);
    out.can_false &= !is(values.min, true);
    return out;
  }

  /// The values of column `index`, in its plain type.
  const Values& Column(int index) {
    const auto found = columns_.find(index);
    if (found != columns_.end()) return found->second;
    const ColumnBounds given = bounds_(index);
    const auto& type = schema_.field(index)->type();
    const auto plain = PlainType(type);
    Values values;
    no_rows_ |= given.rows == 0;
    values.min = PlainBound(given.min, plain);
    values.max = PlainBound(given.max, plain);
    if (Less(values.max, values.min)) values.min = values.max = nullptr;
    const int64_t nulls = given.null_count.value_or(-1);
    values.can_null = nulls != 0;
    values.can_value = nulls < 0 || nulls < given.rows;
    values.can_number = values.can_value;
    values.can_nan = values.can_value && arrow::is_floating(plain->id());
    const bool stored_so =
        plain->Equals(*type) ||
        (type->id() == Type::DICTIONARY &&
         plain->Equals(*static_cast<const arrow::DictionaryType&>(*type).value_type()));
    // Bloom filters hash the stored form, which the other plain types are not.
    if (stored_so) values.may_contain = given.may_contain;
    return columns_.emplace(index, std::move(values)).first->second;
  }

 private:
  Outcomes OfCall(const Expression& condition) {
    const Expression::Call& call = *condition.call();
    const std::string& name = call.function_name;
    const auto& arguments = call.arguments;
    if (name == "and_kleene" || name == "or_kleene" || name == "and" || name == "or") {
      return Combine(name, Of(arguments[0]), Of(arguments[1]));
    }
    if (name == "invert") {
      const Outcomes of = Of(arguments[0]);
      return {of.can_false, of.can_true, of.can_null};
    }
    if (name == "is_null" || name == "is_valid") return OfIsNull(call);
    if (name == "is_in") return OfIsIn(call);
    if (name == "match_like" || name == "starts_with") return OfPrefix(call);
    if (const auto relations = Relations(name)) {
      return OfComparison(*relations, ValuesOf(arguments[0]), ValuesOf(arguments[1]));
    }
    return {true, true, CanNull(condition)};
  }

  static Outcomes Combine(const std::string& name, const Outcomes& left,
                          const Outcomes& right) {
    const bool either_null =
        (left.can_null && (right.can_true || right.can_false || right.can_null)) ||
        (right.can_null && (left.can_true || left.can_false));
    Outcomes out;
    if (name == "and_kleene") {
      out.can_true = left.can_true && right.can_true;
      out.can_false = left.can_false || right.can_false;
      out.can_null = (left.can_null && (right.can_true || right.can_null)) ||
                     (right.can_null && left.can_true);
    } else if (name == "or_kleene") {
      out.can_true = left.can_true || right.can_true;
      out.can_false = left.can_false && right.can_false;
      out.can_null = (left.can_null && (right.can_false || right.can_null)) ||
                     (right.can_null && left.can_false);
    } else {
      const bool both =
          (left.can_true || left.can_false) && (right.can_true || right.can_false);
      const bool conjunction = name == "and";
      const bool all = conjunction ? left.can_true && right.can_true
                                   : left.can_false && right.can_false;
      const bool any = both && (conjunction ? left.can_false || right.can_false
                                            : left.can_true || right.can_true);
      out = {conjunction ? all : any, conjunction ? any : all, either_null};
    }
    return out;
  }

  Outcomes OfIsNull(const Expression::Call& call) {
    const Values values = ValuesOf(call.arguments[0]);
    bool can_null = values.can_null;
    bool can_value = values.can_value;
    if (call.options != nullptr &&
        static_cast<const cp::NullOptions&>(*call.options).nan_is_null) {
      can_null |= values.can_nan;
      can_value = values.can_number;
    }
    if (call.function_name == "is_valid") return {can_value, can_null, false};
    return {can_null, can_value, false};
  }

  /// How a left value may stand to a right one.
  struct Relation {
    bool less = false;
    bool equal = false;
    bool greater = false;
    bool unordered = false;
  };

  static std::optional<Relation> Relations(const std::string& comparison) {
    if (comparison == "equal") return Relation{.equal = true};
    if (comparison == "not_equal") {
      return Relation{.less = true, .greater = true, .unordered = true};
    }
    if (comparison == "less") return Relation{.less = true};
    if (comparison == "less_equal") return Relation{.less = true, .equal = true};
    if (comparison == "greater") return Relation{.greater = true};
    if (comparison == "greater_equal") return Relation{.equal = true, .greater = true};
    return std::nullopt;
  }

  static Outcomes OfComparison(const Relation& wanted, const Values& left,
                               const Values& right) {
    const auto at_least = [](const ScalarPtr& a, const ScalarPtr& b) {
      return a != nullptr && b != nullptr && CompareScalars(*a, *b) >= 0;
    };
    const bool numbers = left.can_number && right.can_number;
    Relation can;
    can.less = numbers && !at_least(left.min, right.max);
    can.greater = numbers && !at_least(right.min, left.max);
    can.equal = numbers && !Less(left.max, right.min) && !Less(right.max, left.min) &&
                MayShare(left, right) && MayShare(right, left);
    can.unordered = left.can_value && right.can_value && (left.can_nan || right.can_nan);
    Outcomes out;
    out.can_true = (can.less && wanted.less) || (can.equal && wanted.equal) ||
                   (can.greater && wanted.greater) || (can.unordered && wanted.unordered);
    out.can_false = (can.less && !wanted.less) || (can.equal && !wanted.equal) ||
                    (can.greater && !wanted.greater) ||
                    (can.unordered && !wanted.unordered);
    out.can_null = left.can_null || right.can_null;
    return out;
  }

  /// False if `column` certainly lacks the one value that `point` has.
  static bool MayShare(const Values& column, const Values& point) {
    if (!column.may_contain || point.min == nullptr || point.min != point.max)
      return true;
    return MayContain(column, *point.min);
  }

  static bool MayContain(const Values& column, const Scalar& value) {
    if (!column.may_contain || IsNan(value)) return true;
    if (value.type->id() == Type::DOUBLE &&
        static_cast<const arrow::DoubleScalar&>(value).value == 0) {
      return column.may_contain(arrow::DoubleScalar(0.0)) ||
             column.may_contain(arrow::DoubleScalar(-0.0));
    }
    if (value.type->id() == Type::FLOAT &&
        static_cast<const arrow::FloatScalar&>(value).value == 0) {
      return column.may_contain(arrow::FloatScalar(0.0F)) ||
             column.may_contain(arrow::FloatScalar(-0.0F));
    }
    return column.may_contain(value);
  }

  Outcomes OfIsIn(const Expression::Call& call) {
    using Options = cp::SetLookupOptions;
    const Values values = ValuesOf(call.arguments[0]);
    const auto& options = static_cast<const Options&>(*call.options);
    const auto set = options.value_set.make_array();
    const bool null_in_set = set->null_count() > 0;
    const auto nulls = options.null_matching_behavior;

    const bool matches = values.can_number && AnyWithin(*set, values);
    const bool nan_matches = values.can_nan && HasNan(*set);
    const bool misses = values.can_value && !SurelyIn(*set, values);
    const bool null_true = nulls == Options::MATCH && null_in_set;
    const bool null_false =
        nulls == Options::SKIP || (nulls == Options::MATCH && !null_in_set);
    const bool miss_is_null = nulls == Options::INCONCLUSIVE && null_in_set;
    Outcomes out;
    out.can_true = matches || nan_matches || (values.can_null && null_true);
    out.can_false = (misses && !miss_is_null) || (values.can_null && null_false);
    out.can_null =
        (misses && miss_is_null) || (values.can_null && !null_true && !null_false);
    return out;
  }

  /// The set is sorted: numbers, NaN, null. The first number not below `bound`.
  static int64_t LowerBound(const arrow::Array& set, int64_t numbers,
                            const Scalar& bound) {
    int64_t begin = 0;
    int64_t end = numbers;
    while (begin < end) {
      const int64_t middle = begin + (end - begin) / 2;
      const auto value = set.GetScalar(middle);
      if (value.ok() && CompareScalars(**value, bound) < 0) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin;
  }

  static int64_t NumbersIn(const arrow::Array& set) {
    int64_t numbers = set.length() - set.null_count();
    while (numbers > 0 && arrow::is_floating(set.type_id())) {
      const auto value = set.GetScalar(numbers - 1);
      if (!value.ok() || !IsNan(**value)) break;
      --numbers;
    }
    return numbers;
  }

  static bool HasNan(const arrow::Array& set) {
    return NumbersIn(set) < set.length() - set.null_count();
  }

  /// Whether a value of the set lies within the bounds and may be in the column.
  static bool AnyWithin(const arrow::Array& set, const Values& values) {
    // So many look-ups in a bloom filter find one false positive almost surely.
    constexpr int64_t kLookUps = 1000;
    const int64_t numbers = NumbersIn(set);
    const int64_t begin =
        values.min == nullptr ? 0 : LowerBound(set, numbers, *values.min);
    for (int64_t i = begin; i < numbers; ++i) {
      const auto value = set.GetScalar(i);
      if (!value.ok() || i - begin == kLookUps) return true;
      if (Less(values.max, *value)) return false;
      if (MayContain(values, **value)) return true;
    }
    return false;
  }

  /// Whether there is but one value and the set has it. Never for floating point, where
  /// there may be NaN, and zeros of either sign.
  static bool SurelyIn(const arrow::Array& set, const Values& values) {
    if (values.min == nullptr || values.max == nullptr || values.can_nan ||
        arrow::is_floating(set.type_id()) ||
        CompareScalars(*values.min, *values.max) != 0) {
      return false;
    }
    const int64_t numbers = NumbersIn(set);
    const int64_t at = LowerBound(set, numbers, *values.min);
    if (at == numbers) return false;
    const auto value = set.GetScalar(at);
    return value.ok() && CompareScalars(**value, *values.min) == 0;
  }

  /// `like 'abc%'`: the values that begin so are a range.
  Outcomes OfPrefix(const Expression::Call& call) {
    const Values values = ValuesOf(call.arguments[0]);
    const auto& options = static_cast<const cp::MatchSubstringOptions&>(*call.options);
    Outcomes out{values.can_value, values.can_value, values.can_null};
    if (options.ignore_case ||
        !arrow::is_base_binary_like(call.arguments[0].type()->id())) {
      return out;
    }
    const std::string_view pattern = options.pattern;
    const bool like = call.function_name == "match_like";
    const size_t wild = like ? pattern.find_first_of("%_") : pattern.size();
    const std::string_view prefix = pattern.substr(0, wild);
    const bool only_prefix =
        !like || (wild != std::string_view::npos && pattern.substr(wild) == "%");
    const auto view = [](const ScalarPtr& bound) {
      return static_cast<const arrow::BaseBinaryScalar&>(*bound).view();
    };
    if (values.max != nullptr && view(values.max) < prefix) out.can_true = false;
    if (values.min != nullptr && view(values.min) > prefix &&
        !view(values.min).starts_with(prefix)) {
      out.can_true = false;
    }
    if (only_prefix && values.min != nullptr && values.max != nullptr &&
        view(values.min).starts_with(prefix) && view(values.max).starts_with(prefix)) {
      out.can_false = false;
    }
    return out;
  }

  Values ValuesOf(const Expression& expression) {
    if (const Datum* literal = expression.literal()) return Point(literal->scalar());
    if (const auto* parameter = expression.parameter())
      return Column(parameter->indices[0]);
    const Expression::Call& call = *expression.call();
    if (call.function_name == "cast") {
      if (auto cast = OfCast(call)) return *std::move(cast);
    }
    if (call.function_name == kSplitKey) return OfSplitKey(call);
    Values values;
    values.can_null = CanNull(expression);
    values.can_value = values.can_number = CanValue(expression);
    values.can_nan = arrow::is_floating(expression.type()->id()) && values.can_value;
    return values;
  }

  // Known where the value is: of partitions, say.
  Values OfSplitKey(const Expression::Call& call) {
    const Values of = ValuesOf(call.arguments[0]);
    const Scalar& seed = *call.arguments[1].literal()->scalar();
    if (!of.can_null && of.min != nullptr && of.max != nullptr &&
        CompareScalars(*of.min, *of.max) == 0) {
      const auto key =
          SplitKeyOf(*of.min, static_cast<const arrow::UInt64Scalar&>(seed).value);
      if (key.ok()) return Point(arrow::MakeScalar(*key));
    }
    Values values;
    values.can_null = false;
    return values;
  }

  static Values Point(const ScalarPtr& scalar) {
    Values values;
    values.can_null = !scalar->is_valid;
    values.can_value = scalar->is_valid;
    values.can_nan = scalar->is_valid && IsNan(*scalar);
    values.can_number = scalar->is_valid && !values.can_nan;
    if (values.can_number) values.min = values.max = scalar;
    return values;
  }

  std::optional<Values> OfCast(const Expression::Call& call) {
    const auto& options = static_cast<const cp::CastOptions&>(*call.options);
    const auto to = options.to_type.GetSharedPtr();
    const Expression& from = call.arguments[0];
    if (from.parameter() != nullptr &&
        PlainType(from.type()->GetSharedPtr())->Equals(*to)) {
      return ValuesOf(from);
    }
    const bool real = arrow::is_floating(to->id());
    const bool safe = options.Equals(cp::CastOptions::Safe(to)) || real;
    if (!safe || !KeepsOrder(*from.type(), *to)) return std::nullopt;
    Values values = ValuesOf(from);
    values.may_contain = nullptr;
    for (ScalarPtr* bound : {&values.min, &values.max}) {
      if (*bound == nullptr) continue;
      auto cast = cp::Cast(Datum(*bound), options);
      *bound = cast.ok() ? PlainBound(cast->scalar(), to) : nullptr;
      // Rows may fail as the bound did: leave it to them to say so.
      if (*bound == nullptr) return std::nullopt;
    }
    return values;
  }

  /// Whether null comes of a call only where an argument is null.
  static bool NullFromArguments(const Expression::Call& call) {
    return call.function != nullptr && call.function->kind() == cp::Function::SCALAR &&
           static_cast<const cp::ScalarKernel*>(call.kernel)->null_handling ==
               cp::NullHandling::INTERSECTION;
  }

  bool CanNull(const Expression& expression) {
    const Expression::Call* call = expression.call();
    if (call == nullptr) return ValuesOf(expression).can_null;
    if (!NullFromArguments(*call)) return true;
    return std::any_of(call->arguments.begin(), call->arguments.end(),
                       [&](const Expression& argument) { return CanNull(argument); });
  }

  bool CanValue(const Expression& expression) {
    const Expression::Call* call = expression.call();
    if (call == nullptr) return ValuesOf(expression).can_value;
    if (!NullFromArguments(*call)) return true;
    return std::all_of(call->arguments.begin(), call->arguments.end(),
                       [&](const Expression& argument) { return CanValue(argument); });
  }

  const arrow::Schema& schema_;
  const std::function<ColumnBounds(int)>& bounds_;
  std::map<int, Values> columns_;
  bool no_rows_ = false;
};

}  // namespace

Result<Verdict> DecideCondition(const Expression& condition, const arrow::Schema& schema,
                                const std::function<ColumnBounds(int)>& bounds) {
  Decider decider(schema, bounds);
  // Even a filter that needs no column's bounds passes nothing of nothing.
  if (schema.num_fields() > 0) decider.Column(0);
  const Outcomes outcomes = decider.Of(condition);
  if (decider.no_rows() || !outcomes.can_true) return Verdict::kNone;
  return outcomes.can_false || outcomes.can_null ? Verdict::kSome : Verdict::kAll;
}

}  // namespace headrace::expression
