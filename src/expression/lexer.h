/// \file
/// Tokens of filter text, and how a place in it is shown to its author.
#pragma once

#include <headrace/result.h>

#include <string>
#include <string_view>
#include <vector>

namespace headrace::expression {

enum class TokenKind {
  kEnd,
  kName,        ///< Unquoted: a column, or a keyword (the parser tells).
  kQuotedName,  ///< "..." or `...`: always a column.
  kString,      ///< '...'
  kInteger,
  kReal,
  kSymbol,   ///< An operator or punctuation.
  kInvalid,  ///< No token begins here; `text` says why. Always followed by kEnd.
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  /// Quotes and their escapes resolved; for kInvalid the complaint.
  std::string text;
  /// Where it begins, in bytes.
  size_t offset = 0;
};

/// Splits valid UTF-8 into tokens; the last one is kEnd.
std::vector<Token> Tokenize(std::string_view text);

/// True for words of the grammar, in any case: as column names they need quotes.
bool IsReservedWord(std::string_view word);

/// Equal but for ASCII case; `lower` is lower case.
bool EqualsKeyword(std::string_view word, std::string_view lower);

/// An InvalidArgument: `complaint`, then the line of `text` with a caret under `offset`.
Status SyntaxError(std::string_view text, size_t offset, const std::string& complaint);

}  // namespace headrace::expression
