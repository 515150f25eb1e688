/// \file
/// Bearer tokens, by which object stores know who asks, and those who issue them.
#pragma once

#include <headrace/result.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "storage/http.h"
#include "storage/retry.h"

namespace headrace::storage {

struct Token {
  std::string text;
  int64_t ends_ms = 0;  ///< Since the epoch.
};

/// Gets a new token.
using AskToken = std::function<Result<Token>()>;
/// Gives a token that holds for a while.
using TokenSource = std::function<Result<std::string>()>;

/// What `ask` gave last, and asks again five minutes before that ends, as issuers let
/// tokens be renewed. Thread-safe.
TokenSource KeepToken(AskToken ask);

/// The token in an issuer's answer, whose JSON has "access_token" and, in seconds,
/// "expires_in" or "expires_on". Asked again if it fails in passing. Denied, with the
/// issuer's words, where there is none; Unavailable where nobody answers.
Result<Token> AskIssuer(const HttpSend& send, const HttpRequest& request,
                        const RetryPolicy& retry);

/// The request for a token by OAuth 2: fields as "application/x-www-form-urlencoded".
HttpRequest TokenRequest(const std::string& url,
                         const std::vector<std::pair<std::string, std::string>>& fields);

/// KeepToken of credentials that nobody gave, which are found or not. Unsupported where
/// their tokens would be sent in the clear, to another host than this one.
Result<TokenSource> KeepFound(Result<AskToken> found, const std::string& scheme,
                              const std::string& authority);

/// A token in JSON; nothing is quoted of it in an error, which is Denied.
Result<Token> TokenOfJson(const std::string& json, const std::string& whose);

}  // namespace headrace::storage
