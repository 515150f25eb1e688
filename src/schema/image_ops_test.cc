#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <headrace/image.h>

#include "schema/image_chain.h"

namespace headrace::schema {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ImageOps EveryOp() {
  return {
      image::Decode{.mode = ImageMode::kRgba, .pixels_max = 1000, .dct_scaling = false},
      image::Resize{.height = 256},
      image::Resize{
          .height = 256, .width = 300, .interpolation = image::Interpolation::kBicubic},
      image::CenterCrop{.height = 240},
      image::RandomCrop{.height = 230, .width = 231},
      image::RandomResizedCrop{.height = 224, .scale = {0.5, 1}},
      image::Flip{.horizontal = 0.25},
      image::ColorJitter{.brightness = 0.1, .hue = 0.5},
      image::PadTo{.height = 300, .value = 7},
      image::ToFloat{.mean = {0.1, 0.2, 0.3, 0.4}, .std = {2}},
      image::Layout{image::Order::kNchw}};
}

TEST(ImageOps, PrintAsPythonWritesThem) {
  EXPECT_EQ(
      "decode(\"rgba\", pixels_max=1000, dct_scaling=False) | resize(256) | "
      "resize(256, 300, interpolation=\"bicubic\") | center_crop(240) | "
      "random_crop(230, 231) | random_resized_crop(224, scale=(0.5, 1.0)) | "
      "flip(horizontal=0.25) | color_jitter(brightness=0.1, hue=0.5) | "
      "pad_to(300, value=7) | to_float(mean=[0.1, 0.2, 0.3, 0.4], std=[2.0]) | "
      "layout(\"nchw\")",
      ToString(EveryOp()));
}

TEST(ImageOps, ReadBackAsWritten) {
  const auto again = ImageOpsFromJson(ImageOpsToJson(EveryOp())).ValueOrDie();
  EXPECT_EQ(EveryOp(), again);
  EXPECT_NE(ImageOps{image::Flip{}}, again);
}

TEST(ImageOps, HaveDefaults) {
  const auto ops = ImageOpsFromJson(
                       R"([{"op": "flip"}, {"op": "resize", "height": 8, "width": null},
                           {"op": "to_float", "mean": 0.5}])")
                       .ValueOrDie();
  EXPECT_THAT(ops, ElementsAre(ImageOp(image::Flip{}), ImageOp(image::Resize{8}),
                               ImageOp(image::ToFloat{.mean = {0.5}})));
}

TEST(ImageOps, RefuseWhatTheyDoNotKnow) {
  auto error = [](const std::string& json) {
    const Status status = ImageOpsFromJson(json).status();
    EXPECT_EQ(ErrorKind::kInvalidArgument, KindOf(status)) << json;
    return MessageOf(status);
  };
  EXPECT_THAT(error("{"), HasSubstr("expected a list"));
  EXPECT_THAT(error("[7]"), HasSubstr("expected an object"));
  EXPECT_THAT(error(R"([{"op": "blur"}])"), HasSubstr("no image operation \"blur\""));
  EXPECT_THAT(error(R"([{"op": "flip", "p": 1}])"), HasSubstr("no parameter \"p\""));
  EXPECT_THAT(error(R"([{"op": "resize"}])"), HasSubstr("height is null"));
  EXPECT_THAT(error(R"([{"op": "resize", "height": 2.5}])"),
              HasSubstr("height is 2.5, expected an integer"));
  EXPECT_THAT(error(R"([{"op": "resize", "height": 0}])"),
              HasSubstr("height is 0, expected 1 to 65536"));
  EXPECT_THAT(error(R"([{"op": "decode", "mode": "bgr"}])"),
              HasSubstr("expected \"stored\", \"gray\", \"rgb\" or \"rgba\""));
  EXPECT_THAT(error(R"([{"op": "decode", "pixels_max": 0}])"), HasSubstr("pixels_max"));
  EXPECT_THAT(error(R"([{"op": "flip", "horizontal": 2}])"),
              HasSubstr("horizontal is 2, expected 0 to 1"));
  EXPECT_THAT(error(R"([{"op": "flip", "horizontal": true}])"), HasSubstr("a number"));
  EXPECT_THAT(error(R"([{"op": "color_jitter", "hue": 0.75}])"), HasSubstr("hue"));
  EXPECT_THAT(error(R"([{"op": "to_float", "std": [1, 0, 1]}])"), HasSubstr("above 0"));
  EXPECT_THAT(error(R"([{"op": "to_float", "mean": []}])"), HasSubstr("mean and std"));
  EXPECT_THAT(error(R"([{"op": "pad_to", "height": 2, "value": 256}])"),
              HasSubstr("value is 256"));
  EXPECT_THAT(
      error(R"([{"op": "random_resized_crop", "height": 2, "scale": [0.5, 1.5]}])"),
      HasSubstr("scale"));
  EXPECT_THAT(error(R"([{"op": "random_resized_crop", "height": 2, "ratio": [2, 1]}])"),
              HasSubstr("ratio"));
}

}  // namespace
}  // namespace headrace::schema
