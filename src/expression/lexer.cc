#include "expression/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

namespace headrace::expression {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Bytes of non-ASCII characters count as letters: column names come in every language.
bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool IsNameByte(char c) { return IsNameStart(c) || IsDigit(c) || c == '$'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> Run() {
    while (true) {
      while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
      if (at_ == text_.size()) break;
      const size_t begin = at_;
      Token token = Next();
      token.offset = begin;
      tokens_.push_back(std::move(token));
      if (tokens_.back().kind == TokenKind::kInvalid) break;
    }
    tokens_.push_back({TokenKind::kEnd, "", text_.size()});
    return std::move(tokens_);
  }

 private:
  static bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

  static Token Invalid(std::string complaint) {
    return {TokenKind::kInvalid, std::move(complaint), 0};
  }

  char Peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  Token Next() {
    const char c = Peek();
    if (IsNameStart(c)) return Name();
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return Number();
    if (c == '\'') return Quoted(TokenKind::kString, c, "string");
    if (c == '"' || c == '`') return Quoted(TokenKind::kQuotedName, c, "name");
    return Symbol();
  }

  Token Name() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsNameByte(text_[at_])) ++at_;
    return {TokenKind::kName, std::string(text_.substr(begin, at_ - begin)), 0};
  }

  Token Number() {
    const size_t begin = at_;
    bool real = false;
    while (IsDigit(Peek())) ++at_;
    if (Peek() == '.') {
      real = true;
      ++at_;
      while (IsDigit(Peek())) ++at_;
    }
    if (Peek() == 'e' || Peek() == 'E') {
      const size_t sign = Peek(1) == '+' || Peek(1) == '-' ? 1 : 0;
      if (IsDigit(Peek(1 + sign))) {
        real = true;
        at_ += 1 + sign;
        while (IsDigit(Peek())) ++at_;
      }
    }
    if (at_ < text_.size() && IsNameByte(text_[at_])) {
      while (at_ < text_.size() && IsNameByte(text_[at_])) ++at_;
      return Invalid("found '" + std::string(text_.substr(begin, at_ - begin)) +
                     "', expected a number (a name that begins with a digit goes in "
                     "double quotes)");
    }
    return {real ? TokenKind::kReal : TokenKind::kInteger,
            std::string(text_.substr(begin, at_ - begin)), 0};
  }

  // A doubled quote stands for one.
  Token Quoted(TokenKind kind, char quote, const char* what) {
    std::string value;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == quote) {
        if (Peek(1) != quote) {
          ++at_;
          if (kind == TokenKind::kQuotedName && value.empty()) {
            return Invalid("found an empty name, expected a column");
          }
          return {kind, std::move(value), 0};
        }
        ++at_;
      }
      value.push_back(text_[at_]);
    }
    return Invalid(std::string("found a ") + what + " that is not closed, expected " +
                   (quote == '\'' ? std::string("'") : std::string(1, quote)) +
                   " before the end");
  }

  Token Symbol() {
    static constexpr std::array<std::string_view, 17> kSymbols = {
        "==", "!=", "<>", "<=", ">=", "=", "<", ">", "(",
        ")",  ",",  ".",  "+",  "-",  "*", "/", "%"};
    const std::string_view rest = text_.substr(at_);
    for (std::string_view symbol : kSymbols) {
      if (rest.starts_with(symbol)) {
        at_ += symbol.size();
        return {TokenKind::kSymbol, std::string(symbol), 0};
      }
    }
    const char c = rest.front();
    if (c == '&') return Invalid("found '&', expected an operator (write 'and')");
    if (c == '|') return Invalid("found '|', expected an operator (write 'or')");
    if (c == '!' || c == '~') {
      return Invalid("found '" + std::string(1, c) +
                     "', expected an operator (write 'not' or '!=')");
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return Invalid("found a control character");
    }
    return Invalid("found '" + std::string(1, c) + "', which means nothing here");
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<Token> tokens_;
};

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

size_t CountCharacters(std::string_view text) {
  return text.size() -
         static_cast<size_t>(std::count_if(text.begin(), text.end(), IsContinuation));
}

}  // namespace

std::vector<Token> Tokenize(std::string_view text) { return Lexer(text).Run(); }

bool EqualsKeyword(std::string_view word, std::string_view lower) {
  return std::equal(word.begin(), word.end(), lower.begin(), lower.end(),
                    [](char a, char b) {
                      return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
                    });
}

bool IsReservedWord(std::string_view word) {
  static constexpr std::array<std::string_view, 11> kWords = {
      "and",  "or",    "not",  "in",   "between", "is",
      "like", "ilike", "null", "true", "false"};
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view keyword) {
    return EqualsKeyword(word, keyword);
  });
}

Status SyntaxError(std::string_view text, size_t offset, const std::string& complaint) {
  // Only the line of the error is shown, and of a long line only the surroundings.
  constexpr size_t kShownBytes = 60;
  const size_t newline =
      offset == 0 ? std::string_view::npos : text.rfind('\n', offset - 1);
  const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
  const size_t line_end = std::min(text.find('\n', offset), text.size());
  const size_t line = 1 + std::count(text.begin(), text.begin() + line_begin, '\n');
  const size_t column = 1 + CountCharacters(text.substr(line_begin, offset - line_begin));

  size_t begin = offset - line_begin > kShownBytes ? offset - kShownBytes : line_begin;
  while (begin < offset && IsContinuation(text[begin])) ++begin;
  size_t end = line_end - offset > kShownBytes ? offset + kShownBytes : line_end;
  while (end < line_end && IsContinuation(text[end])) ++end;
  const std::string_view left = begin > line_begin ? "..." : "";
  const std::string_view right = end < line_end ? "..." : "";

  std::string shown(text.substr(begin, end - begin));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  const size_t indent = left.size() + CountCharacters(text.substr(begin, offset - begin));
  const std::string where =
      text.find('\n') == std::string_view::npos
          ? "column " + std::to_string(column)
          : "line " + std::to_string(line) + ", column " + std::to_string(column);
  std::string message = "the filter does not parse at " + where + ": " + complaint;
  message.append("\n  ").append(left).append(shown).append(right);
  message.append("\n  ").append(indent, ' ').append("^");
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

}  // namespace headrace::expression
