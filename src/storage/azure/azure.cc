#include <arrow/filesystem/azurefs.h>

#include "storage/system.h"

namespace headrace::storage {

Result<System> MakeAzure(const std::string& uri, const OptionMap& given) {
  ARROW_ASSIGN_OR_RAISE(Options options,
                        Options::Make("Azure Blob Storage", given,
                                      {"account_name", "account_key", "sas_token",
                                       "anonymous", "endpoint_override", "scheme"}));
  std::string path;
  // Arrow knows abfs and abfss only.
  const std::string known = SchemeOf(uri) == "az" ? "abfs" + uri.substr(2) : uri;
  ARROW_ASSIGN_OR_RAISE(auto azure, arrow::fs::AzureOptions::FromUri(known, &path));
  if (options.Has("account_name")) azure.account_name = options.Get("account_name");
  if (options.Has("endpoint_override")) {
    azure.blob_storage_authority = azure.dfs_storage_authority =
        options.Get("endpoint_override");
  }
  if (options.Has("scheme")) {
    azure.blob_storage_scheme = azure.dfs_storage_scheme = options.Get("scheme");
  }
  if (azure.account_name.empty()) {
    return Error(
        ErrorKind::kInvalidArgument,
        WithoutCredentials(uri) +
            " names no account: write abfs://container@account.dfs.core.windows.net/"
            "path, or give the storage option \"account_name\"");
  }
  ARROW_ASSIGN_OR_RAISE(const bool anonymous, options.Flag("anonymous"));
  if (anonymous) {
    ARROW_RETURN_NOT_OK(azure.ConfigureAnonymousCredential());
  } else if (options.Has("account_key")) {
    ARROW_RETURN_NOT_OK(azure.ConfigureAccountKeyCredential(options.Get("account_key")));
  } else if (options.Has("sas_token")) {
    ARROW_RETURN_NOT_OK(azure.ConfigureSASCredential(options.Get("sas_token")));
  }
  ARROW_ASSIGN_OR_RAISE(auto filesystem, arrow::fs::AzureFileSystem::Make(azure));
  return System{std::move(filesystem), std::move(path), "abfs://"};
}

}  // namespace headrace::storage
