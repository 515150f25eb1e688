#include <arrow/filesystem/s3fs.h>
#include <arrow/util/uri.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "storage/http_put.h"
#include "storage/s3/module.h"
#include "storage/signature.h"

namespace headrace::storage {
namespace {

// The URI with options that Arrow takes from the query. Given there, an endpoint or
// region keeps Arrow from asking AWS for the bucket's region.
std::string WithQuery(const std::string& uri, const Options& options) {
  std::string text = uri;
  for (const char* name : {"endpoint_override", "region", "scheme"}) {
    if (!options.Has(name)) continue;
    text += text.find('?') == std::string::npos ? "?" : "&";
    text += std::string(name) + "=" + arrow::util::UriEscape(options.Get(name));
  }
  return text;
}

// Where a bucket's objects are, with a slash at the end.
std::string UrlOfBucket(const arrow::fs::S3Options& s3, const std::string& region,
                        const std::string& bucket) {
  if (!s3.endpoint_override.empty()) {
    const bool has_scheme = s3.endpoint_override.find("://") != std::string::npos;
    return (has_scheme ? "" : s3.scheme + "://") + s3.endpoint_override + "/" + bucket +
           "/";
  }
  const std::string host =
      "s3." + region + ".amazonaws.com" + (region.starts_with("cn-") ? ".cn" : "");
  // The certificate of Amazon's holds for one label only.
  if (bucket.find('.') != std::string::npos) {
    return s3.scheme + "://" + host + "/" + bucket + "/";
  }
  return s3.scheme + "://" + bucket + "." + host + "/";
}

// "PutObject", where none is, or "DeleteObject".
Result<HttpRequest> ObjectRequest(const arrow::fs::S3FileSystem& filesystem,
                                  const std::string& method, const std::string& path,
                                  std::string_view bytes = "") {
  const arrow::fs::S3Options s3 = filesystem.options();
  const std::string region =
      filesystem.region().empty() ? "us-east-1" : filesystem.region();
  const size_t slash = path.find('/');
  const std::string key = slash == std::string::npos ? "" : path.substr(slash + 1);
  HttpRequest request{
      .method = method,
      .url = UrlOfBucket(s3, region, path.substr(0, slash)) + PercentEncode(key, "/"),
      .headers = {"Content-Type: application/octet-stream",
                  "x-amz-content-sha256: " + Sha256Hex(bytes)},
      .body = std::string(bytes),
      .aws_signature = "aws:amz:" + region + ":s3",
      .user = s3.GetAccessKey(),
      .password = s3.GetSecretKey(),
      .proxies = false};  // as Arrow's S3 asks none
  if (request.user.empty()) {
    return Error(ErrorKind::kDenied, "no credentials were found");
  }
  if (method == "PUT") request.headers.emplace_back("If-None-Match: *");
  const std::string token = s3.GetSessionToken();
  if (!token.empty()) request.headers.push_back("x-amz-security-token: " + token);
  return request;
}

Status Make(const std::string& uri, const Options& options, System* system) {
  ARROW_ASSIGN_OR_RAISE(const bool anonymous, options.Flag("anonymous"));
  ARROW_ASSIGN_OR_RAISE(const double connect_timeout,
                        options.Seconds("connect_timeout", kConnectTimeout));
  ARROW_ASSIGN_OR_RAISE(const double request_timeout,
                        options.Seconds("request_timeout", kRequestTimeout));
  ARROW_RETURN_NOT_OK(arrow::fs::EnsureS3Initialized());
  // Without a region this asks AWS for the bucket's.
  const ObjectUri split = ObjectUri::Split(uri);
  std::string bucket;
  ARROW_ASSIGN_OR_RAISE(
      auto s3, arrow::fs::S3Options::FromUri(WithQuery(split.base, options), &bucket));
  system->path = split.PathBelow(bucket);
  system->display_prefix = "s3://";
  if (anonymous) {
    s3.ConfigureAnonymousCredentials();
  } else if (options.Has("access_key")) {
    s3.ConfigureAccessKey(options.Get("access_key"), options.Get("secret_key"),
                          options.Get("session_token"));
  }
  s3.connect_timeout = connect_timeout;
  s3.request_timeout = request_timeout;
  s3.retry_strategy = arrow::fs::S3RetryStrategy::GetAwsStandardRetryStrategy(kAttempts);
  ARROW_ASSIGN_OR_RAISE(auto filesystem, arrow::fs::S3FileSystem::Make(s3));
  system->filesystem = filesystem;
  system->retry = {.time_max_s = std::min(request_timeout, kRetryTime)};
  if (anonymous) {
    system->put_needs = "credentials";
    return Status::OK();
  }
  const HttpSend send = MakeHttpSend(connect_timeout, request_timeout);
  // Arrow's way takes three requests: it looks first, and makes a mark of the folder
  // after.
  system->remove = MakeHttpDelete(
      [filesystem](const std::string& path) {
        return ObjectRequest(*filesystem, "DELETE", path);
      },
      send, RequestRetry(request_timeout));
  system->put_if_absent =
      MakeHttpPut({.request =
                       [filesystem](const std::string& path, std::string_view bytes) {
                         return ObjectRequest(*filesystem, "PUT", path, bytes);
                       },
                   .send = send,
                   .filesystem = filesystem,
                   .remove = system->remove,
                   .retry = RequestRetry(request_timeout),
                   .heeds_condition = s3.endpoint_override.empty()});
  return Status::OK();
}

}  // namespace
}  // namespace headrace::storage

extern "C" {

__attribute__((visibility("default"))) void headrace_s3_make(
    const std::string& uri, const headrace::storage::Options& options,
    headrace::storage::System* system, arrow::Status* made) {
  *made = headrace::storage::Make(uri, options, system);
}

__attribute__((visibility("default"))) void headrace_s3_finalize() {
  // At exit there is nobody left to tell but the log.
  if (arrow::Status status = arrow::fs::EnsureS3Finalized(); !status.ok()) status.Warn();
}
}
