#include <arrow/filesystem/gcsfs.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/json_text.h"
#include "storage/gcs/credentials.h"
#include "storage/http_put.h"
#include "storage/signature.h"
#include "storage/system.h"

namespace headrace::storage {
namespace {

// An upload in two parts, name and bytes: of Google's ways the one that emulators, too,
// hold to the condition in.
Result<HttpRequest> Upload(const arrow::fs::GcsOptions& gcs, const TokenSource& token,
                           const std::string& path, std::string_view bytes) {
  const size_t slash = path.find('/');
  const std::string host =
      gcs.endpoint_override.empty() ? "storage.googleapis.com" : gcs.endpoint_override;
  const std::string boundary = "headrace" + Sha256Hex(bytes);
  const nlohmann::json name = {
      {"name", slash == std::string::npos ? "" : path.substr(slash + 1)}};
  HttpRequest request{
      .method = "POST",
      .url = gcs.scheme + "://" + host + "/upload/storage/v1/b/" +
             PercentEncode(path.substr(0, slash)) +
             "/o?uploadType=multipart&ifGenerationMatch=0",
      .headers = {"Content-Type: multipart/related; boundary=" + boundary},
      .body = "--" + boundary +
              "\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n" +
              base::JsonText(name) + "\r\n--" + boundary +
              "\r\nContent-Type: application/octet-stream\r\n\r\n" + std::string(bytes) +
              "\r\n--" + boundary + "--\r\n"};
  if (token != nullptr) {
    ARROW_ASSIGN_OR_RAISE(const std::string text, token());
    request.headers.push_back("Authorization: Bearer " + text);
  }
  return request;
}

}  // namespace

Result<System> MakeGcs(const std::string& uri, const OptionMap& given) {
  ARROW_ASSIGN_OR_RAISE(
      Options options,
      Options::Make("Google Cloud Storage", given,
                    {"endpoint_override", "scheme", "anonymous", "access_token",
                     "project_id", "service_account_json", "retry_time_limit"}));
  const ObjectUri split = ObjectUri::Split(uri);
  std::string bucket;
  ARROW_ASSIGN_OR_RAISE(auto from_uri,
                        arrow::fs::GcsOptions::FromUri(split.base, &bucket));
  ARROW_ASSIGN_OR_RAISE(const bool anonymous, options.Flag("anonymous"));
  arrow::fs::GcsOptions gcs = from_uri;
  const std::string endpoint =
      options.Get("endpoint_override", from_uri.endpoint_override);
  const std::string scheme =
      options.Get("scheme", from_uri.scheme.empty() ? "https" : from_uri.scheme);
  std::string put_needs =
      "the storage option \"access_token\" or \"service_account_json\"";
  TokenSource token;
  if (anonymous) {
    gcs = arrow::fs::GcsOptions::Anonymous();
  } else if (options.Has("access_token")) {
    const std::string given_token = options.Get("access_token");
    token = [given_token]() -> Result<std::string> { return given_token; };
    gcs = arrow::fs::GcsOptions::FromAccessToken(
        given_token, std::chrono::system_clock::now() + std::chrono::hours(24));
  } else if (options.Has("service_account_json")) {
    const std::string key = options.Get("service_account_json");
    token = KeepToken([key] { return SignOwnToken(key); });
    gcs = arrow::fs::GcsOptions::FromServiceAccountCredentials(key);
  } else {
    auto found =
        KeepFound(FindGoogleCredentials(MakeHttpSend(kConnectTimeout, kRequestTimeout)),
                  scheme, endpoint);
    if (found.ok()) {
      token = *std::move(found);
    } else {
      put_needs += "; " + found.status().message();
    }
  }
  gcs.endpoint_override = endpoint;
  gcs.scheme = scheme;
  if (options.Has("project_id")) gcs.project_id = options.Get("project_id");
  ARROW_ASSIGN_OR_RAISE(const double time_limit,
                        options.Seconds("retry_time_limit", kRequestTimeout));
  gcs.retry_limit_seconds = time_limit;
  ARROW_ASSIGN_OR_RAISE(auto filesystem, arrow::fs::GcsFileSystem::Make(gcs));
  System system{.filesystem = filesystem,
                .path = split.PathBelow(bucket),
                .display_prefix = "gs://",
                .retry = {.time_max_s = std::min(time_limit, kRetryTime)}};
  if (token == nullptr && !(anonymous && !gcs.endpoint_override.empty())) {
    system.put_needs = std::move(put_needs);
    return system;
  }
  system.put_if_absent =
      MakeHttpPut({.request =
                       [gcs, token](const std::string& path, std::string_view bytes) {
                         return Upload(gcs, token, path, bytes);
                       },
                   .send = MakeHttpSend(kConnectTimeout, time_limit),
                   .filesystem = filesystem,
                   .retry = RequestRetry(time_limit),
                   .heeds_condition = gcs.endpoint_override.empty()});
  return system;
}

}  // namespace headrace::storage
