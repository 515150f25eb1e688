#include "schema/image_chain.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "schema/dtype.h"
#include "schema/field.h"

namespace headrace::schema {
namespace {

constexpr int64_t kVaries = Field::kVaries;
// Of a side that is asked for.
constexpr int64_t kSideMax = 1 << 16;

Status Invalid(const ImageOp& op, const std::string& what) {
  return Error(ErrorKind::kInvalidArgument, ToString(ImageOps{op}) + ": " + what);
}

bool IsIn(double value, double least, double greatest) {
  return value >= least && value <= greatest;  // false for NaN
}

/// The ranges of parameters.
struct Checker {
  const ImageOp& op;

  Status Range(const char* name, double value, double least, double greatest) const {
    if (IsIn(value, least, greatest)) return Status::OK();
    auto text = [](double number) {
      std::string digits = std::to_string(number);
      digits.erase(digits.find_last_not_of('0') + 1);
      if (digits.back() == '.') digits.pop_back();
      return digits;
    };
    return Invalid(op, std::string(name) + " is " + text(value) + ", expected " +
                           text(least) + " to " + text(greatest));
  }
  Status Size(int64_t height, const std::optional<int64_t>& width) const {
    ARROW_RETURN_NOT_OK(Range("height", static_cast<double>(height), 1, kSideMax));
    return Range("width", static_cast<double>(width.value_or(1)), 1, kSideMax);
  }
  Status Interval(const char* name, const std::array<double, 2>& interval,
                  double greatest) const {
    if (interval[0] > 0 && interval[0] <= interval[1] && interval[1] <= greatest) {
      return Status::OK();
    }
    return Invalid(op, std::string(name) +
                           " is not the least and the greatest of an interval above 0" +
                           (greatest > 1 ? "" : " and up to 1"));
  }

  Status operator()(const image::Decode& decode) const {
    if (decode.pixels_max >= 1) return Status::OK();
    return Invalid(op, "pixels_max is " + std::to_string(decode.pixels_max) +
                           ", expected at least 1");
  }
  Status operator()(const image::Resize& resize) const {
    return Size(resize.height, resize.width);
  }
  Status operator()(const image::CenterCrop& crop) const {
    return Size(crop.height, crop.width);
  }
  Status operator()(const image::RandomCrop& crop) const {
    return Size(crop.height, crop.width);
  }
  Status operator()(const image::RandomResizedCrop& crop) const {
    ARROW_RETURN_NOT_OK(Size(crop.height, crop.width));
    ARROW_RETURN_NOT_OK(Interval("scale", crop.scale, 1));
    return Interval("ratio", crop.ratio, 1e6);
  }
  Status operator()(const image::Flip& flip) const {
    ARROW_RETURN_NOT_OK(Range("horizontal", flip.horizontal, 0, 1));
    return Range("vertical", flip.vertical, 0, 1);
  }
  Status operator()(const image::ColorJitter& jitter) const {
    ARROW_RETURN_NOT_OK(Range("brightness", jitter.brightness, 0, 1e6));
    ARROW_RETURN_NOT_OK(Range("contrast", jitter.contrast, 0, 1e6));
    ARROW_RETURN_NOT_OK(Range("saturation", jitter.saturation, 0, 1e6));
    return Range("hue", jitter.hue, 0, 0.5);
  }
  Status operator()(const image::PadTo& pad) const {
    ARROW_RETURN_NOT_OK(Size(pad.height, pad.width));
    return Range("value", static_cast<double>(pad.value), 0, 255);
  }
  Status operator()(const image::ToFloat& to_float) const {
    if (to_float.mean.empty() || to_float.std.empty()) {
      return Invalid(op, "mean and std need a number, or one for each channel");
    }
    const bool finite = std::ranges::all_of(
        to_float.mean, [](double mean) { return std::isfinite(mean); });
    const bool positive = std::ranges::all_of(
        to_float.std, [](double std) { return std > 0 && std::isfinite(std); });
    if (finite && positive) return Status::OK();
    return Invalid(op, "expected numbers for mean, and numbers above 0 for std");
  }
  Status operator()(const image::Layout&) const { return Status::OK(); }
};

/// A chain that is being bound: what its images are so far.
struct Binding {
  ImageChain chain;
  int64_t height = kVaries;
  int64_t width = kVaries;
  int64_t channels = kVaries;
  bool ended = false;  // by to_float or layout

