#include "transform/pixels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace headrace::transform {
namespace {

using Table = std::array<uint8_t, 256>;

uint8_t Level(double value) {
  return static_cast<uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
}

// The nearest level of a number from 0 to 255, without a call.
uint8_t Nearest(float value) {
  const float above = value + 0.5F;
  return static_cast<uint8_t>(above);
}

float Luma(const uint8_t* rgb) {
  return 0.299F * static_cast<float>(rgb[0]) + 0.587F * static_cast<float>(rgb[1]) +
         0.114F * static_cast<float>(rgb[2]);
}

int64_t Colors(const Packed& image) { return image.channels == 1 ? 1 : 3; }

void Apply(const Table& table, const Packed& image) {
  const int64_t colors = Colors(image);
  if (colors == image.channels) {
    for (int64_t i = 0; i < image.count * colors; ++i) {
      image.pixels[i] = table[image.pixels[i]];
    }
    return;
  }
  for (int64_t i = 0; i < image.count; ++i) {
    for (int64_t c = 0; c < colors; ++c) {
      uint8_t& level = image.pixels[i * image.channels + c];
      level = table[level];
    }
  }
}

void Brighten(double factor, const Packed& image) {
  Table table;
  for (size_t i = 0; i < table.size(); ++i) {
    table[i] = Level(static_cast<double>(i) * factor);
  }
  Apply(table, image);
}

// Away from the mean luma, or towards it.
void Contrast(double factor, const Packed& image) {
  double sum = 0;
  for (int64_t i = 0; i < image.count; ++i) {
    const uint8_t* const pixel = image.pixels + i * image.channels;
    sum += image.channels == 1 ? pixel[0] : Luma(pixel);
  }
  const double mean = sum / static_cast<double>(std::max<int64_t>(image.count, 1));
  Table table;
  for (size_t i = 0; i < table.size(); ++i) {
    table[i] = Level(mean + (static_cast<double>(i) - mean) * factor);
  }
  Apply(table, image);
}

void Saturate(double factor, const Packed& image) {
  if (image.channels == 1) return;
  const auto f = static_cast<float>(factor);
  for (int64_t i = 0; i < image.count; ++i) {
    uint8_t* const pixel = image.pixels + i * image.channels;
    const float gray = Luma(pixel);
    for (int c = 0; c < 3; ++c) {
      const float value = gray + (static_cast<float>(pixel[c]) - gray) * f;
      pixel[c] = Nearest(std::clamp(value, 0.0F, 255.0F));
    }
  }
}

// Turns the hue of one pixel: chroma and value stay. The colour circle has six sixths,
// each between two of the channels' corners.
void TurnHue(float sixths, uint8_t* pixel) {
  const float r = pixel[0], g = pixel[1], b = pixel[2];
  const float greatest = std::max({r, g, b});
  const float chroma = greatest - std::min({r, g, b});
  if (chroma == 0) return;
  float hue = greatest == r   ? (g - b) / chroma
              : greatest == g ? (b - r) / chroma + 2
                              : (r - g) / chroma + 4;
  hue += sixths;
  // A channel is full in the two sixths around its corner, and fades in the next ones.
  for (int c = 0; c < 3; ++c) {
    const float turned = hue - static_cast<float>(2 * c) + 15;  // above 0
    const float whole = static_cast<float>(static_cast<int>(turned / 6));
    const float from_corner = std::abs(turned - 6 * whole - 3);
    const float share = std::clamp(2 - from_corner, 0.0F, 1.0F);
    pixel[c] = Nearest(greatest - chroma * (1 - share));
  }
}

void TurnHues(double turns, const Packed& image) {
  if (image.channels == 1) return;
  const auto sixths = static_cast<float>(turns * 6);
  for (int64_t i = 0; i < image.count; ++i) {
    TurnHue(sixths, image.pixels + i * image.channels);
  }
}

// Calls `write(channel, level)` in the order of delivery.
template <typename Write>
void Walk(const Picture& picture, image::Order order, Write write) {
  const int64_t channels = picture.channels;
  const int64_t step = picture.mirrored ? -channels : channels;
  auto row_of = [&](int64_t y) {
    const uint8_t* const row =
        picture.Row(picture.upside_down ? picture.height - 1 - y : y);
    return picture.mirrored ? row + (picture.width - 1) * channels : row;
  };
  if (order == image::Order::kNhwc) {
    for (int64_t y = 0; y < picture.height; ++y) {
      const uint8_t* pixel = row_of(y);
      for (int64_t x = 0; x < picture.width; ++x, pixel += step) {
        for (int64_t c = 0; c < channels; ++c) write(c, pixel[c]);
      }
    }
    return;
  }
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < picture.height; ++y) {
      const uint8_t* pixel = row_of(y) + c;
      for (int64_t x = 0; x < picture.width; ++x, pixel += step) write(c, *pixel);
    }
  }
}

}  // namespace

