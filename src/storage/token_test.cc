// What issuers answer, by a script; tests/integration/test_default_credentials.py has
// servers.
#include "storage/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>

#include "base/clock.h"
#include "tests/cpp/lake.h"

namespace headrace::storage {
namespace {

using testing::Check;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kHourMs = 3600 * 1000;

Result<Token> Ask(std::deque<Result<HttpAnswer>> answers) {
  const RetryPolicy retry{.attempts = 3,
                          .clock = {.now = [] { return 0.0; }, .wait = [](double) {}}};
  auto asked = AskIssuer(
      [&](const HttpRequest&) {
        auto answer = std::move(answers.front());
        answers.pop_front();
        return answer;
      },
      {.url = "https://issuer.example/token?a=b"}, retry);
  EXPECT_TRUE(answers.empty());
  return asked;
}

TEST(AskIssuer, TakesTheTokenAndWhenItEnds) {
  const int64_t before = base::NowMs();
  Token token =
      Check(Ask({HttpAnswer{200, R"({"access_token": "t", "expires_in": 3600})"}}));
  EXPECT_EQ(token.text, "t");
  EXPECT_GE(token.ends_ms, before + kHourMs);
  EXPECT_LE(token.ends_ms, base::NowMs() + kHourMs);
  token = Check(Ask({HttpAnswer{200, R"({"access_token": "t", "expires_on": "1700"})"}}));
  EXPECT_EQ(token.ends_ms, 1'700'000);
  token = Check(Ask({HttpAnswer{200, R"({"access_token": "t"})"}}));
  EXPECT_GT(token.ends_ms, base::NowMs());
}

TEST(AskIssuer, AsksAgainWhatFailsInPassing) {
  const HttpAnswer token{200, R"({"access_token": "t"})"};
  EXPECT_EQ(Check(Ask({HttpAnswer{503, ""}, Status::IOError("reset"), token})).text, "t");
  const Status busy =
      Ask({HttpAnswer{503, ""}, HttpAnswer{429, ""}, HttpAnswer{500, ""}}).status();
  EXPECT_EQ(KindOf(busy), ErrorKind::kUnavailable);
  EXPECT_THAT(busy.message(), HasSubstr("issuer.example answers with HTTP status 500"));
}

TEST(AskIssuer, TellsWhatARefusalSaysAndAsksOnce) {
  const Status status =
      Ask({HttpAnswer{401,
                      R"({"error": "invalid_client", "error_description": "No\nway"})"}})
          .status();
  EXPECT_EQ(KindOf(status), ErrorKind::kDenied);
  EXPECT_THAT(status.message(), HasSubstr("HTTP status 401 (invalid_client: No way)"));
}

TEST(AskIssuer, DeniesWhatIsNoTokenAndDoesNotShowIt) {
  for (const char* body : {"", "[]", "HUSH", R"({"access_token": ["HUSH"]})"}) {
    const Status status = Ask({HttpAnswer{200, body}}).status();
    EXPECT_EQ(KindOf(status), ErrorKind::kDenied) << body;
    EXPECT_THAT(status.message(), Not(HasSubstr("HUSH")));
  }
}

TEST(KeepToken, AsksAgainBeforeTheTokenEnds) {
  int asked = 0;
  int64_t lasts_ms = kHourMs;
  const TokenSource source = KeepToken([&]() -> Result<Token> {
    return Token{"t" + std::to_string(++asked), base::NowMs() + lasts_ms};
  });
  EXPECT_EQ(Check(source()), "t1");
  EXPECT_EQ(Check(source()), "t1");
  lasts_ms = 60 * 1000;  // ends too soon to be kept
  const TokenSource brief = KeepToken([&]() -> Result<Token> {
    return Token{"t" + std::to_string(++asked), base::NowMs() + lasts_ms};
  });
  EXPECT_EQ(Check(brief()), "t2");
  EXPECT_EQ(Check(brief()), "t3");
}

TEST(KeepToken, AsksAgainAfterAFailure) {
  int asked = 0;
  const TokenSource source = KeepToken([&]() -> Result<Token> {
    if (++asked == 1) return Error(ErrorKind::kUnavailable, "not now");
    return Token{"t", base::NowMs() + kHourMs};
  });
  EXPECT_EQ(KindOf(source().status()), ErrorKind::kUnavailable);
  EXPECT_EQ(Check(source()), "t");
}

TEST(KeepFound, LetsTokensGoByTlsOrToThisHost) {
  const AskToken ask = []() -> Result<Token> { return Token{"t"}; };
  EXPECT_EQ(Check(Check(KeepFound(ask, "https", "storage.example"))()), "t");
  for (const char* here : {"127.0.0.1:90", "localhost", "localhost:90", "[::1]:90"}) {
    EXPECT_TRUE(KeepFound(ask, "http", here).ok()) << here;
  }
  for (const char* there : {"storage.example", "localhost.example:90", "10.0.0.1"}) {
    const Status status = KeepFound(ask, "http", there).status();
    EXPECT_EQ(KindOf(status), ErrorKind::kUnsupported) << there;
    EXPECT_THAT(status.message(), HasSubstr("expected the scheme https"));
  }
}

TEST(TokenRequest, EncodesItsFields) {
  const HttpRequest request = TokenRequest("https://x/t", {{"a", "1 &2"}, {"b", "c=+"}});
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.body, "a=1%20%262&b=c%3D%2B");
}

}  // namespace
}  // namespace headrace::storage