  Status Start(const ImageOps& ops, const std::optional<Field>& field);
  Status Add(const ImageOp& op);

 private:
  Status StartEncoded(const Field* field, const image::Decode* decode);
  Status AddStep(const ImageOp& op);
  Status End(const ImageOp& op);

  // What an operation makes of the image.
  Status Follow(const ImageOp&, const image::Resize& resize) {
    if (!resize.width && (height == kVaries || width == kVaries)) {
      height = width = kVaries;
      return Status::OK();
    }
    const auto size = ResizedTo(resize, height, width);
    height = size[0];
    width = size[1];
    return Status::OK();
  }
  Status Follow(const ImageOp&, const image::CenterCrop& crop) {
    height = crop.height;
    width = crop.width.value_or(crop.height);
    return Status::OK();
  }
  Status Follow(const ImageOp& op, const image::RandomCrop& crop) {
    const int64_t wanted = crop.width.value_or(crop.height);
    if ((height != kVaries && height < crop.height) ||
        (width != kVaries && width < wanted)) {
      return Invalid(op, "its images are " + Size() + ", expected at least " +
                             std::to_string(crop.height) + " x " +
                             std::to_string(wanted) + ": resize or pad_to before");
    }
    height = crop.height;
    width = wanted;
    return Status::OK();
  }
  Status Follow(const ImageOp&, const image::RandomResizedCrop& crop) {
    height = crop.height;
    width = crop.width.value_or(crop.height);
    return Status::OK();
  }
  Status Follow(const ImageOp&, const image::Flip&) { return Status::OK(); }
  Status Follow(const ImageOp& op, const image::ColorJitter&) {
    const bool known =
        channels == kVaries || channels == 1 || channels == 3 || channels == 4;
    if (known) return Status::OK();
    return Invalid(op, "its images have " + std::to_string(channels) +
                           " channels, expected 1, 3 or 4");
  }
  Status Follow(const ImageOp& op, const image::PadTo& pad) {
    const int64_t wanted = pad.width.value_or(pad.height);
    if (height > pad.height || width > wanted) {
      return Invalid(op, "its images are " + Size() + ", expected at most " +
                             std::to_string(pad.height) + " x " + std::to_string(wanted));
    }
    height = pad.height;
    width = wanted;
    return Status::OK();
  }
  template <typename Other>
  Status Follow(const ImageOp&, const Other&) {
    return Status::OK();  // decode, to_float and layout are no steps
  }

