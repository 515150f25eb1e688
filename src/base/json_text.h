/// \file
/// JSON values as text, and the texts in them.
#pragma once

#include <string>

namespace headrace::base {

/// Text of a `nlohmann::basic_json`, on one line unless `indent` says otherwise. What is
/// no UTF-8, as names in tables may be, is shown as such and does not throw.
template <typename Json>
std::string JsonText(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// The string that an object has by a name, or empty.
template <typename Json>
std::string TextAt(const Json& json, const char* name) {
  const bool there = json.is_object() && json.contains(name) && json[name].is_string();
  return there ? json[name].template get<std::string>() : std::string();
}

}  // namespace headrace::base
