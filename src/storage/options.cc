#include <algorithm>
#include <cctype>
#include <charconv>

#include "storage/system.h"

namespace headrace::storage {
namespace {

// Thirty years: what systems count in milliseconds has room for it.
constexpr double kSecondsMax = 1e9;

}  // namespace

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
  if (error != std::errc() || end != value.data() + value.size() ||
      !(seconds > 0 && seconds <= kSecondsMax)) {
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
  const std::string_view authority = uri.substr(0, uri.find('/', begin + 3));
  size_t at = authority.rfind('@');
  if (at == std::string_view::npos) {
    // Secret keys may hold slashes: "KEY:ab/cd@bucket". A port is digits.
    const size_t colon = authority.find(':', begin + 3);
    if (colon == std::string_view::npos ||
        authority.find_first_not_of("0123456789", colon + 1) == std::string_view::npos) {
      return "";
    }
    at = uri.find('@', authority.size());
  }
  if (at == std::string_view::npos || at < begin + 3) return "";
  return std::string(uri.substr(begin + 3, at - begin - 3));
}

size_t QueryOf(std::string_view uri) {
  for (size_t at = uri.rfind('?'); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : uri.rfind('?', at - 1)) {
    size_t end = at + 1;
    while (end < uri.size() && (std::isalnum(static_cast<unsigned char>(uri[end])) ||
                                uri[end] == '_' || uri[end] == '-')) {
      ++end;
    }
    if (end > at + 1 && end < uri.size() && uri[end] == '=') return at;
  }
  return std::string_view::npos;
}

ObjectUri ObjectUri::Split(const std::string& uri) {
  const size_t query = std::min(QueryOf(uri), uri.size());
  const std::string whole = uri.substr(0, query);
  // User info may hold slashes.
  const size_t authority = whole.find("://") + 3 + UserInfoOf(whole).size();
  const size_t slash = std::min(whole.find('/', authority), whole.size());
  ObjectUri split;
  split.base = whole.substr(0, slash) + uri.substr(query);
  if (slash < whole.size()) split.key = whole.substr(slash + 1);
  return split;
}

std::string ObjectUri::PathBelow(std::string base_path) const {
  while (base_path.ends_with('/')) base_path.pop_back();
  std::string path = base_path;
  if (!key.empty()) path += (path.empty() ? "" : "/") + key;
  while (path.ends_with('/')) path.pop_back();
  return path;
}

std::string WithoutCredentials(const std::string& uri) {
  if (SchemeOf(uri).empty()) return uri;
  std::string text = uri.substr(0, QueryOf(uri));
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
