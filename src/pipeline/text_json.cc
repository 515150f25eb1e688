#include "pipeline/text_json.h"

#include <arrow/util/string.h>
#include <arrow/util/utf8.h>

#include <nlohmann/json.hpp>

namespace headrace::pipeline {

using nlohmann::json;

json TextToJson(const std::string& text) {
  arrow::util::InitializeUTF8();
  if (arrow::util::ValidateUTF8(text)) return text;
  return {{"hex", arrow::HexEncode(text)}};
}

std::string TextFromJson(const json& j) {
  if (j.is_string()) return j.get<std::string>();
  const auto hex = j.at("hex").get<std::string>();
  std::string text(hex.size() / 2, '\0');
  for (size_t i = 0; i < text.size(); ++i) {
    auto* byte = reinterpret_cast<uint8_t*>(&text[i]);
    if (!arrow::ParseHexValue(hex.data() + 2 * i, byte).ok()) return "";
  }
  return text;
}

json TextsToJson(const std::vector<std::string>& texts) {
  json list = json::array();
  for (const std::string& text : texts) list.push_back(TextToJson(text));
  return list;
}

std::vector<std::string> TextsFromJson(const json& list) {
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (const json& text : list) texts.push_back(TextFromJson(text));
  return texts;
}

}  // namespace headrace::pipeline
