#include <arrow/filesystem/gcsfs.h>

#include <chrono>

#include "storage/system.h"

namespace headrace::storage {

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
  if (anonymous) {
    gcs = arrow::fs::GcsOptions::Anonymous();
  } else if (options.Has("access_token")) {
    gcs = arrow::fs::GcsOptions::FromAccessToken(
        options.Get("access_token"),
        std::chrono::system_clock::now() + std::chrono::hours(24));
  } else if (options.Has("service_account_json")) {
    gcs = arrow::fs::GcsOptions::FromServiceAccountCredentials(
        options.Get("service_account_json"));
  }
  gcs.endpoint_override = options.Get("endpoint_override", from_uri.endpoint_override);
  gcs.scheme = options.Get("scheme", from_uri.scheme.empty() ? "https" : from_uri.scheme);
  if (options.Has("project_id")) gcs.project_id = options.Get("project_id");
  ARROW_ASSIGN_OR_RAISE(gcs.retry_limit_seconds,
                        options.Seconds("retry_time_limit", kRequestTimeout));
  ARROW_ASSIGN_OR_RAISE(auto filesystem, arrow::fs::GcsFileSystem::Make(gcs));
  return System{std::move(filesystem), split.PathBelow(bucket), "gs://"};
}

}  // namespace headrace::storage
