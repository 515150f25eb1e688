#include "storage/azure/credentials.h"

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "storage/environment.h"

namespace headrace::storage {
namespace {

constexpr const char* kResource = "https://storage.azure.com/";
constexpr const char* kScope = "https://storage.azure.com/.default";
// The command waits for the network, and sometimes for good.
constexpr const char* kAzCommand =
    "timeout 30 az account get-access-token --output json "
    "--scope https://storage.azure.com/.default 2>/dev/null </dev/null";

struct Closed {
  void operator()(std::FILE* file) const { pclose(file); }
};

// The token endpoint of a tenant.
std::string IssuerUrl() {
  std::string host = Environment("AZURE_AUTHORITY_HOST");
  if (host.empty()) host = "https://login.microsoftonline.com";
  while (host.ends_with('/')) host.pop_back();
  return host + "/" + PercentEncode(Environment("AZURE_TENANT_ID")) +
         "/oauth2/v2.0/token";
}

HttpRequest PrincipalRequest() {
  return TokenRequest(IssuerUrl(), {{"grant_type", "client_credentials"},
                                    {"client_id", Environment("AZURE_CLIENT_ID")},
                                    {"client_secret", Environment("AZURE_CLIENT_SECRET")},
                                    {"scope", kScope}});
}

// The file is written anew before what it holds ends.
HttpRequest WorkloadRequest() {
  return TokenRequest(
      IssuerUrl(),
      {{"grant_type", "client_credentials"},
       {"client_id", Environment("AZURE_CLIENT_ID")},
       {"client_assertion_type",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
       {"client_assertion", ContentOf(Environment("AZURE_FEDERATED_TOKEN_FILE"))},
       {"scope", kScope}});
}

// Of App Service, which tells where it is, or of a machine.
HttpRequest IdentityRequest() {
  const std::string service = Environment("IDENTITY_ENDPOINT");
  const std::string header = Environment("IDENTITY_HEADER");
  HttpRequest request{.method = "GET", .proxies = false};
  if (!service.empty() && !header.empty()) {
    request.url = service + "?api-version=2019-08-01";
    request.headers = {"X-IDENTITY-HEADER: " + header};
  } else {
    std::string host = Environment("AZURE_POD_IDENTITY_AUTHORITY_HOST");
    if (host.empty()) host = "http://169.254.169.254";
    request.url = host + "/metadata/identity/oauth2/token?api-version=2018-02-01";
    request.headers = {"Metadata: true"};
  }
  request.url += "&resource=" + PercentEncode(kResource);
  const std::string client = Environment("AZURE_CLIENT_ID");
  if (!client.empty()) request.url += "&client_id=" + PercentEncode(client);
  return request;
}

// What `az login` left, by the command that Azure's own libraries run for it.
Result<Token> AskCommandLine() {
  const std::unique_ptr<std::FILE, Closed> out(
      popen(kAzCommand, "re"));  // NOLINT(cert-env33-c): no text of others in it
  std::string json;
  std::array<char, 4096> part = {};
  while (out != nullptr) {
    const size_t size = std::fread(part.data(), 1, part.size(), out.get());
    if (size == 0) break;
    json.append(part.data(), size);
  }
  return TokenOfJson(json, "`az account get-access-token`");
}

}  // namespace

Result<AskToken> FindAzureCredentials(HttpSend send) {
  const auto is_set = [](const char* name) { return !Environment(name).empty(); };
  if (is_set("AZURE_TENANT_ID") && is_set("AZURE_CLIENT_ID")) {
    if (is_set("AZURE_CLIENT_SECRET")) {
      return [send = std::move(send)] {
        return AskIssuer(send, PrincipalRequest(), RetryPolicy());
      };
    }
    if (is_set("AZURE_CLIENT_CERTIFICATE_PATH")) {
      return Error(ErrorKind::kUnsupported,
                   "AZURE_CLIENT_CERTIFICATE_PATH names a certificate, expected "
                   "AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE");
    }
    if (is_set("AZURE_FEDERATED_TOKEN_FILE")) {
      return [send = std::move(send)] {
        return AskIssuer(send, WorkloadRequest(), RetryPolicy());
      };
    }
  }
  return [send = std::move(send)]() -> Result<Token> {
    auto token = AskCommandLine();
    if (token.ok()) return token;
    auto of_machine = AskIssuer(send, IdentityRequest(), RetryPolicy());
    if (of_machine.ok()) return of_machine;
    return Error(KindOf(of_machine.status()),
                 of_machine.status().message() + "; " + token.status().message());
  };
}

}  // namespace headrace::storage
