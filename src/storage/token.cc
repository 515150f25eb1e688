#include "storage/token.h"

#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/one_line.h"

namespace headrace::storage {
namespace {

using base::TextAt;

constexpr int64_t kRenewedBeforeMs = 300'000;
// Of a token whose end is not told.
constexpr int64_t kShortMs = 360'000;
constexpr size_t kWordsMax = 300;

// A number, or its digits in a string, as some issuers have it; else 0.
int64_t NumberAt(const nlohmann::json& json, const char* name) {
  if (!json.contains(name)) return 0;
  if (json[name].is_number()) return json[name].get<int64_t>();
  return std::strtoll(TextAt(json, name).c_str(), nullptr, 10);
}

// What an issuer says of its refusal: the fields of OAuth 2, or those of Google's.
std::string WordsOf(const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  std::string words = TextAt(json, "error");
  const std::string more = TextAt(json, "error_description");
  if (!more.empty()) words += (words.empty() ? "" : ": ") + more;
  return base::OneLine(words).substr(0, kWordsMax);
}

bool IsBusy(int status) { return status == 408 || status == 429 || status >= 500; }

std::string HostOf(const std::string& url) {
  const size_t begin = url.find("://") + 3;
  return url.substr(begin, url.find_first_of("/?", begin) - begin);
}

class Keeper {
 public:
  explicit Keeper(AskToken ask) : ask_(std::move(ask)) {}

  Result<std::string> Get() {
    const std::scoped_lock lock(mutex_);
    if (token_.text.empty() || base::NowMs() + kRenewedBeforeMs > token_.ends_ms) {
      ARROW_ASSIGN_OR_RAISE(token_, ask_());
    }
    return token_.text;
  }

 private:
  const AskToken ask_;
  std::mutex mutex_;
  Token token_;
};

}  // namespace

TokenSource KeepToken(AskToken ask) {
  return [keeper = std::make_shared<Keeper>(std::move(ask))] { return keeper->Get(); };
}

Result<TokenSource> KeepFound(Result<AskToken> found, const std::string& scheme,
                              const std::string& authority) {
  ARROW_ASSIGN_OR_RAISE(AskToken ask, std::move(found));
  const bool here = authority.starts_with("127.") || authority.starts_with("[::1]") ||
                    authority == "localhost" || authority.starts_with("localhost:");
  if (scheme == "https" || here) return KeepToken(std::move(ask));
  return Error(ErrorKind::kUnsupported,
               "the credentials that the environment has are not sent to " + authority +
                   " in the clear: expected the scheme https");
}

Result<Token> TokenOfJson(const std::string& json, const std::string& whose) {
  const auto answer = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  Token token;
  for (const char* name : {"access_token", "accessToken"}) {
    if (token.text.empty()) token.text = TextAt(answer, name);
  }
  if (token.text.empty()) {
    return Error(ErrorKind::kDenied, whose + " answered without a token");
  }
  const int64_t in_s = NumberAt(answer, "expires_in");
  const int64_t on_s = NumberAt(answer, "expires_on");
  token.ends_ms = in_s > 0   ? base::NowMs() + 1000 * in_s
                  : on_s > 0 ? 1000 * on_s
                             : base::NowMs() + kShortMs;
  return token;
}

Result<Token> AskIssuer(const HttpSend& send, const HttpRequest& request,
                        const RetryPolicy& retry) {
  const std::string host = HostOf(request.url);
  return Retried(retry, host, [&]() -> Result<Token> {
    const auto answer = send(request);
    if (!answer.ok()) {
      return Error(ErrorKind::kUnavailable, "no token: " + host + " does not answer: " +
                                                base::OneLine(answer.status().message()));
    }
    if (answer->status == 200) return TokenOfJson(answer->body, host);
    const std::string words = WordsOf(answer->body);
    return Error(IsBusy(answer->status) ? ErrorKind::kUnavailable : ErrorKind::kDenied,
                 "no token: " + host + " answers with HTTP status " +
                     std::to_string(answer->status) +
                     (words.empty() ? "" : " (" + words + ")"));
  });
}

HttpRequest TokenRequest(const std::string& url,
                         const std::vector<std::pair<std::string, std::string>>& fields) {
  HttpRequest request{.method = "POST",
                      .url = url,
                      .headers = {"Content-Type: application/x-www-form-urlencoded",
                                  "Accept: application/json"}};
  for (const auto& [name, value] : fields) {
    request.body += (request.body.empty() ? "" : "&") + name + "=" + PercentEncode(value);
  }
  return request;
}

}  // namespace headrace::storage
