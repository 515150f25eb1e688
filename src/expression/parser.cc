#include <arrow/array/util.h>
#include <arrow/builder.h>
#include <arrow/compute/api_scalar.h>
#include <arrow/util/utf8.h>
#include <arrow/util/value_parsing.h>

#include <algorithm>
#include <charconv>
#include <span>

#include "expression/filter.h"
#include "expression/functions.h"
#include "expression/lexer.h"
#include "expression/literal.h"

namespace headrace::expression {
namespace {

namespace cp = arrow::compute;

// Of the tree, and of the recursion that builds it: later passes recurse over the tree.
constexpr int kDepthMax = 200;

/// Recursive descent; one method a rule of the grammar in docs/guide/filters.md. `depth`
/// counts the rules' recursion, `Node::height` the tree's.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), tokens_(Tokenize(text)) {}

  Result<cp::Expression> Parse() {
    if (Peek().kind == TokenKind::kEnd) {
      return Error(ErrorKind::kInvalidArgument,
                   "the filter is empty, expected a condition such as \"year = 2013\"");
    }
    ARROW_ASSIGN_OR_RAISE(Node node, Disjunction(0));
    if (Peek().kind != TokenKind::kEnd) {
      return Unexpected("an operator, 'and', 'or' or the end");
    }
    return std::move(node.expression);
  }

