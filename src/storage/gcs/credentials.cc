#include "storage/gcs/credentials.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"
#include "base/json_text.h"
#include "storage/environment.h"
#include "storage/signature.h"

namespace headrace::storage {
namespace {

using base::TextAt;

constexpr int64_t kTokenSeconds = 3600;

std::string CredentialsPath() {
  std::string path = Environment("GOOGLE_APPLICATION_CREDENTIALS");
  if (!path.empty()) return path;
  std::string folder = Environment("CLOUDSDK_CONFIG");
  if (folder.empty()) folder = Environment("HOME") + "/.config/gcloud";
  return folder + "/application_default_credentials.json";
}

// Of who has logged in: a token for what they were given then.
HttpRequest RefreshRequest(const nlohmann::json& user) {
  const std::string uri = TextAt(user, "token_uri");
  return TokenRequest(uri.empty() ? "https://oauth2.googleapis.com/token" : uri,
                      {{"grant_type", "refresh_token"},
                       {"client_id", TextAt(user, "client_id")},
                       {"client_secret", TextAt(user, "client_secret")},
                       {"refresh_token", TextAt(user, "refresh_token")}});
}

HttpRequest MachineRequest() {
  const std::string given = Environment("GCE_METADATA_ROOT");
  return {.method = "GET",
          .url = "http://" + (given.empty() ? "metadata.google.internal" : given) +
                 "/computeMetadata/v1/instance/service-accounts/default/token",
          .headers = {"Metadata-Flavor: Google"},
          .proxies = false};
}

}  // namespace

Result<Token> SignOwnToken(const std::string& key_file) {
  const auto key = nlohmann::json::parse(key_file, nullptr, /*allow_exceptions=*/false);
  const std::string email = TextAt(key, "client_email");
  const int64_t now = base::NowMs() / 1000;
  const nlohmann::json header = {
      {"alg", "RS256"}, {"typ", "JWT"}, {"kid", TextAt(key, "private_key_id")}};
  const nlohmann::json claims = {
      {"iss", email},
      {"sub", email},
      {"scope", "https://www.googleapis.com/auth/devstorage.read_write"},
      {"iat", now},
      {"exp", now + kTokenSeconds}};
  ARROW_ASSIGN_OR_RAISE(std::string text,
                        SignedToken(base::JsonText(header), base::JsonText(claims),
                                    TextAt(key, "private_key")));
  return Token{std::move(text), 1000 * (now + kTokenSeconds)};
}

Result<AskToken> FindGoogleCredentials(HttpSend send) {
  const std::string path = CredentialsPath();
  const std::string content = ContentOf(path);
  if (content.empty()) {
    return [send = std::move(send)] {
      return AskIssuer(send, MachineRequest(), RetryPolicy());
    };
  }
  auto file = nlohmann::json::parse(content, nullptr, /*allow_exceptions=*/false);
  const std::string type = TextAt(file, "type");
  if (type == "service_account") return [content] { return SignOwnToken(content); };
  if (type == "authorized_user") {
    return [send = std::move(send), file = std::move(file)] {
      return AskIssuer(send, RefreshRequest(file), RetryPolicy());
    };
  }
  return Error(ErrorKind::kUnsupported,
               path + " has credentials of the type \"" + type +
                   "\", expected \"service_account\" or \"authorized_user\"");
}

}  // namespace headrace::storage
