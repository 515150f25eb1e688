#include "storage/http.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "storage/environment.h"

namespace headrace::storage {
namespace {

constexpr size_t kBodyMax = 1U << 16U;
constexpr double kSlowestBytesPerSecond = 1U << 16U;

// Where systems keep the certificates that they trust.
constexpr const char* kCertificates[] = {
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem"};

struct EndCurl {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Curl = std::unique_ptr<CURL, EndCurl>;
using List = std::unique_ptr<curl_slist, FreeList>;

size_t Receive(char* data, size_t one, size_t count, void* answer) {
  std::string& body = static_cast<HttpAnswer*>(answer)->body;
  body.append(data, std::min(count, kBodyMax - body.size()));
  return one * count;
}

// As OpenSSL has it, by which Arrow's S3 trusts: its variables go before the system's.
void SetTrust(CURL* curl) {
  std::string file = Environment("SSL_CERT_FILE");
  const std::string folder = Environment("SSL_CERT_DIR");
  for (const char* path : kCertificates) {
    if (file.empty() && access(path, R_OK) == 0) file = path;
  }
  if (!file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, file.c_str());
  if (!folder.empty()) curl_easy_setopt(curl, CURLOPT_CAPATH, folder.c_str());
}

void SetRequest(CURL* curl, const HttpRequest& request) {
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
  }
  if (!request.aws_signature.empty()) {
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, request.aws_signature.c_str());
    curl_easy_setopt(curl, CURLOPT_USERNAME, request.user.c_str());
    curl_easy_setopt(curl, CURLOPT_PASSWORD, request.password.c_str());
  }
  if (!request.proxies) curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

long Milliseconds(double seconds) {
  return static_cast<long>(std::clamp(seconds * 1000, 1.0, 1e9));
}

}  // namespace

HttpSend MakeHttpSend(double connect_timeout, double request_timeout) {
  return [=](const HttpRequest& request) -> Result<HttpAnswer> {
    const Curl curl(curl_easy_init());
    if (curl == nullptr) return Error(ErrorKind::kInternal, "libcurl does not start");
    List headers;
    for (const std::string& header : request.headers) {
      headers.reset(curl_slist_append(headers.release(), header.c_str()));
    }
    const double sending_s =
        static_cast<double>(request.body.size()) / kSlowestBytesPerSecond;
    HttpAnswer answer;
    SetRequest(curl.get(), request);
    SetTrust(curl.get());
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT_MS,
                     Milliseconds(connect_timeout));
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS,
                     Milliseconds(connect_timeout + request_timeout + sending_s));
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Receive);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
    const CURLcode code = curl_easy_perform(curl.get());
    if (code != CURLE_OK) return Status::IOError(curl_easy_strerror(code));
    long status = 0;
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    return answer;
  };
}

std::string PercentEncode(std::string_view text, std::string_view kept) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos ||
        kept.find(c) != std::string_view::npos) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4U];
    encoded += kDigits[byte & 15U];
  }
  return encoded;
}

}  // namespace headrace::storage