 private:
  struct Node {
    cp::Expression expression;
    int height = 1;
  };

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(next_ + ahead, tokens_.size() - 1)];
  }
  const Token& Take() { return tokens_[next_++]; }

  bool IsSymbol(std::string_view symbol, size_t ahead = 0) const {
    return Peek(ahead).kind == TokenKind::kSymbol && Peek(ahead).text == symbol;
  }
  bool IsKeyword(std::string_view keyword, size_t ahead = 0) const {
    return Peek(ahead).kind == TokenKind::kName &&
           EqualsKeyword(Peek(ahead).text, keyword);
  }
  bool AcceptSymbol(std::string_view symbol) {
    if (!IsSymbol(symbol)) return false;
    ++next_;
    return true;
  }
  bool AcceptKeyword(std::string_view keyword) {
    if (!IsKeyword(keyword)) return false;
    ++next_;
    return true;
  }

  static std::string Describe(const Token& token) {
    switch (token.kind) {
      case TokenKind::kEnd:
        return "the end";
      case TokenKind::kName:
        return (IsReservedWord(token.text) ? "the keyword '" : "'") + token.text + "'";
      case TokenKind::kQuotedName:
        return "\"" + token.text + "\"";
      case TokenKind::kString:
        return "the string '" + token.text + "'";
      default:
        return "'" + token.text + "'";
    }
  }

  Status Fail(const Token& token, const std::string& complaint) const {
    return SyntaxError(text_, token.offset, complaint);
  }
  Status Unexpected(const std::string& expected) const {
    if (Peek().kind == TokenKind::kInvalid) return Fail(Peek(), Peek().text);
    return Fail(Peek(), "found " + Describe(Peek()) + ", expected " + expected);
  }
  Status TooDeep(const Token& token) const {
    return Fail(token, "the filter is nested deeper than " + std::to_string(kDepthMax) +
                           " levels; split it or use 'in (...)'");
  }

  Result<Node> Call(const Token& at, const char* function, std::vector<Node> arguments,
                    std::shared_ptr<cp::FunctionOptions> options = nullptr) const {
    int height = 0;
    std::vector<cp::Expression> expressions;
    expressions.reserve(arguments.size());
    for (Node& argument : arguments) {
      height = std::max(height, argument.height);
      expressions.push_back(std::move(argument.expression));
    }
    if (height >= kDepthMax) return TooDeep(at);
    return Node{cp::call(function, std::move(expressions), std::move(options)),
                height + 1};
  }

  // Long chains of `and` and `or` become balanced trees, so that their length is not
  // depth.
  Result<Node> Balanced(const Token& at, const char* function,
                        std::span<Node> nodes) const {
    if (nodes.size() == 1) return std::move(nodes.front());
    const size_t half = nodes.size() / 2;
    ARROW_ASSIGN_OR_RAISE(Node left, Balanced(at, function, nodes.first(half)));
    ARROW_ASSIGN_OR_RAISE(Node right, Balanced(at, function, nodes.subspan(half)));
    return Call(at, function, {std::move(left), std::move(right)});
  }

  Result<Node> Disjunction(int depth) {
    const Token& at = Peek();
    if (depth > kDepthMax) return TooDeep(at);
    std::vector<Node> nodes;
    do {
      ARROW_ASSIGN_OR_RAISE(nodes.emplace_back(), Conjunction(depth));
    } while (AcceptKeyword("or"));
    return Balanced(at, "or_kleene", nodes);
  }

  Result<Node> Conjunction(int depth) {
    const Token& at = Peek();
    std::vector<Node> nodes;
    do {
      ARROW_ASSIGN_OR_RAISE(nodes.emplace_back(), Negation(depth));
    } while (AcceptKeyword("and"));
    return Balanced(at, "and_kleene", nodes);
  }

  Result<Node> Negation(int depth) {
    const Token& at = Peek();
    if (!AcceptKeyword("not")) return Predicate(depth);
    if (depth > kDepthMax) return TooDeep(at);
    ARROW_ASSIGN_OR_RAISE(Node operand, Negation(depth + 1));
    return Call(at, "invert", {std::move(operand)});
  }

  Result<Node> Predicate(int depth) {
    static constexpr std::pair<const char*, const char*> kComparisons[] = {
        {"=", "equal"},      {"==", "equal"},        {"!=", "not_equal"},
        {"<>", "not_equal"}, {"<", "less"},          {"<=", "less_equal"},
        {">", "greater"},    {">=", "greater_equal"}};
    ARROW_ASSIGN_OR_RAISE(Node left, Sum(depth));
    const Token& at = Peek();
    for (const auto& [symbol, function] : kComparisons) {
      if (AcceptSymbol(symbol)) {
        ARROW_ASSIGN_OR_RAISE(Node right, Sum(depth));
        return Call(at, function, {std::move(left), std::move(right)});
      }
    }
    if (AcceptKeyword("is")) {
      const bool negated = AcceptKeyword("not");
      if (!AcceptKeyword("null"))
        return Unexpected(negated ? "'null'" : "'null' or 'not'");
      if (negated) return Call(at, "is_valid", {std::move(left)});
      return Call(at, "is_null", {std::move(left)}, std::make_shared<cp::NullOptions>());
    }
    const bool negated = AcceptKeyword("not");
    std::optional<Result<Node>> node;
    if (AcceptKeyword("in")) {
      node = InList(at, std::move(left), depth);
    } else if (AcceptKeyword("between")) {
      node = Between(at, std::move(left), depth);
    } else if (IsKeyword("like") || IsKeyword("ilike")) {
      node = Like(at, std::move(left));
    } else if (negated) {
      return Unexpected("'in', 'between' or 'like'");
    } else {
      return left;
    }
    if (!negated || !node->ok()) return *std::move(node);
    return Call(at, "invert", {std::move(*node).MoveValueUnsafe()});
  }

  Result<Node> Between(const Token& at, Node value, int depth) {
    ARROW_ASSIGN_OR_RAISE(Node low, Sum(depth));
    if (!AcceptKeyword("and"))
      return Unexpected("'and' and the upper bound of 'between'");
    ARROW_ASSIGN_OR_RAISE(Node high, Sum(depth));
    ARROW_ASSIGN_OR_RAISE(Node above, Call(at, "greater_equal", {value, std::move(low)}));
    ARROW_ASSIGN_OR_RAISE(Node below,
                          Call(at, "less_equal", {std::move(value), std::move(high)}));
    return Call(at, "and_kleene", {std::move(above), std::move(below)});
  }

  Result<Node> Like(const Token& at, Node value) {
    const bool ignore_case = EqualsKeyword(Take().text, "ilike");
    if (Peek().kind != TokenKind::kString) return Unexpected("a pattern such as 'AB%'");
    return Call(at, "match_like", {std::move(value)},
                std::make_shared<cp::MatchSubstringOptions>(Take().text, ignore_case));
  }

  Result<Node> InList(const Token& at, Node value, int depth) {
    if (!AcceptSymbol("(")) return Unexpected("'(' and the values of 'in'");
    std::vector<Node> items;
    do {
      ARROW_ASSIGN_OR_RAISE(items.emplace_back(), Sum(depth));
    } while (AcceptSymbol(","));
    if (!AcceptSymbol(")")) return Unexpected("',' or ')'");
    ARROW_ASSIGN_OR_RAISE(auto value_set, ValueSet(items));
    if (value_set != nullptr) {
      // INCONCLUSIVE is SQL's rule: `x in (1, null)` is true or null.
      return Call(at, "is_in", {std::move(value)},
                  std::make_shared<cp::SetLookupOptions>(
                      value_set, cp::SetLookupOptions::INCONCLUSIVE));
    }
    for (Node& item : items) {
      ARROW_ASSIGN_OR_RAISE(item, Call(at, "equal", {value, std::move(item)}));
    }
    return Balanced(at, "or_kleene", items);
  }

  // The items as one array, or null if they are not literals of one type (or null
  // literals).
  static Result<std::shared_ptr<arrow::Array>> ValueSet(const std::vector<Node>& items) {
    std::shared_ptr<arrow::DataType> type = arrow::null();
    for (const Node& item : items) {
      const arrow::Datum* literal = item.expression.literal();
      if (literal == nullptr) return nullptr;
      if (literal->type()->id() == arrow::Type::NA) continue;
      if (type->id() != arrow::Type::NA && !type->Equals(literal->type())) return nullptr;
      type = literal->type();
    }
    ARROW_ASSIGN_OR_RAISE(auto builder, arrow::MakeBuilder(type));
    for (const Node& item : items) {
      const arrow::Scalar& scalar = *item.expression.literal()->scalar();
      ARROW_RETURN_NOT_OK(scalar.is_valid ? builder->AppendScalar(scalar)
                                          : builder->AppendNull());
    }
    return builder->Finish();
  }

  Result<Node> Sum(int depth) {
    ARROW_ASSIGN_OR_RAISE(Node left, Product(depth));
    while (IsSymbol("+") || IsSymbol("-")) {
      const Token& at = Take();
      ARROW_ASSIGN_OR_RAISE(Node right, Product(depth));
      ARROW_ASSIGN_OR_RAISE(left,
                            Call(at, at.text == "+" ? "add_checked" : "subtract_checked",
                                 {std::move(left), std::move(right)}));
    }
    return left;
  }

  Result<Node> Product(int depth) {
    ARROW_ASSIGN_OR_RAISE(Node left, Factor(depth));
    while (IsSymbol("*") || IsSymbol("/") || IsSymbol("%")) {
      const Token& at = Take();
      ARROW_ASSIGN_OR_RAISE(Node right, Factor(depth));
      const char* function = at.text == "*"   ? "multiply_checked"
                             : at.text == "/" ? "divide"
                                              : "remainder";
      ARROW_ASSIGN_OR_RAISE(left,
                            Call(at, function, {std::move(left), std::move(right)}));
    }
    return left;
  }

  Result<Node> Factor(int depth) {
    if (!IsSymbol("-") && !IsSymbol("+")) return Primary(depth);
    if (depth > kDepthMax) return TooDeep(Peek());
    const Token& at = Take();
    const bool negative = at.text == "-";
    const bool number =
        Peek().kind == TokenKind::kInteger || Peek().kind == TokenKind::kReal;
    if (number) return Number(Take(), negative);
    ARROW_ASSIGN_OR_RAISE(Node operand, Factor(depth + 1));
    if (!negative) return operand;
    return Call(at, "negate_checked", {std::move(operand)});
  }

  Result<Node> Primary(int depth) {
    const Token& token = Peek();
    switch (token.kind) {
      case TokenKind::kInteger:
      case TokenKind::kReal:
        return Number(Take(), /*negative=*/false);
      case TokenKind::kString:
        return Node{cp::literal(Take().text)};
      case TokenKind::kQuotedName:
        return Column();
      case TokenKind::kName:
        if (AcceptKeyword("true")) return Node{cp::literal(true)};
        if (AcceptKeyword("false")) return Node{cp::literal(false)};
        if (AcceptKeyword("null")) {
          return Node{cp::literal(arrow::MakeNullScalar(arrow::null()))};
        }
        if (IsReservedWord(token.text)) return Unexpected("a value");
        if (Peek(1).kind == TokenKind::kString) return Temporal();
        if (EqualsKeyword(token.text, kSplitKey) && IsSymbol("(", 1)) {
          return SplitKey(depth);
        }
        return Column();
      default:
        break;
    }
    if (!AcceptSymbol("(")) return Unexpected("a value");
    ARROW_ASSIGN_OR_RAISE(Node inner, Disjunction(depth + 1));
    if (!AcceptSymbol(")")) return Unexpected("an operator, 'and', 'or' or ')'");
    return inner;
  }

  Result<Node> SplitKey(int depth) {
    const Token& at = Take();
    if (depth > kDepthMax) return TooDeep(at);
    ++next_;  // the parenthesis
    ARROW_ASSIGN_OR_RAISE(Node value, Sum(depth + 1));
    if (!AcceptSymbol(",")) return Unexpected("',' and the seed of split_key");
    if (Peek().kind != TokenKind::kInteger) return Unexpected("a seed such as 7");
    ARROW_ASSIGN_OR_RAISE(Node seed, Number(Take(), /*negative=*/false));
    if (!AcceptSymbol(")")) return Unexpected("')' after the seed");
    return Call(at, kSplitKey, {std::move(value), std::move(seed)});
  }

  // `a.b.c` may be one column's name or a path into structs, which binding tells; where a
  // part is quoted the parts are what was meant.
  Result<Node> Column() {
    std::vector<std::string> parts;
    bool quoted = false;
    do {
      if (Peek().kind != TokenKind::kName && Peek().kind != TokenKind::kQuotedName) {
        return Unexpected("the name of a nested column");
      }
      quoted |= Peek().kind == TokenKind::kQuotedName;
      parts.push_back(Take().text);
    } while (AcceptSymbol("."));
    if (quoted && parts.size() > 1) {
      std::vector<arrow::FieldRef> refs(parts.begin(), parts.end());
      return Node{cp::field_ref(arrow::FieldRef(std::move(refs)))};
    }
    std::string name = parts.front();
    for (size_t i = 1; i < parts.size(); ++i) name += "." + parts[i];
    return Node{cp::field_ref(arrow::FieldRef(std::move(name)))};
  }

  Result<Node> Number(const Token& token, bool negative) const {
    const std::string digits = (negative ? "-" : "") + token.text;
    const char* end = digits.data() + digits.size();
    if (token.kind == TokenKind::kReal) {
      double value = 0;
      const auto [stop, error] = std::from_chars(digits.data(), end, value);
      if (error != std::errc() || stop != end) {
        return Fail(token, "'" + digits + "' is out of the range of double");
      }
      return Node{cp::literal(value)};
    }
    int64_t value = 0;
    if (std::from_chars(digits.data(), end, value).ec == std::errc()) {
      return Node{cp::literal(value)};
    }
    uint64_t large = 0;
    if (!negative && std::from_chars(digits.data(), end, large).ec == std::errc()) {
      return Node{cp::literal(large)};
    }
    return Fail(token,
                "'" + digits + "' does not fit 64 bits; write it with a decimal point");
  }

  Result<Node> Temporal() {
    const Token& word = Take();
    const Token& value = Take();
    std::shared_ptr<arrow::Scalar> scalar;
    if (EqualsKeyword(word.text, "date")) {
      scalar = ParseDate(value.text);
      if (scalar == nullptr) {
        return Fail(value, "'" + value.text + "' is no date, expected 'YYYY-MM-DD'");
      }
    } else if (EqualsKeyword(word.text, "timestamp")) {
      scalar = ParseTimestamp(value.text);
      if (scalar == nullptr) {
        return Fail(value, "'" + value.text +
                               "' is no timestamp, expected 'YYYY-MM-DD hh:mm:ss' with "
                               "optional fraction and zone ('Z', '+01:00')");
      }
    } else {
      return Fail(value, "found " + Describe(value) +
                             ", expected an operator, 'and', 'or' or the end");
    }
    return Node{cp::literal(std::move(scalar))};
  }

  std::string_view text_;
  std::vector<Token> tokens_;
  size_t next_ = 0;
};

}  // namespace

Result<cp::Expression> ParseFilter(std::string_view text) {
  arrow::util::InitializeUTF8();
  if (!arrow::util::ValidateUTF8(text)) {
    return Error(ErrorKind::kInvalidArgument, "the filter is not valid UTF-8");
  }
  return Parser(text).Parse();
}

}  // namespace headrace::expression
