/// \file
/// Text that need not be UTF-8, in JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace headrace::pipeline {

/// A string; bytes that are no UTF-8, which JSON cannot hold, as {"hex": "FF00"}.
nlohmann::json TextToJson(const std::string& text);
/// "" for hexadecimal digits that are none; a json::exception for what is neither.
std::string TextFromJson(const nlohmann::json& j);

nlohmann::json TextsToJson(const std::vector<std::string>& texts);
std::vector<std::string> TextsFromJson(const nlohmann::json& list);

}  // namespace headrace::pipeline
