#include "transform/image_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "codec/image.h"

namespace headrace::transform {
namespace {

using codec::ImageFormat;
using codec::SampleKey;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Bytes = std::vector<uint8_t>;

struct Value {
  std::vector<int64_t> shape;
  Bytes bytes;

  int64_t size() const {
    int64_t elements = 1;
    for (const int64_t dimension : shape) elements *= dimension;
    return elements;
  }
  int At(int64_t y, int64_t x, int64_t c = 0) const {
    return bytes[static_cast<size_t>((y * shape[1] + x) * shape[2] + c)];
  }
};

Result<Value> Decoded(const ImageOps& ops, const std::optional<Field>& field,
                      const Bytes& cell, const SampleKey& key = {}) {
  ARROW_ASSIGN_OR_RAISE(auto decoder,
                        ImageDecoder::Make(ops, field, arrow::default_memory_pool()));
  Value value;
  ARROW_RETURN_NOT_OK(
      decoder->Decode(cell, key, [&](std::span<const int64_t> shape) -> Result<uint8_t*> {
        value.shape.assign(shape.begin(), shape.end());
        value.bytes.resize(
            static_cast<size_t>(value.size() * ByteWidth(decoder->dtype())));
        return value.bytes.data();
      }));
  return value;
}

Value Made(const ImageOps& ops, const std::optional<Field>& field, const Bytes& cell,
           const SampleKey& key = {}) {
  auto value = Decoded(ops, field, cell, key);
  EXPECT_TRUE(value.ok()) << value.status().ToString();
  return std::move(value).ValueOrDie();
}

Field Raw(int64_t height, int64_t width, int64_t channels) {
  return Field{
      .name = "x", .dtype = "uint8", .shape = {height, width, channels}, .codec = "raw"};
}

// Level c + channels * (x + width * y): all differ while they fit.
Bytes Counting(int64_t height, int64_t width, int64_t channels) {
  Bytes bytes(static_cast<size_t>(height * width * channels));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
  return bytes;
}

// Smooth colours.
Bytes Smooth(int64_t height, int64_t width, int64_t channels) {
  Bytes bytes;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < channels; ++c) {
        const double wave = std::sin(0.02 * static_cast<double>((c + 1) * x)) +
                            std::cos(0.03 * static_cast<double>(y + 20 * c));
        bytes.push_back(static_cast<uint8_t>(128 + 60 * wave));
      }
    }
  }
  return bytes;
}

Bytes Encoded(const Bytes& pixels, int64_t height, int64_t width, int channels,
              ImageFormat format, DType dtype = DType::kUInt8) {
  const codec::ImagePixels image{pixels.data(), height, width, channels, dtype};
  const auto buffer =
      codec::EncodeImage(image, format, 95, arrow::default_memory_pool()).ValueOrDie();
  return {buffer->data(), buffer->data() + buffer->size()};
}

double MeanDifference(const Value& a, const Value& b) {
  EXPECT_EQ(a.shape, b.shape);
  double sum = 0;
  for (size_t i = 0; i < a.bytes.size(); ++i) sum += std::abs(a.bytes[i] - b.bytes[i]);
  return sum / static_cast<double>(a.bytes.size());
}

TEST(ImageDecoder, CutsOutTheMiddle) {
  const auto value = Made({image::CenterCrop{2, 3}}, Raw(5, 6, 1), Counting(5, 6, 1));
  // Halves go to the even side: 1.5 rows and 1.5 columns above and left are 2.
  EXPECT_THAT(value.shape, ElementsAre(2, 3, 1));
  EXPECT_THAT(value.bytes, ElementsAre(14, 15, 16, 20, 21, 22));
}

TEST(ImageDecoder, PutsZerosAroundWhatIsSmallerThanItsCrop) {
  const auto value = Made({image::CenterCrop{4, 1}}, Raw(1, 3, 1), {7, 8, 9});
  EXPECT_THAT(value.bytes, ElementsAre(0, 8, 0, 0));
}

TEST(ImageDecoder, Pads) {
  const auto value =
      Made({image::PadTo{.height = 2, .width = 4, .value = 9}}, Raw(1, 1, 3), {1, 2, 3});
  EXPECT_THAT(value.bytes, ElementsAre(9, 9, 9, 1, 2, 3, 9, 9, 9, 9, 9, 9,  //
                                       9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9));
}

