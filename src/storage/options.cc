#include <algorithm>
#include <cctype>
#include <charconv>

#include "storage/system.h"

namespace headrace::storage {

Result<Options> Options::Make(const char* system,
                              const std::map<std::string, std::string>& given,
                              const std::set<std::string>& known) {
  for (const auto& [name, value] : given) {
    if (known.count(name)) continue;
    std::string names;
    for (const auto& each : known) names += (names.empty() ? "" : ", ") + each;
    return Error(ErrorKind::kInvalidArgument,
                 "storage option \"" + name + "\" is unknown to " + system +
                     (names.empty() ? ", which has none" : ", expected one of " + names));
  }
  Options options;
  options.given_ = given;
  return options;
}

std::string Options::Get(const std::string& name, const std::string& otherwise) const {
  auto found = given_.find(name);
  return found == given_.end() ? otherwise : found->second;
}

Result<bool> Options::Flag(const std::string& name) const {
  const std::string value = Get(name, "false");
  if (value == "true" || value == "True" || value == "1") return true;
  if (value == "false" || value == "False" || value == "0") return false;
  return Error(ErrorKind::kInvalidArgument, "storage option \"" + name + "\" is '" +
                                                value + "', expected true or false");
}

Result<double> Options::Seconds(const std::string& name, double otherwise) const {
  if (!Has(name)) return otherwise;
  const std::string value = Get(name);
  double seconds = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error != std::errc() || end != value.data() + value.size() || !(seconds > 0)) {
    return Error(ErrorKind::kInvalidArgument,
                 "storage option \"" + name + "\" is '" + value +
                     "', expected a number of seconds above 0");
  }
  return seconds;
}

std::string SchemeOf(std::string_view uri) {
  const size_t end = uri.find("://");
  if (end == std::string_view::npos || end == 0) return "";
  std::string scheme(uri.substr(0, end));
  for (char& c : scheme) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '+' && c != '-' &&
        c != '.') {
      return "";
    }
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return scheme;
}

std::string UserInfoOf(std::string_view uri) {
  const size_t begin = uri.find("://");
  if (begin == std::string_view::npos) return "";
  const size_t slash = std::min(uri.find('/', begin + 3), uri.size());
  const size_t at = uri.substr(0, slash).rfind('@');
  if (at == std::string_view::npos || at < begin + 3) return "";
  return std::string(uri.substr(begin + 3, at - begin - 3));
}

std::string WithoutCredentials(const std::string& uri) {
  if (SchemeOf(uri).empty()) return uri;
  std::string text = uri.substr(0, uri.find('?'));
  const std::string user = UserInfoOf(text);
  // abfs://container@account names no secret before the "@" unless there is a password.
  const size_t colon = user.find(':');
  if (user.empty() || (SchemeOf(uri).starts_with("abfs") && colon == std::string::npos)) {
    return text;
  }
  const size_t begin = text.find("://") + 3;
  return text.erase(begin, user.size() + 1);
}

}  // namespace headrace::storage
