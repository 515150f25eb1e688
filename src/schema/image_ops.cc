#include <headrace/image.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "base/json_text.h"
#include "schema/image_chain.h"

namespace headrace {
namespace {

using nlohmann::json;

constexpr std::string_view kNames[] = {
    "decode", "resize",       "center_crop", "random_crop", "random_resized_crop",
    "flip",   "color_jitter", "pad_to",      "to_float",    "layout"};
static_assert(std::size(kNames) == std::variant_size_v<ImageOp>);

// Words of enumerations, in their order.
constexpr std::string_view kModes[] = {"stored", "gray", "rgb", "rgba"};
constexpr std::string_view kInterpolations[] = {"bilinear", "bicubic"};
constexpr std::string_view kOrders[] = {"nhwc", "nchw"};

// Calls `visit(name, value)` for each parameter, and `visit.Size(op)` for a height and
// width, which are written without their names.
template <typename Visit>
void Describe(image::Decode& op, Visit& visit) {
  visit.Word("mode", kModes, &op.mode);
  visit("pixels_max", &op.pixels_max);
  visit("dct_scaling", &op.dct_scaling);
}
template <typename Visit>
void Describe(image::Resize& op, Visit& visit) {
  visit.Size(&op.height, &op.width);
  visit.Word("interpolation", kInterpolations, &op.interpolation, false);
}
template <typename Visit>
void Describe(image::CenterCrop& op, Visit& visit) {
  visit.Size(&op.height, &op.width);
}
template <typename Visit>
void Describe(image::RandomCrop& op, Visit& visit) {
  visit.Size(&op.height, &op.width);
}
template <typename Visit>
void Describe(image::RandomResizedCrop& op, Visit& visit) {
  visit.Size(&op.height, &op.width);
  visit("scale", &op.scale);
  visit("ratio", &op.ratio);
  visit.Word("interpolation", kInterpolations, &op.interpolation, false);
}
template <typename Visit>
void Describe(image::Flip& op, Visit& visit) {
  visit("horizontal", &op.horizontal);
  visit("vertical", &op.vertical);
}
template <typename Visit>
void Describe(image::ColorJitter& op, Visit& visit) {
  visit("brightness", &op.brightness);
  visit("contrast", &op.contrast);
  visit("saturation", &op.saturation);
  visit("hue", &op.hue);
}
template <typename Visit>
void Describe(image::PadTo& op, Visit& visit) {
  visit.Size(&op.height, &op.width);
  visit("value", &op.value);
}
template <typename Visit>
void Describe(image::ToFloat& op, Visit& visit) {
  visit("mean", &op.mean);
  visit("std", &op.std);
}
template <typename Visit>
void Describe(image::Layout& op, Visit& visit) {
  visit.Word("order", kOrders, &op.order);
}

/// Fills an object.
struct ToJson {
  json* j;

  template <typename T>
  void operator()(const char* name, T* value) {
    (*j)[name] = *value;
  }
  template <typename E, size_t kCount>
  void Word(const char* name, const std::string_view (&words)[kCount], E* value,
            bool /*first*/ = true) {
    (*j)[name] = words[static_cast<size_t>(*value)];
  }
  void Size(int64_t* height, std::optional<int64_t>* width) {
    (*j)["height"] = *height;
    if (*width) (*j)["width"] = **width;
  }
};

/// Takes parameters out of an object; what it does not take is not known.
struct FromJson {
  const json* j;
  std::string_view op;
  std::set<std::string> taken = {"op"};
  Status status = Status::OK();

  const json* Take(const char* name) {
    taken.insert(name);
    const auto found = j->find(name);
    return found == j->end() || found->is_null() ? nullptr : &*found;
  }
  void Fail(const char* name, const json& found, const std::string& expected) {
    if (!status.ok()) return;
    status = Error(ErrorKind::kInvalidArgument, std::string(op) + ": " + name + " is " +
                                                    base::JsonText(found) +
                                                    ", expected " + expected);
  }
  static bool IsNumber(const json& value) { return value.is_number(); }

  void operator()(const char* name, bool* value) {
    const json* const found = Take(name);
    if (found == nullptr) return;
    if (!found->is_boolean()) return Fail(name, *found, "true or false");
    *value = found->get<bool>();
  }
  void operator()(const char* name, int64_t* value) {
    const json* const found = Take(name);
    if (found == nullptr) return;
    const bool huge = found->is_number_unsigned() && found->get<uint64_t>() > INT64_MAX;
    if (!found->is_number_integer() || huge) return Fail(name, *found, "an integer");
    *value = found->get<int64_t>();
  }
  void operator()(const char* name, double* value) {
    const json* const found = Take(name);
    if (found == nullptr) return;
    if (!IsNumber(*found)) return Fail(name, *found, "a number");
    *value = found->get<double>();
  }
  void operator()(const char* name, std::array<double, 2>* value) {
    const json* const found = Take(name);
    if (found == nullptr) return;
    if (!found->is_array() || found->size() != 2 || !IsNumber((*found)[0]) ||
        !IsNumber((*found)[1])) {
      return Fail(name, *found, "two numbers, the least and the greatest");
    }
    *value = found->get<std::array<double, 2>>();
  }
  // A number stands for a list of it.
  void operator()(const char* name, std::vector<double>* value) {
    const json* const found = Take(name);
    if (found == nullptr) return;
    if (IsNumber(*found)) {
      *value = {found->get<double>()};
      return;
    }
    if (!found->is_array() || !std::ranges::all_of(*found, &IsNumber)) {
      return Fail(name, *found, "a number, or one for each channel");
    }
    *value = found->get<std::vector<double>>();
  }
  template <typename E, size_t kCount>
  void Word(const char* name, const std::string_view (&words)[kCount], E* value,
            bool /*first*/ = true) {
    const json* const found = Take(name);
    if (found == nullptr) return;
    std::string expected;
    for (size_t i = 0; i < kCount; ++i) {
      if (found->is_string() && found->get_ref<const std::string&>() == words[i]) {
        *value = static_cast<E>(i);
        return;
      }
      expected += (i == 0            ? "\""
                   : i + 1 == kCount ? " or \""
                                     : ", \"") +
                  std::string(words[i]) + "\"";
    }
    Fail(name, *found, expected);
  }
  void Size(int64_t* height, std::optional<int64_t>* width) {
    if (Take("height") == nullptr) {
      return Fail("height", nullptr, "an integer of at least 1");
    }
    (*this)("height", height);
    int64_t given = 0;
    (*this)("width", &given);
    if (Take("width") != nullptr) *width = given;
  }
};

/// Writes a call, leaving out what has its default.
struct ToCall {
  std::string text;
  json defaults;

