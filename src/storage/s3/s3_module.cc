#include <arrow/filesystem/s3fs.h>
#include <arrow/util/uri.h>

#include "storage/s3/module.h"

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

Status Make(const std::string& uri, const Options& options,
            std::shared_ptr<arrow::fs::FileSystem>* filesystem, std::string* path) {
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
  *path = split.PathBelow(bucket);
  if (anonymous) {
    s3.ConfigureAnonymousCredentials();
  } else if (options.Has("access_key")) {
    s3.ConfigureAccessKey(options.Get("access_key"), options.Get("secret_key"),
                          options.Get("session_token"));
  }
  s3.connect_timeout = connect_timeout;
  s3.request_timeout = request_timeout;
  s3.retry_strategy = arrow::fs::S3RetryStrategy::GetAwsStandardRetryStrategy(kAttempts);
  ARROW_ASSIGN_OR_RAISE(*filesystem, arrow::fs::S3FileSystem::Make(s3));
  return Status::OK();
}

}  // namespace
}  // namespace headrace::storage

extern "C" {

__attribute__((visibility("default"))) void headrace_s3_make(
    const std::string& uri, const headrace::storage::Options& options,
    std::shared_ptr<arrow::fs::FileSystem>* filesystem, std::string* path,
    arrow::Status* made) {
  *made = headrace::storage::Make(uri, options, filesystem, path);
}

__attribute__((visibility("default"))) void headrace_s3_finalize() {
  // At exit there is nobody left to tell but the log.
  if (arrow::Status status = arrow::fs::EnsureS3Finalized(); !status.ok()) status.Warn();
}
}
