#include <arrow/filesystem/azurefs.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

#include "storage/system.h"

namespace headrace::storage {
namespace {

bool IsBase64(std::string_view text) {
  const size_t padding = text.size() - text.find_last_not_of('=') - 1;
  text.remove_suffix(padding);
  return !text.empty() && padding <= 2 && (text.size() + padding) % 4 == 0 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '+' || c == '/';
         });
}

}  // namespace

Result<System> MakeAzure(const std::string& uri, const OptionMap& given) {
  ARROW_ASSIGN_OR_RAISE(Options options,
                        Options::Make("Azure Blob Storage", given,
                                      {"account_name", "account_key", "sas_token",
                                       "anonymous", "endpoint_override", "scheme"}));
  // Arrow knows abfs and abfss only.
  const ObjectUri split =
      ObjectUri::Split(SchemeOf(uri) == "az" ? "abfs" + uri.substr(2) : uri);
  std::string container;
  ARROW_ASSIGN_OR_RAISE(auto azure,
                        arrow::fs::AzureOptions::FromUri(split.base, &container));
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
    if (!IsBase64(options.Get("account_key"))) {
      return Error(ErrorKind::kInvalidArgument,
                   "storage option \"account_key\" is not base64, as Azure gives keys");
    }
    ARROW_RETURN_NOT_OK(azure.ConfigureAccountKeyCredential(options.Get("account_key")));
  } else if (options.Has("sas_token")) {
    // Azure shows tokens without the "?" that Arrow puts before none.
    std::string token = options.Get("sas_token");
    if (!token.starts_with('?')) token = "?" + token;
    ARROW_RETURN_NOT_OK(azure.ConfigureSASCredential(token));
  }
  ARROW_ASSIGN_OR_RAISE(auto filesystem, arrow::fs::AzureFileSystem::Make(azure));
  return System{std::move(filesystem), split.PathBelow(container), "abfs://"};
}

}  // namespace headrace::storage