TEST(ImageDecoder, Flips) {
  const auto pixels = Counting(2, 3, 1);
  EXPECT_THAT(Made({image::Flip{1, 0}}, Raw(2, 3, 1), pixels).bytes,
              ElementsAre(2, 1, 0, 5, 4, 3));
  EXPECT_THAT(Made({image::Flip{0, 1}}, Raw(2, 3, 1), pixels).bytes,
              ElementsAre(3, 4, 5, 0, 1, 2));
  EXPECT_THAT(Made({image::Flip{1, 1}}, Raw(2, 3, 1), pixels).bytes,
              ElementsAre(5, 4, 3, 2, 1, 0));
  EXPECT_THAT(Made({image::Flip{1, 0}, image::Flip{1, 0}}, Raw(2, 3, 1), pixels).bytes,
              ElementsAre(0, 1, 2, 3, 4, 5));
}

// What comes after a flip works on what is seen, though pixels are moved at the end.
TEST(ImageDecoder, CropsPadsAndResizesWhatIsSeen) {
  const auto field = Raw(7, 9, 3);
  const auto pixels = Counting(7, 9, 3);
  const auto mirrored = Made({image::Flip{1, 1}}, field, pixels).bytes;
  for (const ImageOp& op : std::vector<ImageOp>{
           image::CenterCrop{4, 6}, image::PadTo{10, 12}, image::RandomCrop{3},
           image::RandomResizedCrop{5}, image::Resize{4, 5}, image::CenterCrop{10, 4}}) {
    const SampleKey key{1, 2, 3};
    const auto expected = Made({op}, field, mirrored, key);
    const auto found = Made({image::Flip{1, 1}, op}, field, pixels, key);
    EXPECT_EQ(expected.shape, found.shape);
    for (size_t i = 0; i < expected.bytes.size(); ++i) {
      ASSERT_NEAR(expected.bytes[i], found.bytes[i], 1) << ToString({op}) << " at " << i;
    }
  }
}

TEST(ImageDecoder, DrawsEveryPlaceOfACrop) {
  const auto field = Raw(4, 5, 1);
  const auto pixels = Counting(4, 5, 1);
  std::set<int> corners;
  for (int64_t row = 0; row < 200; ++row) {
    const SampleKey key{3, 1, row};
    const auto value = Made({image::RandomCrop{3}}, field, pixels, key);
    EXPECT_EQ(value.bytes, Made({image::RandomCrop{3}}, field, pixels, key).bytes);
    EXPECT_EQ(value.At(0, 0) + 12, value.At(2, 2));
    corners.insert(value.At(0, 0));
  }
  EXPECT_THAT(corners, ElementsAre(0, 1, 2, 5, 6, 7));
}

TEST(ImageDecoder, DrawsByEverythingThatKeysASample) {
  const auto field = Raw(40, 40, 1);
  const auto pixels = Counting(40, 40, 1);
  std::set<Bytes> drawn;
  for (const SampleKey& key :
       {SampleKey{0, 0, 0}, SampleKey{1, 0, 0}, SampleKey{0, 1, 0}, SampleKey{0, 0, 1}}) {
    drawn.insert(Made({image::RandomCrop{4}}, field, pixels, key).bytes);
  }
  EXPECT_EQ(4, std::ssize(drawn));
}

// An image and its mask are cropped and flipped alike, whatever else is done to them.
TEST(ImageDecoder, DrawsAlikeWhateverStandsBetween) {
  const auto field = Raw(40, 40, 1);
  const auto pixels = Counting(40, 40, 1);
  for (int64_t row = 0; row < 20; ++row) {
    const SampleKey key{0, 0, row};
    EXPECT_EQ(
        Made({image::RandomCrop{7}, image::Flip{0.5, 0.5}}, field, pixels, key).bytes,
        Made({image::ColorJitter{}, image::RandomCrop{7}, image::PadTo{7},
              image::Flip{0.5, 0.5}},
             field, pixels, key)
            .bytes);
  }
}