  std::string Size() const {
    auto text = [](int64_t side) {
      return side == kVaries ? std::string("any") : std::to_string(side);
    };
    return text(height) + " x " + text(width);
  }
};

int64_t ChannelsOf(ImageMode mode) {
  switch (mode) {
    case ImageMode::kGray:
      return 1;
    case ImageMode::kRgb:
      return 3;
    case ImageMode::kRgba:
      return 4;
    case ImageMode::kAsStored:
      break;
  }
  return kVaries;
}

ImageMode ModeOf(const Field& field) {
  const int64_t channels = field.shape.size() == 2 ? 1 : field.shape[2];
  return channels == 1   ? ImageMode::kGray
         : channels == 3 ? ImageMode::kRgb
         : channels == 4 ? ImageMode::kRgba
                         : ImageMode::kAsStored;
}

Status Binding::StartEncoded(const Field* field, const image::Decode* decode) {
  chain.decode.emplace();
  if (field != nullptr) {
    chain.decode->mode = ModeOf(*field);
    height = field->shape[0];
    width = field->shape[1];
  }
  if (decode != nullptr) chain.decode = *decode;
  channels = ChannelsOf(chain.decode->mode);
  return Status::OK();
}

Status Binding::Start(const ImageOps& ops, const std::optional<Field>& field) {
  const auto* const decode = ops.empty() ? nullptr : std::get_if<image::Decode>(&ops[0]);
  if (!field) return StartEncoded(nullptr, decode);
  if (field->codec == "jpeg" || field->codec == "png" || field->codec == "webp") {
    return StartEncoded(&*field, decode);
  }
  const size_t dimensions = field->shape.size();
  if (field->dtype != "uint8" || (dimensions != 2 && dimensions != 3)) {
    return Error(ErrorKind::kInvalidArgument,
                 "image operations take uint8 of shape (height, width) or (height, "
                 "width, channels), found " +
                     field->dtype + " of shape " + ShapeText(field->shape));
  }
  if (decode != nullptr) {
    return Invalid(ops[0], "it takes encoded images, found codec " + field->codec);
  }
  height = field->shape[0];
  width = field->shape[1];
  channels = dimensions == 2 ? 1 : field->shape[2];
  if (height != 0 && width != 0 && channels != 0) return Status::OK();
  return Error(ErrorKind::kInvalidArgument,
               "image operations take images, found shape " + ShapeText(field->shape));
}

Status Binding::AddStep(const ImageOp& op) {
  ImageStep step{op, 0};
  for (const ImageStep& before : chain.steps) {
    if (before.op.index() == op.index()) ++step.occurrence;
  }
  chain.steps.push_back(std::move(step));
  return std::visit([&](const auto& known) { return Follow(op, known); }, op);
}

Status Binding::End(const ImageOp& op) {
  ended = true;
  if (const auto* layout = std::get_if<image::Layout>(&op)) {
    chain.order = layout->order;
    return Status::OK();
  }
  chain.to_float = std::get<image::ToFloat>(op);
  chain.dtype = DType::kFloat32;
  for (const auto* numbers : {&chain.to_float->mean, &chain.to_float->std}) {
    const auto count = std::ssize(*numbers);
    if (count == 1 || count == channels) continue;
    return Invalid(op, "it has " + std::to_string(count) + " numbers for images of " +
                           (channels == kVaries ? std::string("varying")
                                                : std::to_string(channels)) +
                           " channels, expected one, or one for each channel" +
                           (channels == kVaries ? ": decode(\"rgb\") has three" : ""));
  }
  return Status::OK();
}

Status Binding::Add(const ImageOp& op) {
  ARROW_RETURN_NOT_OK(CheckImageOp(op));
  const std::string name(ImageOpName(op));
  if (std::holds_alternative<image::Decode>(op)) {
    return Invalid(op, "it stands for what decodes the image, expected first");
  }
  const bool is_float = std::holds_alternative<image::ToFloat>(op);
  const bool is_layout = std::holds_alternative<image::Layout>(op);
  if (!is_float && !is_layout) {
    if (!ended) return AddStep(op);
    return Invalid(op, name + " stands after " +
                           (chain.to_float ? "to_float" : "layout") +
                           ", expected before it: to_float and layout end a chain");
  }
  return End(op);
}

}  // namespace

Status CheckImageOp(const ImageOp& op) { return std::visit(Checker{op}, op); }

std::array<int64_t, 2> ResizedTo(const image::Resize& op, int64_t height, int64_t width) {
  if (op.width) return {op.height, *op.width};
  if (height <= width)
    return {op.height, std::max<int64_t>(1, op.height * width / height)};
  return {std::max<int64_t>(1, op.height * height / width), op.height};
}

Result<ImageChain> BindImageOps(const ImageOps& ops, const std::optional<Field>& field) {
  if (ops.empty()) {
    return Error(ErrorKind::kInvalidArgument,
                 "map got no image operations, expected at least one");
  }
  Binding binding;
  ARROW_RETURN_NOT_OK(CheckImageOp(ops[0]));
  ARROW_RETURN_NOT_OK(binding.Start(ops, field));
  const size_t decodes = std::holds_alternative<image::Decode>(ops[0]) ? 1 : 0;
  for (size_t i = decodes; i < ops.size(); ++i) {
    for (size_t k = decodes; k < i; ++k) {
      const bool ends = std::holds_alternative<image::ToFloat>(ops[i]) ||
                        std::holds_alternative<image::Layout>(ops[i]);
      if (ends && ops[k].index() == ops[i].index()) {
        return Invalid(ops[i], "it is there twice, expected once");
      }
    }
    ARROW_RETURN_NOT_OK(binding.Add(ops[i]));
  }
  if (binding.chain.order == image::Order::kNchw) {
    binding.chain.shape = {binding.channels, binding.height, binding.width};
  } else {
    binding.chain.shape = {binding.height, binding.width, binding.channels};
  }
  return std::move(binding.chain);
}

}  // namespace headrace::schema