double Uniform(base::KeyedRandom* random) {
  return static_cast<double>(random->Next() >> 11) * 0x1p-53;
}

double UniformIn(base::KeyedRandom* random, double least, double greatest) {
  return least + (greatest - least) * Uniform(random);
}

void Jitter(const image::ColorJitter& op, base::KeyedRandom* random,
            const Packed& image) {
  auto factor = [&](double strength) {
    return UniformIn(random, std::max(0.0, 1 - strength), 1 + strength);
  };
  // All are drawn, so that what one is set to changes none of the others.
  const double brightness = factor(op.brightness);
  const double contrast = factor(op.contrast);
  const double saturation = factor(op.saturation);
  const double hue = UniformIn(random, -op.hue, op.hue);
  std::array<int, 4> order = {0, 1, 2, 3};
  for (size_t i = order.size() - 1; i > 0; --i) {
    std::swap(order[i], order[random->Below(i + 1)]);
  }
  for (const int change : order) {
    if (change == 0 && op.brightness > 0) Brighten(brightness, image);
    if (change == 1 && op.contrast > 0) Contrast(contrast, image);
    if (change == 2 && op.saturation > 0) Saturate(saturation, image);
    if (change == 3 && op.hue > 0) TurnHues(hue, image);
  }
}

void Premultiply(const Packed& image) {
  for (int64_t i = 0; i < image.count; ++i) {
    uint8_t* const pixel = image.pixels + 4 * i;
    for (int c = 0; c < 3; ++c) {
      const uint32_t product = uint32_t{pixel[c]} * pixel[3] + 128;
      pixel[c] = static_cast<uint8_t>((product + (product >> 8)) >> 8);  // / 255
    }
  }
}

void Unpremultiply(const Packed& image) {
  for (int64_t i = 0; i < image.count; ++i) {
    uint8_t* const pixel = image.pixels + 4 * i;
    const uint32_t alpha = pixel[3];
    if (alpha == 0 || alpha == 255) continue;
    for (int c = 0; c < 3; ++c) {
      pixel[c] = static_cast<uint8_t>(std::min(255U, 255U * pixel[c] / alpha));
    }
  }
}

void Place(const Picture& picture, const Placing& placing, uint8_t* out) {
  const int64_t row_bytes = placing.width * picture.channels;
  const int64_t from = std::clamp<int64_t>(placing.left, 0, placing.width);
  const int64_t to = std::clamp(placing.left + picture.width, from, placing.width);
  std::memset(out, placing.value, static_cast<size_t>(placing.height * row_bytes));
  for (int64_t y = 0; y < placing.height; ++y) {
    const int64_t row = y - placing.top;
    if (row < 0 || row >= picture.height) continue;
    std::memcpy(out + y * row_bytes + from * picture.channels,
                picture.Row(row) + (from - placing.left) * picture.channels,
                static_cast<size_t>((to - from) * picture.channels));
  }
}

FloatTables::FloatTables(const image::ToFloat& op)
    : tables_(std::max(op.mean.size(), op.std.size())) {
  for (size_t c = 0; c < tables_.size(); ++c) {
    const double mean = op.mean[op.mean.size() == 1 ? 0 : c];
    const double std = op.std[op.std.size() == 1 ? 0 : c];
    for (size_t level = 0; level < 256; ++level) {
      tables_[c][level] =
          static_cast<float>((static_cast<double>(level) / 255 - mean) / std);
    }
  }
}

void Deliver(const Picture& picture, image::Order order, uint8_t* out) {
  const bool as_it_is = !picture.mirrored && order == image::Order::kNhwc;
  if (!as_it_is) {
    Walk(picture, order, [&](int64_t, uint8_t level) { *out++ = level; });
    return;
  }
  const int64_t row_bytes = picture.width * picture.channels;
  for (int64_t y = 0; y < picture.height; ++y) {
    std::memcpy(out + y * row_bytes,
                picture.Row(picture.upside_down ? picture.height - 1 - y : y),
                static_cast<size_t>(row_bytes));
  }
}

void Deliver(const Picture& picture, image::Order order, const FloatTables& tables,
             float* out) {
  Walk(picture, order, [&](int64_t c, uint8_t level) { *out++ = tables.Of(c)[level]; });
}

}  // namespace headrace::transform