  static std::string Text(int64_t value) { return std::to_string(value); }
  static std::string Text(bool value) { return value ? "True" : "False"; }
  static std::string Text(double value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    std::string written(digits, end);
    if (written.find_first_of(".en") == std::string::npos) written += ".0";
    return written;
  }
  static std::string Text(const std::array<double, 2>& value) {
    return "(" + Text(value[0]) + ", " + Text(value[1]) + ")";
  }
  static std::string Text(const std::vector<double>& value) {
    std::string list;
    for (const double one : value) list += (list.empty() ? "" : ", ") + Text(one);
    return "[" + list + "]";
  }

  void Add(const std::string& argument) {
    text += (text.back() == '(' ? "" : ", ") + argument;
  }
  template <typename T>
  void operator()(const char* name, T* value) {
    if (defaults[name] != json(*value)) Add(std::string(name) + "=" + Text(*value));
  }
  // `first`: the parameter that gives the operation its sense, always shown.
  template <typename E, size_t kCount>
  void Word(const char* name, const std::string_view (&words)[kCount], E* value,
            bool first = true) {
    const std::string word(words[static_cast<size_t>(*value)]);
    if (first) return Add("\"" + word + "\"");
    if (defaults[name] != word) Add(std::string(name) + "=\"" + word + "\"");
  }
  void Size(int64_t* height, std::optional<int64_t>* width) {
    Add(Text(*height));
    if (*width) Add(Text(**width));
  }
};

template <typename Visit>
void DescribeAny(ImageOp* op, Visit& visit) {
  std::visit([&](auto& known) { Describe(known, visit); }, *op);
}

json JsonOf(ImageOp op) {
  json j;
  ToJson to_json{&j};
  DescribeAny(&op, to_json);
  return j;
}

// The operation of an index in the variant, with its defaults.
template <size_t kIndex = 0>
ImageOp DefaultOp(size_t index) {
  if constexpr (kIndex + 1 < std::variant_size_v<ImageOp>) {
    if (index != kIndex) return DefaultOp<kIndex + 1>(index);
  }
  return ImageOp(std::in_place_index<kIndex>);
}

std::string KnownNames() {
  std::string names;
  for (const std::string_view name : kNames) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return names;
}

Result<ImageOp> OpFromJson(const json& j) {
  if (!j.is_object() || !j.contains("op") || !j.at("op").is_string()) {
    return Error(ErrorKind::kInvalidArgument, "an image operation is " +
                                                  base::JsonText(j) +
                                                  ", expected an object with \"op\"");
  }
  const auto name = j.at("op").get<std::string>();
  const auto* const found = std::ranges::find(kNames, name);
  if (found == std::end(kNames)) {
    return Error(ErrorKind::kInvalidArgument, "there is no image operation \"" + name +
                                                  "\", expected one of " + KnownNames());
  }
  ImageOp op = DefaultOp(static_cast<size_t>(found - std::begin(kNames)));
  FromJson from_json{&j, *found};
  DescribeAny(&op, from_json);
  ARROW_RETURN_NOT_OK(from_json.status);
  for (const auto& [key, value] : j.items()) {
    if (from_json.taken.contains(key)) continue;
    std::string what = name;
    what += ": there is no parameter \"" + key + "\"";
    return Error(ErrorKind::kInvalidArgument, what);
  }
  ARROW_RETURN_NOT_OK(schema::CheckImageOp(op));
  return op;
}

}  // namespace

std::string_view schema::ImageOpName(const ImageOp& op) { return kNames[op.index()]; }

std::string ToString(const ImageOps& ops) {
  std::string text;
  for (const ImageOp& op : ops) {
    ToCall to_call{std::string(schema::ImageOpName(op)) + "(",
                   JsonOf(DefaultOp(op.index()))};
    ImageOp copy = op;
    DescribeAny(&copy, to_call);
    text += (text.empty() ? "" : " | ") + to_call.text + ")";
  }
  return text;
}

std::string ImageOpsToJson(const ImageOps& ops) {
  json list = json::array();
  for (const ImageOp& op : ops) {
    json j = JsonOf(op);
    j["op"] = schema::ImageOpName(op);
    list.push_back(std::move(j));
  }
  return list.dump();
}

Result<ImageOps> ImageOpsFromJson(const std::string& text) {
  const json list = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) {
    return Error(ErrorKind::kInvalidArgument,
                 "this is no JSON of image operations, expected a list");
  }
  ImageOps ops;
  for (const json& j : list) {
    ARROW_ASSIGN_OR_RAISE(ops.emplace_back(), OpFromJson(j));
  }
  return ops;
}

}  // namespace headrace
