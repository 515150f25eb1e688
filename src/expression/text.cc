#include "expression/text.h"

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/compute/api_scalar.h>
#include <arrow/compute/cast.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/hash.h"
#include "expression/functions.h"
#include "expression/lexer.h"
#include "expression/literal.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;
using arrow::Type;

constexpr size_t kShownBytes = 160;
constexpr int64_t kShownValues = 24;

std::string Quote(std::string_view text, char quote) {
  std::string quoted(1, quote);
  for (const char c : text) {
    quoted.push_back(c);
    if (c == quote) quoted.push_back(quote);
  }
  quoted.push_back(quote);
  return quoted;
}

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const char c : bytes) {
    hex.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    hex.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return hex;
}

std::string RealText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  std::string text(buffer, end.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string BytesText(const arrow::Scalar& literal) {
  const std::string_view all =
      static_cast<const arrow::BaseBinaryScalar&>(literal).view();
  const std::string_view bytes = all.substr(0, kShownBytes);
  std::string text = arrow::is_string(literal.type->id()) ? Quote(bytes, '\'')
                                                          : "x" + Quote(Hex(bytes), '\'');
  if (bytes.size() < all.size()) {
    text += "...(" + std::to_string(all.size()) + " bytes, " + base::HashHex(all) + ")";
  }
  return text;
}

// Arrow prints long arrays with an ellipsis: what is nested is told apart by a hash.
std::string NestedText(const arrow::Scalar& literal) {
  const auto serialized = cp::Serialize(cp::literal(literal.GetSharedPtr()));
  return literal.ToString() +
         (serialized.ok() ? "#" + base::HashHex(std::string_view(**serialized)) : "");
}

std::string ValueText(const arrow::Scalar& literal) {
  const Type::type id = literal.type->id();
  if (arrow::is_base_binary_like(id) || id == Type::FIXED_SIZE_BINARY) {
    return BytesText(literal);
  }
  switch (id) {
    case Type::DOUBLE:
      return RealText(static_cast<const arrow::DoubleScalar&>(literal).value);
    case Type::FLOAT:
      return RealText(static_cast<const arrow::FloatScalar&>(literal).value);
    case Type::DATE32:
    case Type::DATE64:
      return "date '" + literal.ToString() + "'";
    case Type::TIMESTAMP:
      return "timestamp '" + literal.ToString() + "'";
    default:
      return arrow::is_nested(id) ? NestedText(literal) : literal.ToString();
  }
}

// What the parser makes of the text without a hint.
bool IsNatural(const arrow::DataType& type) {
  switch (type.id()) {
    case Type::NA:
    case Type::BOOL:
    case Type::INT64:
    case Type::DOUBLE:
    case Type::STRING:
    case Type::DATE32:
      return true;
    default:
      return false;
  }
}

enum Precedence { kOr, kAnd, kNot, kPredicate, kSum, kProduct, kUnary, kPrimary };

struct Infix {
  const char* function;
  const char* symbol;
  Precedence precedence;
};

constexpr Infix kInfixes[] = {
    {"or_kleene", " or ", kOr},
    {"and_kleene", " and ", kAnd},
    {"equal", " = ", kPredicate},
    {"not_equal", " != ", kPredicate},
    {"less", " < ", kPredicate},
    {"less_equal", " <= ", kPredicate},
    {"greater", " > ", kPredicate},
    {"greater_equal", " >= ", kPredicate},
    {"add_checked", " + ", kSum},
    {"subtract_checked", " - ", kSum},
    {"multiply_checked", " * ", kProduct},
    {"divide", " / ", kProduct},
    {"remainder", " % ", kProduct},
};

const Infix* InfixOf(const cp::Expression::Call& call) {
  if (call.arguments.size() != 2) return nullptr;
  const auto* found = std::find_if(
      std::begin(kInfixes), std::end(kInfixes),
      [&](const Infix& infix) { return call.function_name == infix.function; });
  return found == std::end(kInfixes) ? nullptr : found;
}

class Printer {
 public:
  explicit Printer(const std::vector<std::string>& columns) : columns_(columns) {}

  /// In parentheses if it binds less tightly than `least`.
  std::string Print(const cp::Expression& expression, Precedence least,
                    const arrow::DataType* implied = nullptr) const {
    if (const arrow::Datum* literal = expression.literal()) {
      return LiteralText(*literal->scalar(), implied);
    }
    if (const auto* parameter = expression.parameter()) {
      return NameText(columns_[static_cast<size_t>(parameter->indices[0])]);
    }
    const auto [text, precedence] = PrintCall(*expression.call());
    return precedence < least ? "(" + text + ")" : text;
  }

 private:
  using Printed = std::pair<std::string, Precedence>;

  Printed PrintCall(const cp::Expression::Call& call) const {
    if (const Infix* infix = InfixOf(call)) return PrintInfix(call, *infix);
    const std::string& name = call.function_name;
    if (call.arguments.empty()) return PrintFunction(call);
    const cp::Expression& first = call.arguments.front();
    if (name == "invert") return {"not " + Print(first, kPrimary), kNot};
    if (name == "negate_checked") return {"-" + Print(first, kPrimary), kUnary};
    if (name == "is_valid") return {Print(first, kSum) + " is not null", kPredicate};
    if (name == "is_null" && !NanIsNull(call)) {
      return {Print(first, kSum) + " is null", kPredicate};
    }
    if (name == "match_like") {
      const auto& like = static_cast<const cp::MatchSubstringOptions&>(*call.options);
      return {Print(first, kSum) + (like.ignore_case ? " ilike " : " like ") +
                  Quote(like.pattern, '\''),
              kPredicate};
    }
    if (name == "is_in") return PrintIsIn(call);
    if (name == "cast") return PrintCast(call);
    if (name == kSplitKey) return PrintSplitKey(call);
    return PrintFunction(call);
  }

  // Chains print without parentheses, however they are nested.
  Printed PrintInfix(const cp::Expression::Call& call, const Infix& infix) const {
    const bool logical = infix.precedence == kOr || infix.precedence == kAnd;
    const bool comparison = infix.precedence == kPredicate;
    const auto tighter = static_cast<Precedence>(infix.precedence + 1);
    const cp::Expression& left = call.arguments[0];
    const cp::Expression& right = call.arguments[1];
    // A comparison's sides have one type; only where both are literals must it be said.
    const auto* implied = comparison && left.literal() == nullptr ? left.type() : nullptr;
    return {Print(left, comparison ? tighter : infix.precedence) + infix.symbol +
                Print(right, logical ? infix.precedence : tighter, implied),
            infix.precedence};
  }

  static bool NanIsNull(const cp::Expression::Call& call) {
    return call.options != nullptr &&
           static_cast<const cp::NullOptions&>(*call.options).nan_is_null;
  }

  Printed PrintIsIn(const cp::Expression::Call& call) const {
    const auto& options = static_cast<const cp::SetLookupOptions&>(*call.options);
    const auto values = options.value_set.make_array();
    const bool all = values->length() <= kShownValues;
    std::string set;
    for (int64_t i = 0; i < (all ? values->length() : kShownValues / 3); ++i) {
      const auto value = values->GetScalar(i);
      set += (i > 0 ? ", " : "") +
             (value.ok() ? LiteralText(**value, values->type().get()) : std::string("?"));
    }
    if (!all) {
      const auto serialized = options.Serialize();
      set += ", ... " + std::to_string(values->length()) + " values";
      if (serialized.ok()) set += ", " + base::HashHex(std::string_view(**serialized));
    }
    const std::string value = Print(call.arguments.front(), kSum);
    switch (options.null_matching_behavior) {
      case cp::SetLookupOptions::INCONCLUSIVE:
        return {value + " in (" + set + ")", kPredicate};
      case cp::SetLookupOptions::MATCH:
        return {"is_in(" + value + ", (" + set + "), nulls match)", kPrimary};
      case cp::SetLookupOptions::SKIP:
        return {"is_in(" + value + ", (" + set + "), nulls false)", kPrimary};
      case cp::SetLookupOptions::EMIT_NULL:
        break;
    }
    return {"is_in(" + value + ", (" + set + "), nulls null)", kPrimary};
  }

  Printed PrintCast(const cp::Expression::Call& call) const {
    const auto& options = static_cast<const cp::CastOptions&>(*call.options);
    const cp::Expression& from = call.arguments.front();
    const auto to = options.to_type.GetSharedPtr();
    const bool safe = options.Equals(cp::CastOptions::Safe(to));
    // A column seen as its plain type is the column.
    if (safe && from.parameter() != nullptr && from.type() != nullptr &&
        PlainType(from.type()->GetSharedPtr())->Equals(*to)) {
      return {Print(from, kPrimary), kPrimary};
    }
    return {"cast(" + Print(from, kOr) + " as " + to->ToString() +
                (safe ? "" : ", " + options.ToString()) + ")",
            kPrimary};
  }

  // A seed is an integer, as in the grammar.
  Printed PrintSplitKey(const cp::Expression::Call& call) const {
    const cp::Expression& seed = call.arguments[1];
    return {std::string(kSplitKey) + "(" + Print(call.arguments[0], kOr) + ", " +
                (seed.literal() != nullptr ? seed.literal()->scalar()->ToString()
                                           : Print(seed, kOr)) +
                ")",
            kPrimary};
  }

  Printed PrintFunction(const cp::Expression::Call& call) const {
    std::string text = call.function_name + "(";
    for (size_t i = 0; i < call.arguments.size(); ++i) {
      text += (i > 0 ? ", " : "") + Print(call.arguments[i], kOr);
    }
    if (call.options != nullptr) {
      text += (call.arguments.empty() ? "" : ", ") + call.options->ToString();
      const auto serialized = call.options->Serialize();
      if (serialized.ok()) text += "#" + base::HashHex(std::string_view(**serialized));
    }
    return {text + ")", kPrimary};
  }

  const std::vector<std::string>& columns_;
};

}  // namespace

std::string LiteralText(const arrow::Scalar& literal, const arrow::DataType* implied) {
  std::string value = literal.is_valid ? ValueText(literal) : "null";
  if (IsNatural(*literal.type) ||
      (implied != nullptr &&
       (implied == literal.type.get() || implied->Equals(*literal.type)))) {
    return value;
  }
  return "cast(" + value + " as " + literal.type->ToString() + ")";
}

std::string NameText(std::string_view name) {
  const std::vector<Token> tokens = Tokenize(name);
  bool plain = tokens.size() > 1;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const bool dot = i % 2 == 1;
    plain = plain && (dot ? tokens[i].text == "." && tokens[i].kind == TokenKind::kSymbol
                          : tokens[i].kind == TokenKind::kName);
  }
  plain = plain && tokens.size() % 2 == 0 && !IsReservedWord(tokens.front().text) &&
          name.find_first_of(" \t\r\n") == std::string_view::npos;
  return plain ? std::string(name) : Quote(name, '"');
}

std::string ExpressionText(const cp::Expression& expression,
                           const std::vector<std::string>& columns) {
  return Printer(columns).Print(expression, kOr);
}

}  // namespace headrace::expression
