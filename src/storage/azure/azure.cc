#include <arrow/filesystem/azurefs.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "storage/azure/credentials.h"
#include "storage/http_put.h"
#include "storage/signature.h"
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

// As HTTP has it, whatever the locale: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string HttpDate(std::time_t time) {
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm utc = {};
  gmtime_r(&time, &utc);
  std::array<char, 40> text = {};
  std::snprintf(text.data(), text.size(), "%s, %02d %s %d %02d:%02d:%02d GMT",
                kDays[utc.tm_wday], utc.tm_mday, kMonths[utc.tm_mon], utc.tm_year + 1900,
                utc.tm_hour, utc.tm_min, utc.tm_sec);
  return text.data();
}

// "Put Blob", where none is, or "Delete Blob", by a token, a shared access signature, or
// signed by the account's key.
Result<HttpRequest> BlobRequest(const arrow::fs::AzureOptions& azure,
                                const TokenSource& token, const std::string& method,
                                const std::string& path, std::string_view bytes = "") {
  const bool puts = method == "PUT";
  std::string url = azure.AccountBlobUrl(azure.account_name);
  while (url.ends_with('/')) url.pop_back();
  url += "/" + PercentEncode(path, "/");
  const std::string date = HttpDate(std::time(nullptr));
  HttpRequest request{.method = method,
                      .url = url,
                      .headers = {"Content-Type: application/octet-stream",
                                  "x-ms-date: " + date, "x-ms-version: 2020-08-04"},
                      .body = std::string(bytes)};
  if (puts) {
    request.headers.insert(request.headers.end(),
                           {"If-None-Match: *", "x-ms-blob-type: BlockBlob"});
  }
  if (token != nullptr) {
    ARROW_ASSIGN_OR_RAISE(const std::string text, token());
    request.headers.push_back("Authorization: Bearer " + text);
    return request;
  }
  const std::string sas = azure.SasToken();
  if (!sas.empty()) {
    request.url += sas.starts_with('?') ? sas : "?" + sas;
    return request;
  }
  // Microsoft's "Authorize with Shared Key", whose empty lines are headers not sent.
  const std::string size = bytes.empty() ? "" : std::to_string(bytes.size());
  const std::string text =
      method + "\n\n\n" + size + "\n\napplication/octet-stream\n\n\n\n" +
      (puts ? "*\n\n\nx-ms-blob-type:BlockBlob\n" : "\n\n\n") + "x-ms-date:" + date +
      "\nx-ms-version:2020-08-04\n/" + azure.account_name +
      url.substr(url.find('/', url.find("://") + 3));
  ARROW_ASSIGN_OR_RAISE(const std::string signature,
                        HmacSha256(azure.AccountKey(), text));
  request.headers.push_back("Authorization: SharedKey " + azure.account_name + ":" +
                            signature);
  return request;
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
  System system{.filesystem = filesystem,
                .path = split.PathBelow(container),
                .display_prefix = "abfs://",
                .retry = RetryPolicy()};
  const HttpSend send = MakeHttpSend(kConnectTimeout, kRequestTimeout);
  TokenSource token;
  if (azure.AccountKey().empty() && azure.SasToken().empty()) {
    system.put_needs = "the storage option \"account_key\" or \"sas_token\"";
    if (anonymous) return system;
    auto found = KeepFound(FindAzureCredentials(send), azure.blob_storage_scheme,
                           azure.blob_storage_authority);
    if (!found.ok()) {
      system.put_needs += "; " + found.status().message();
      return system;
    }
    token = *std::move(found);
  }
  // Arrow's way takes five requests: it leases the file, makes a mark of its folder, and
  // gives the lease back, whose refusal can keep its client waiting for a minute.
  system.remove = MakeHttpDelete(
      [azure, token](const std::string& path) {
        return BlobRequest(azure, token, "DELETE", path);
      },
      send, RequestRetry(kRequestTimeout));
  system.put_if_absent =
      MakeHttpPut({.request =
                       [azure, token](const std::string& path, std::string_view bytes) {
                         return BlobRequest(azure, token, "PUT", path, bytes);
                       },
                   .send = send,
                   .filesystem = filesystem,
                   .remove = system.remove,
                   .retry = RequestRetry(kRequestTimeout),
                   .heeds_condition = azure.blob_storage_authority.starts_with('.')});
  return system;
}

}  // namespace headrace::storage