TEST(ImageDecoder, DrawsCropsOfTheAreaAndRatioAskedFor) {
  // Levels tell places: a crop's mean says where it is.
  const auto field = Raw(100, 200, 1);
  Bytes pixels;
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 200; ++x) pixels.push_back(static_cast<uint8_t>(x));
  }
  const image::RandomResizedCrop op{
      .height = 1, .width = 2, .scale = {0.25, 0.25}, .ratio = {1, 1}};
  int least = 255, greatest = 0;
  for (int64_t row = 0; row < 100; ++row) {
    const auto value = Made({op}, field, pixels, {0, 0, row});
    // Of 71 columns, whose halves are 35.5 apart; kernels that end at the crop's edges
    // draw their means nearer.
    EXPECT_NEAR(28.7, value.At(0, 1) - value.At(0, 0), 1.5);
    least = std::min(least, value.At(0, 0));
    greatest = std::max(greatest, value.At(0, 1));
  }
  EXPECT_LT(least, 25);
  EXPECT_GT(greatest, 175);
  // No crop of this ratio fits: the middle as wide as allowed.
  const image::RandomResizedCrop wide{
      .height = 1, .width = 2, .scale = {1, 1}, .ratio = {1, 1}};
  const auto value = Made({wide}, field, pixels);
  EXPECT_NEAR(100, (value.At(0, 0) + value.At(0, 1)) / 2.0, 2);
}

TEST(ImageDecoder, MakesFloats) {
  const image::ToFloat op{.mean = {0.5, 0.25, 0}, .std = {0.5, 1, 2}};
  const auto value = Made({op}, Raw(1, 2, 3), {0, 51, 255, 255, 0, 102});
  std::vector<float> floats(6);
  std::memcpy(floats.data(), value.bytes.data(), value.bytes.size());
  const std::vector<float> expected = {-1.0F, -0.05F, 0.5F, 1.0F, -0.25F, 0.2F};
  EXPECT_THAT(floats, ::testing::Pointwise(::testing::FloatEq(), expected));
}

TEST(ImageDecoder, PutsChannelsFirst) {
  const auto pixels = Counting(2, 2, 3);
  const auto value = Made({image::Layout{}}, Raw(2, 2, 3), pixels);
  EXPECT_THAT(value.shape, ElementsAre(3, 2, 2));
  EXPECT_THAT(value.bytes, ElementsAre(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11));
  const auto flipped =
      Made({image::Flip{1, 0}, image::Layout{}, image::ToFloat{}}, Raw(2, 2, 3), pixels);
  float first = 0;
  std::memcpy(&first, flipped.bytes.data(), sizeof(first));
  EXPECT_FLOAT_EQ(3.0F / 255, first);
}

TEST(ImageDecoder, SniffsTheFormat) {
  const auto pixels = Smooth(40, 60, 3);
  for (const auto format : {ImageFormat::kJpeg, ImageFormat::kPng, ImageFormat::kWebp}) {
    const auto value =
        Made({image::Decode{}}, std::nullopt, Encoded(pixels, 40, 60, 3, format));
    EXPECT_THAT(value.shape, ElementsAre(40, 60, 3));
    EXPECT_LT(MeanDifference(value, {{40, 60, 3}, pixels}), 3);
  }
}

TEST(ImageDecoder, DecodesToTheModeAskedFor) {
  const auto gray = Encoded({10, 200}, 1, 2, 1, ImageFormat::kPng);
  EXPECT_THAT(Made({image::Decode{}}, std::nullopt, gray).bytes,
              ElementsAre(10, 10, 10, 200, 200, 200));
  EXPECT_THAT(Made({image::Decode{ImageMode::kAsStored}}, std::nullopt, gray).bytes,
              ElementsAre(10, 200));
  EXPECT_THAT(Made({image::Decode{ImageMode::kRgba}}, std::nullopt, gray).bytes,
              ElementsAre(10, 10, 10, 255, 200, 200, 200, 255));
  const uint16_t wide[] = {0x1234, 0xFF00};
  Bytes sixteen(4);
  std::memcpy(sixteen.data(), wide, 4);
  EXPECT_THAT(Made({image::Decode{ImageMode::kGray}}, std::nullopt,
                   Encoded(sixteen, 1, 2, 1, ImageFormat::kPng, DType::kUInt16))
                  .bytes,
              ElementsAre(0x12, 0xFF));
}

