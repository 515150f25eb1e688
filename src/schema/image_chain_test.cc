#include "schema/image_chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headrace::schema {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ImageChain Bound(const ImageOps& ops, const std::optional<Field>& field = {}) {
  auto chain = BindImageOps(ops, field);
  EXPECT_TRUE(chain.ok()) << chain.status().ToString();
  return std::move(chain).ValueOrDie();
}

std::string BindError(const ImageOps& ops, const std::optional<Field>& field = {}) {
  const Status status = BindImageOps(ops, field).status();
  EXPECT_EQ(ErrorKind::kInvalidArgument, KindOf(status));
  return MessageOf(status);
}

Field Stored(const std::string& codec, std::vector<int64_t> shape,
             const std::string& dtype = "uint8") {
  return Schema::Make(
             {Field{
                 .name = "x", .dtype = dtype, .shape = std::move(shape), .codec = codec}})
      .ValueOrDie()
      .fields()[0];
}

TEST(BindImageOps, InfersShapes) {
  EXPECT_THAT(Bound({image::Decode{}}).shape, ElementsAre(-1, -1, 3));
  EXPECT_THAT(Bound({image::Flip{}}).shape, ElementsAre(-1, -1, 3));
  EXPECT_THAT(Bound({image::Decode{ImageMode::kGray}}).shape, ElementsAre(-1, -1, 1));
  EXPECT_THAT(Bound({image::Decode{ImageMode::kAsStored}}).shape,
              ElementsAre(-1, -1, -1));
  EXPECT_THAT(Bound({image::Resize{100}}).shape, ElementsAre(-1, -1, 3));
  EXPECT_THAT(Bound({image::Resize{100, 120}}).shape, ElementsAre(100, 120, 3));
  EXPECT_THAT(Bound({image::Resize{100}, image::CenterCrop{90}}).shape,
              ElementsAre(90, 90, 3));
  EXPECT_THAT(Bound({image::RandomResizedCrop{8, 9}, image::Layout{}}).shape,
              ElementsAre(3, 8, 9));
  EXPECT_THAT(Bound({image::PadTo{8}, image::RandomCrop{5}}).shape, ElementsAre(5, 5, 3));
}

TEST(BindImageOps, InfersDTypes) {
  EXPECT_EQ(DType::kUInt8, Bound({image::Flip{}}).dtype);
  EXPECT_EQ(DType::kFloat32, Bound({image::ToFloat{}}).dtype);
  EXPECT_EQ(DType::kFloat32, Bound({image::Layout{}, image::ToFloat{}}).dtype);
}

TEST(BindImageOps, StartsFromTheField) {
  const auto gray = Bound({image::Flip{}}, Stored("png", {28, 30}));
  EXPECT_THAT(gray.shape, ElementsAre(28, 30, 1));
  EXPECT_EQ(ImageMode::kGray, gray.decode->mode);
  EXPECT_THAT(Bound({image::Decode{ImageMode::kRgba}}, Stored("png", {28, 30})).shape,
              ElementsAre(28, 30, 4));
  const auto raw = Bound({image::Resize{14}}, Stored("raw", {28, 42, 2}));
  EXPECT_FALSE(raw.decode.has_value());
  EXPECT_THAT(raw.shape, ElementsAre(14, 21, 2));
  EXPECT_THAT(Bound({image::Flip{}}, Stored("npy", {-1, -1})).shape,
              ElementsAre(-1, -1, 1));
}

TEST(BindImageOps, CountsOperationsOfAKind) {
  const auto chain =
      Bound({image::Flip{}, image::Resize{8}, image::Flip{.vertical = 0.5}});
  ASSERT_EQ(3, std::ssize(chain.steps));
  EXPECT_EQ(0, chain.steps[0].occurrence);
  EXPECT_EQ(0, chain.steps[1].occurrence);
  EXPECT_EQ(1, chain.steps[2].occurrence);
}

TEST(BindImageOps, RefusesWhatMakesNoSense) {
  EXPECT_THAT(BindError({}), HasSubstr("at least one"));
  EXPECT_THAT(BindError({image::Flip{}, image::Decode{}}), HasSubstr("expected first"));
  EXPECT_THAT(BindError({image::ToFloat{}, image::Resize{8}}),
              HasSubstr("resize stands after to_float"));
  EXPECT_THAT(BindError({image::Layout{}, image::Flip{}}),
              HasSubstr("flip stands after layout"));
  EXPECT_THAT(BindError({image::Layout{}, image::ToFloat{}, image::Layout{}}),
              HasSubstr("twice"));
  EXPECT_THAT(BindError({image::ToFloat{}, image::ToFloat{}}), HasSubstr("twice"));
  EXPECT_THAT(
      BindError({image::Decode{ImageMode::kGray}, image::ToFloat{.mean = {0, 0, 0}}}),
      HasSubstr("3 numbers for images of 1 channels"));
  EXPECT_THAT(
      BindError({image::Decode{ImageMode::kAsStored}, image::ToFloat{.std = {1, 1, 1}}}),
      HasSubstr("varying channels"));
  EXPECT_THAT(BindError({image::Resize{20, 20}, image::RandomCrop{21}}),
              HasSubstr("its images are 20 x 20, expected at least 21 x 21"));
  EXPECT_THAT(BindError({image::Resize{20, 20}, image::PadTo{19, 30}}),
              HasSubstr("expected at most 19 x 30"));
  EXPECT_THAT(BindError({image::Resize{}}), HasSubstr("height is 0"));
}

TEST(BindImageOps, RefusesFieldsThatHoldNoImages) {
  EXPECT_THAT(BindError({image::Flip{}}, Stored("npy", {4, 4}, "float32")),
              HasSubstr("found float32"));
  EXPECT_THAT(BindError({image::Flip{}}, Stored("raw", {4})), HasSubstr("shape (4,)"));
  EXPECT_THAT(BindError({image::Flip{}}, Stored("raw", {4, 0, 3})),
              HasSubstr("take images"));
  EXPECT_THAT(BindError({image::Decode{}}, Stored("raw", {4, 4, 3})),
              HasSubstr("found codec raw"));
  EXPECT_THAT(BindError({image::ColorJitter{}}, Stored("raw", {4, 4, 2})),
              HasSubstr("2 channels"));
}

}  // namespace
}  // namespace headrace::schema
