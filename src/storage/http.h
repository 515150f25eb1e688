/// \file
/// One HTTP request to an object store, by libcurl: for what Arrow's filesystems cannot
/// ask.
#pragma once

#include <headrace/result.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace headrace::storage {

struct HttpRequest {
  std::string method = {};
  std::string url = {};                   ///< With its path encoded.
  std::vector<std::string> headers = {};  ///< "name: value"
  std::string body = {};
  /// "aws:amz:REGION:s3": signed as Amazon wants it, by `user` and `password`. Or empty.
  std::string aws_signature = {};
  std::string user = {};
  std::string password = {};
  /// Whether the proxies hold that the environment names.
  bool proxies = true;
};

struct HttpAnswer {
  int status = 0;
  std::string body;  ///< Its beginning: enough for an error's code.
};

/// Sends, and waits for the answer. An error, kUnavailable, if there was none: what
/// became of the request is then unknown. It holds nothing of the request.
using HttpSend = std::function<Result<HttpAnswer>(const HttpRequest&)>;

/// Times in seconds. `request_timeout` is for the answer, besides the time that the body
/// takes on a slow line. Thread-safe.
HttpSend MakeHttpSend(double connect_timeout, double request_timeout);

/// Encodes all but letters, digits, "-._~" and `kept`.
std::string PercentEncode(std::string_view text, std::string_view kept = "");

}  // namespace headrace::storage