TEST(ImageDecoder, HonoursOrientationBeforeAnythingElse) {
  // A JPEG of 64 x 32, light on its left; "turn by 90 degrees" puts that on top.
  Bytes pixels;
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 64; ++x) pixels.push_back(x < 32 ? 250 : 5);
  }
  Bytes cell = Encoded(pixels, 32, 64, 1, ImageFormat::kJpeg);
  const Bytes exif = {0xFF, 0xE1, 0, 34, 'E', 'x', 'i', 'f', 0,    0,    'M', 'M',
                      0,    42,   0, 0,  0,   8,   0,   1,   0x01, 0x12, 0,   3,
                      0,    0,    0, 1,  0,   6,   0,   0,   0,    0,    0,   0};
  cell.insert(cell.begin() + 2, exif.begin(), exif.end());
  const auto value =
      Made({image::Decode{ImageMode::kGray}, image::Resize{8}}, std::nullopt, cell);
  EXPECT_THAT(value.shape, ElementsAre(16, 8, 1));
  EXPECT_NEAR(250, value.At(2, 4), 10);
  EXPECT_NEAR(5, value.At(13, 4), 10);
}

TEST(ImageDecoder, ScaledDecodingIsCloseToFullDecoding) {
  const auto cell = Encoded(Smooth(301, 403, 3), 301, 403, 3, ImageFormat::kJpeg);
  for (const ImageOp& op :
       std::vector<ImageOp>{image::Resize{150}, image::Resize{30, 50}, image::Resize{75},
                            image::RandomResizedCrop{.height = 32, .scale = {0.5, 1}}}) {
    const image::Decode full{.dct_scaling = false};
    for (int64_t row = 0; row < 4; ++row) {
      const SampleKey key{0, 0, row};
      const auto expected = Made({full, image::Flip{}, op}, std::nullopt, cell, key);
      const auto found =
          Made({image::Decode{}, image::Flip{}, op}, std::nullopt, cell, key);
      EXPECT_LT(MeanDifference(expected, found), 1.5) << ToString({op});
      EXPECT_NE(expected.bytes, found.bytes) << "not scaled: " << ToString({op});
    }
  }
  // More than half: the same.
  EXPECT_EQ(
      Made({image::Resize{151}}, std::nullopt, cell).bytes,
      Made({image::Decode{.dct_scaling = false}, image::Resize{151}}, std::nullopt, cell)
          .bytes);
}

TEST(ImageDecoder, TransparentPixelsDoNotBleed) {
  // Opaque red beside green that nobody sees.
  const auto cell = Encoded({200, 0, 0, 255, 0, 255, 0, 0}, 1, 2, 4, ImageFormat::kPng);
  const auto value =
      Made({image::Decode{ImageMode::kRgba}, image::Resize{1, 1}}, std::nullopt, cell);
  EXPECT_NEAR(200, value.At(0, 0, 0), 2);
  EXPECT_EQ(0, value.At(0, 0, 1));
  EXPECT_NEAR(128, value.At(0, 0, 3), 1);
}

TEST(ImageDecoder, JittersBrightnessByAFactor) {
  std::set<int> levels;
  for (int64_t row = 0; row < 50; ++row) {
    const auto value = Made({image::ColorJitter{.brightness = 0.5}}, Raw(1, 2, 1),
                            {100, 200}, {0, 0, row});
    EXPECT_GE(value.At(0, 0), 50);
    EXPECT_LE(value.At(0, 0), 150);
    EXPECT_NEAR(std::min(255, 2 * value.At(0, 0)), value.At(0, 1), 1);
    levels.insert(value.At(0, 0));
  }
  EXPECT_LT(*levels.begin(), 65);
  EXPECT_GT(*levels.rbegin(), 135);
}

TEST(ImageDecoder, JitteringContrastKeepsTheMean) {
  for (int64_t row = 0; row < 20; ++row) {
    const auto value = Made({image::ColorJitter{.contrast = 0.5}}, Raw(1, 2, 1),
                            {100, 140}, {0, 0, row});
    EXPECT_NEAR(240, value.At(0, 0) + value.At(0, 1), 1);
    EXPECT_LE(std::abs(value.At(0, 1) - value.At(0, 0)), 61);
  }
}

