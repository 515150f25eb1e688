/// \file
/// JSON values as text.
#pragma once

#include <string>

namespace headrace::base {

/// Text of a `nlohmann::basic_json`, on one line unless `indent` says otherwise. What is
/// no UTF-8, as names in tables may be, is shown as such and does not throw.
template <typename Json>
std::string JsonText(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace headrace::base