TEST(ImageDecoder, JitteringSaturationKeepsLumaAndAlpha) {
  const auto luma = [](const Value& v) {
    return 0.299 * v.At(0, 0, 0) + 0.587 * v.At(0, 0, 1) + 0.114 * v.At(0, 0, 2);
  };
  for (int64_t row = 0; row < 20; ++row) {
    const auto value = Made({image::ColorJitter{.saturation = 0.5}}, Raw(1, 1, 4),
                            {100, 120, 80, 33}, {0, 0, row});
    EXPECT_NEAR(109.46, luma(value), 1);
    EXPECT_EQ(33, value.At(0, 0, 3));
  }
}

TEST(ImageDecoder, JitteringHueTurnsTheColourCircle) {
  std::set<Bytes> colours;
  for (int64_t row = 0; row < 100; ++row) {
    const auto value =
        Made({image::ColorJitter{.hue = 0.5}}, Raw(1, 1, 3), {200, 50, 50}, {0, 0, row});
    EXPECT_EQ(200, *std::ranges::max_element(value.bytes));
    EXPECT_EQ(50, *std::ranges::min_element(value.bytes));
    colours.insert(value.bytes);
  }
  // All six sixths of it are met.
  for (size_t c = 0; c < 3; ++c) {
    for (const int level : {50, 200}) {
      EXPECT_TRUE(std::ranges::any_of(
          colours, [&](const Bytes& colour) { return colour[c] == level; }));
    }
  }
  EXPECT_GT(colours.size(), 50);
  EXPECT_THAT(Made({image::ColorJitter{.hue = 0.5}}, Raw(1, 1, 3), {9, 9, 9}).bytes,
              Each(9));
}

TEST(ImageDecoder, KnowsWhetherItIsRandom) {
  auto random = [](const ImageOps& ops) {
    return ImageDecoder::Make(ops, std::nullopt, arrow::default_memory_pool())
        .ValueOrDie()
        ->is_random();
  };
  EXPECT_FALSE(random({image::Resize{8}, image::CenterCrop{8}, image::ToFloat{}}));
  EXPECT_TRUE(random({image::Resize{8}, image::Flip{}}));
  EXPECT_TRUE(random({image::RandomResizedCrop{8}}));
}

TEST(ImageDecoder, SaysWhatIsWrongWithAnImage) {
  auto error = [](const ImageOps& ops, const std::optional<Field>& field,
                  const Bytes& cell, ErrorKind kind) {
    const Status status = Decoded(ops, field, cell).status();
    EXPECT_EQ(kind, KindOf(status)) << status.ToString();
    return MessageOf(status);
  };
  const auto jpeg = Encoded(Smooth(40, 60, 3), 40, 60, 3, ImageFormat::kJpeg);
  EXPECT_THAT(error({image::Decode{.pixels_max = 2399}}, std::nullopt, jpeg,
                    ErrorKind::kInvalidArgument),
              HasSubstr("40 x 60 pixels"));
  EXPECT_TRUE(Decoded({image::Decode{.pixels_max = 2400}}, std::nullopt, jpeg).ok());
  EXPECT_THAT(
      error({image::RandomCrop{41}}, std::nullopt, jpeg, ErrorKind::kInvalidArgument),
      HasSubstr("random_crop(41): the image is 40 x 60, expected at least 41"));
  EXPECT_THAT(error({image::PadTo{50}}, std::nullopt, jpeg, ErrorKind::kInvalidArgument),
              HasSubstr("pad_to(50): the image is 40 x 60"));
  error({image::Decode{}}, std::nullopt, {1, 2, 3}, ErrorKind::kUnsupported);
  error({image::Decode{}}, std::nullopt, {}, ErrorKind::kUnsupported);
  error({image::Resize{8}}, std::nullopt, Bytes(jpeg.begin(), jpeg.end() - 100),
        ErrorKind::kCorrupt);
  const Field field{.name = "x", .dtype = "uint8", .shape = {41, -1, 3}, .codec = "jpeg"};
  EXPECT_THAT(error({image::Resize{8}}, field, jpeg, ErrorKind::kSchemaMismatch),
              HasSubstr("40 x 60, expected the shape (41, None, 3)"));
  const auto line = Encoded(Bytes(6000, 1), 1, 2000, 3, ImageFormat::kPng);
  EXPECT_THAT(
      error({image::Resize{60000}}, std::nullopt, line, ErrorKind::kInvalidArgument),
      HasSubstr("does not become 60000 x 120000000"));
}

}  // namespace
}  // namespace headrace::transform
