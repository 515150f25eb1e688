#include "transform/image_decoder.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/random.h"
#include "codec/image.h"
#include "schema/field.h"
#include "transform/resample.h"

namespace headrace::transform {
namespace {

using codec::SampleKey;
using schema::ImageStep;

constexpr int kCropTries = 10;

// Numbers of one operation for one sample. They depend on nothing that stands before it,
// so that an image and its mask are cropped and flipped alike.
base::KeyedRandom RandomOf(const ImageStep& step, const SampleKey& key) {
  return base::KeyedRandom(base::MixKey(
      base::Purpose::kImage,
      {key.seed, static_cast<uint64_t>(key.epoch), static_cast<uint64_t>(key.row_id),
       step.op.index(), step.occurrence}));
}

struct Rectangle {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

// The largest crop in the middle whose ratio is allowed.
Rectangle MiddleOfRatio(const image::RandomResizedCrop& op, int64_t height,
                        int64_t width) {
  Rectangle crop{0, 0, height, width};
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  if (ratio < op.ratio[0]) {
    crop.height = std::lround(static_cast<double>(width) / op.ratio[0]);
  } else if (ratio > op.ratio[1]) {
    crop.width = std::lround(static_cast<double>(height) * op.ratio[1]);
  }
  crop.height = std::clamp<int64_t>(crop.height, 1, height);
  crop.width = std::clamp<int64_t>(crop.width, 1, width);
  crop.top = (height - crop.height) / 2;
  crop.left = (width - crop.width) / 2;
  return crop;
}

// Area and ratio (in logarithms) are drawn until the crop lies within the image.
Rectangle DrawCrop(const image::RandomResizedCrop& op, base::KeyedRandom random,
                   int64_t height, int64_t width) {
  const double area = static_cast<double>(height) * static_cast<double>(width);
  for (int i = 0; i < kCropTries; ++i) {
    const double share = UniformIn(&random, op.scale[0], op.scale[1]);
    const double ratio =
        std::exp(UniformIn(&random, std::log(op.ratio[0]), std::log(op.ratio[1])));
    Rectangle crop;
    crop.width = std::lround(std::sqrt(area * share * ratio));
    crop.height = std::lround(std::sqrt(area * share / ratio));
    if (crop.width < 1 || crop.width > width || crop.height < 1 || crop.height > height) {
      continue;
    }
    crop.top = static_cast<int64_t>(
        random.Below(static_cast<uint64_t>(height - crop.height + 1)));
    crop.left =
        static_cast<int64_t>(random.Below(static_cast<uint64_t>(width - crop.width + 1)));
    return crop;
  }
  return MiddleOfRatio(op, height, width);
}

bool IsRandom(const ImageOp& op) {
  return std::holds_alternative<image::RandomCrop>(op) ||
         std::holds_alternative<image::RandomResizedCrop>(op) ||
         std::holds_alternative<image::Flip>(op) ||
         std::holds_alternative<image::ColorJitter>(op);
}

}  // namespace

/// One image on its way through the chain.
class ImageRun {
 public:
  ImageRun(const ImageDecoder& decoder, const SampleKey& key,
           const codec::Allocate& allocate, Scratch* scratch)
      : decoder_(decoder),
        chain_(decoder.chain_),
        key_(key),
        allocate_(allocate),
        scratch_(scratch) {}

  Status Run(std::span<const uint8_t> cell) {
    last_ = chain_.steps.empty();
    ARROW_RETURN_NOT_OK(chain_.decode ? DecodeEncoded(cell) : DecodeField(cell));
    for (size_t i = 0; i < chain_.steps.size(); ++i) {
      last_ = i + 1 == chain_.steps.size();
      step_ = &chain_.steps[i];
      ARROW_RETURN_NOT_OK(
          std::visit([&](const auto& op) { return Apply(op); }, step_->op));
    }
    return delivered_ ? Status::OK() : Deliver();
  }

 private:
  // Memory for what an operation makes: where it is to go, if nothing comes after it,
  // else scratch. REQUIRES: the picture's flips are part of what is written.
  Result<uint8_t*> Room(int64_t height, int64_t width, int64_t channels) {
    const bool as_it_is = chain_.order == image::Order::kNhwc && !chain_.to_float &&
                          !picture_.mirrored && !picture_.upside_down;
    if (last_ && as_it_is) {
      delivered_ = true;
      const int64_t shape[] = {height, width, channels};
      return allocate_(shape);
    }
    // Not where the picture is now.
    slot_ = slot_ == Scratch::kFirst ? Scratch::kSecond : Scratch::kFirst;
    return scratch_->Take(slot_, height * width * channels);
  }

  // The picture is what was written to `pixels`.
  void Become(uint8_t* pixels, int64_t height, int64_t width, int64_t channels) {
    own_ = pixels;
    picture_.pixels = pixels;
    picture_.height = height;
    picture_.width = width;
    picture_.channels = channels;
    picture_.row_bytes = width * channels;
    packed_ = true;
    shrunk_ = 1;
  }

  Status DecodeEncoded(std::span<const uint8_t> cell) {
    const image::Decode& decode = *chain_.decode;
    ARROW_ASSIGN_OR_RAISE(const auto header,
                          codec::ReadImageHeader(cell, decode.pixels_max));
    if (decoder_.field_) {
      const std::vector<int64_t> declared(decoder_.field_->shape.begin(),
                                          decoder_.field_->shape.begin() + 2);
      if (!schema::Fits({header.height, header.width}, declared)) {
        return Error(ErrorKind::kSchemaMismatch,
                     "found an image of " + std::to_string(header.height) + " x " +
                         std::to_string(header.width) + ", expected the shape " +
                         schema::ShapeText(decoder_.field_->shape));
      }
    }
    codec::ImageDecodeOptions options;
    options.mode = decode.mode;
    options.to_uint8 = true;
    options.scale = ScaleOf(header);
    const int64_t height = (header.height + options.scale - 1) / options.scale;
    const int64_t width = (header.width + options.scale - 1) / options.scale;
    const int64_t channels = decode.mode == ImageMode::kGray   ? 1
                             : decode.mode == ImageMode::kRgb  ? 3
                             : decode.mode == ImageMode::kRgba ? 4
                                                               : header.channels;
    ARROW_ASSIGN_OR_RAISE(uint8_t* const pixels, Room(height, width, channels));
    ARROW_RETURN_NOT_OK(
        codec::DecodeImage(cell, header, options, decoder_.pool_, pixels));
    Become(pixels, height, width, channels);
    has_alpha_ = channels == 4 && header.channels == 4;
    shrunk_ = options.scale;
    full_height_ = header.height;
    full_width_ = header.width;
    return Status::OK();
  }

  Status DecodeField(std::span<const uint8_t> cell) {
    int64_t height = 0, width = 0, channels = 1;
    uint8_t* pixels = nullptr;
    auto allocate = [&](std::span<const int64_t> shape) -> Result<uint8_t*> {
      height = shape[0];
      width = shape[1];
      if (shape.size() == 3) channels = shape[2];
      if (height < 1 || width < 1 || channels < 1) {
        return Error(ErrorKind::kInvalidArgument,
                     "found an image of shape " +
                         schema::ShapeText({shape.begin(), shape.end()}) +
                         ", expected at least one pixel");
      }
      ARROW_ASSIGN_OR_RAISE(pixels, Room(height, width, channels));
      return pixels;
    };
    ARROW_RETURN_NOT_OK(decoder_.codec_->Decode(cell, key_, allocate));
    Become(pixels, height, width, channels);
    return Status::OK();
  }

  // At which part of its size a JPEG may be decoded: the next operation reduces what it
  // takes by as much at least.
  int ScaleOf(const codec::ImageHeader& header) const {
    if (header.format != codec::ImageFormat::kJpeg || !chain_.decode->dct_scaling) {
      return 1;
    }
    const auto next = std::ranges::find_if(chain_.steps, [](const ImageStep& step) {
      return !std::holds_alternative<image::Flip>(step.op);
    });
    if (next == chain_.steps.end()) return 1;
    Rectangle taken{0, 0, header.height, header.width};
    int64_t height = 0, width = 0;
    if (const auto* resize = std::get_if<image::Resize>(&next->op)) {
      const auto size = schema::ResizedTo(*resize, header.height, header.width);
      height = size[0];
      width = size[1];
    } else if (const auto* crop = std::get_if<image::RandomResizedCrop>(&next->op)) {
      taken = DrawCrop(*crop, RandomOf(*next, key_), header.height, header.width);
      height = crop->height;
      width = crop->width.value_or(crop->height);
    } else {
      return 1;
    }
    int scale = 1;
    while (scale < 8 && taken.height >= int64_t{2} * scale * height &&
           taken.width >= int64_t{2} * scale * width) {
      scale *= 2;
    }
    return scale;
  }

  int64_t Height() const { return shrunk_ == 1 ? picture_.height : full_height_; }
  int64_t Width() const { return shrunk_ == 1 ? picture_.width : full_width_; }

  Status Fail(const std::string& what) const {
    return Error(ErrorKind::kInvalidArgument,
                 ToString(ImageOps{step_->op}) + ": the image is " +
                     std::to_string(Height()) + " x " + std::to_string(Width()) +
                     ", expected " + what);
  }

  // Where what is seen at a place of a (height, width) picture is stored.
  Rectangle StoredIn(Rectangle seen, int64_t height, int64_t width) const {
    if (picture_.mirrored) seen.left = width - seen.left - seen.width;
    if (picture_.upside_down) seen.top = height - seen.top - seen.height;
    return seen;
  }
  Rectangle Stored(const Rectangle& seen) const {
    return StoredIn(seen, Height(), Width());
  }

  void Crop(const Rectangle& stored) {
    own_ += stored.top * picture_.row_bytes + stored.left * picture_.channels;
    picture_.pixels = own_;
    packed_ = packed_ && stored.width == picture_.width;
    picture_.height = stored.height;
    picture_.width = stored.width;
  }

  // Puts the picture into a larger one.
  Status Enlarge(int64_t height, int64_t width, uint8_t value) {
    // In the middle; a pixel that is left over goes below, or to the right, as seen.
    const Rectangle at =
        StoredIn({(height - picture_.height) / 2, (width - picture_.width) / 2,
                  picture_.height, picture_.width},
                 height, width);
    ARROW_ASSIGN_OR_RAISE(uint8_t* const pixels, Room(height, width, picture_.channels));
    Place(picture_, {at.top, at.left, height, width, value}, pixels);
    Become(pixels, height, width, picture_.channels);
    return Status::OK();
  }

  // The pixels, to be changed in place: a crop is copied first.
  Result<Packed> Writable() {
    if (!packed_) {
      ARROW_ASSIGN_OR_RAISE(uint8_t* const pixels,
                            Room(picture_.height, picture_.width, picture_.channels));
      Place(picture_, {0, 0, picture_.height, picture_.width, 0}, pixels);
      Become(pixels, picture_.height, picture_.width, picture_.channels);
    }
    return Packed{own_, picture_.height * picture_.width, picture_.channels};
  }

  Status ResizeTo(const Rectangle& taken, int64_t height, int64_t width,
                  image::Interpolation interpolation) {
    // The least and the greatest ratio of sides make sizes that nobody asked for.
    if (height * width > codec::kPixelsMax) {
      return Fail("one that does not become " + std::to_string(height) + " x " +
                  std::to_string(width));
    }
    const auto shrunk = static_cast<double>(shrunk_);
    Box box{static_cast<double>(taken.top) / shrunk,
            static_cast<double>(taken.left) / shrunk,
            static_cast<double>(taken.top + taken.height) / shrunk,
            static_cast<double>(taken.left + taken.width) / shrunk};
    // Only pixels that the box touches are looked at, as if it had been cut out.
    const auto top = static_cast<int64_t>(box.top);
    const auto left = static_cast<int64_t>(box.left);
    const auto bottom =
        std::min(picture_.height, static_cast<int64_t>(std::ceil(box.bottom)));
    const auto right =
        std::min(picture_.width, static_cast<int64_t>(std::ceil(box.right)));
    Crop({top, left, bottom - top, right - left});
    box = {box.top - static_cast<double>(top), box.left - static_cast<double>(left),
           box.bottom - static_cast<double>(top), box.right - static_cast<double>(left)};
    if (has_alpha_) {
      const bool last = std::exchange(last_, false);  // resizing is still to come
      ARROW_ASSIGN_OR_RAISE(const Packed packed, Writable());
      last_ = last;
      Premultiply(packed);
    }
    ARROW_ASSIGN_OR_RAISE(uint8_t* const pixels, Room(height, width, picture_.channels));
    const Resampling job{.in = picture_.pixels,
                         .in_height = picture_.height,
                         .in_width = picture_.width,
                         .in_row_bytes = picture_.row_bytes,
                         .channels = static_cast<int>(picture_.channels),
                         .box = box,
                         .height = height,
                         .width = width,
                         .interpolation = interpolation,
                         .out = pixels};
    ARROW_RETURN_NOT_OK(Resample(job, scratch_));
    Become(pixels, height, width, picture_.channels);
    if (has_alpha_) Unpremultiply({pixels, height * width, picture_.channels});
    return Status::OK();
  }

  Status Apply(const image::Resize& op) {
    const auto size = schema::ResizedTo(op, Height(), Width());
    return ResizeTo({0, 0, Height(), Width()}, size[0], size[1], op.interpolation);
  }
  Status Apply(const image::CenterCrop& op) {
    const int64_t height = op.height, width = op.width.value_or(op.height);
    if (picture_.height < height || picture_.width < width) {
      const bool last = std::exchange(last_, false);  // it may still be cropped
      ARROW_RETURN_NOT_OK(
          Enlarge(std::max(height, picture_.height), std::max(width, picture_.width), 0));
      last_ = last;
    }
    // Halves go to the even side, as Python rounds.
    auto before = [](int64_t room) {
      return static_cast<int64_t>(std::nearbyint(static_cast<double>(room) / 2));
    };
    Crop(Stored({before(picture_.height - height), before(picture_.width - width), height,
                 width}));
    return Status::OK();
  }
  Status Apply(const image::RandomCrop& op) {
    const int64_t height = op.height, width = op.width.value_or(op.height);
    if (picture_.height < height || picture_.width < width) {
      return Fail("at least " + std::to_string(height) + " x " + std::to_string(width) +
                  ": resize or pad_to before");
    }
    auto random = RandomOf(*step_, key_);
    auto below = [&](int64_t room) {
      return static_cast<int64_t>(random.Below(static_cast<uint64_t>(room + 1)));
    };
    const int64_t top = below(picture_.height - height);
    Crop(Stored({top, below(picture_.width - width), height, width}));
    return Status::OK();
  }
  Status Apply(const image::RandomResizedCrop& op) {
    const Rectangle crop = DrawCrop(op, RandomOf(*step_, key_), Height(), Width());
    return ResizeTo(Stored(crop), op.height, op.width.value_or(op.height),
                    op.interpolation);
  }
  Status Apply(const image::Flip& op) {
    auto random = RandomOf(*step_, key_);
    if (Uniform(&random) < op.horizontal) picture_.mirrored = !picture_.mirrored;
    if (Uniform(&random) < op.vertical) picture_.upside_down = !picture_.upside_down;
    return Status::OK();
  }
  Status Apply(const image::ColorJitter& op) {
    const int64_t channels = picture_.channels;
    if (channels != 1 && channels != 3 && channels != 4) {
      return Fail("1, 3 or 4 channels, found " + std::to_string(channels));
    }
    ARROW_ASSIGN_OR_RAISE(const Packed packed, Writable());
    auto random = RandomOf(*step_, key_);
    Jitter(op, &random, packed);
    return Status::OK();
  }
  Status Apply(const image::PadTo& op) {
    const int64_t height = op.height, width = op.width.value_or(op.height);
    if (picture_.height > height || picture_.width > width) {
      return Fail("at most " + std::to_string(height) + " x " + std::to_string(width) +
                  ": resize or crop before");
    }
    return Enlarge(height, width, static_cast<uint8_t>(op.value));
  }
  template <typename Other>
  Status Apply(const Other&) {
    return Error(ErrorKind::kInternal, "an operation that is no step");
  }

  Status Deliver() {
    const int64_t h = picture_.height, w = picture_.width, c = picture_.channels;
    const bool first = chain_.order == image::Order::kNchw;
    const int64_t shape[] = {first ? c : h, first ? h : w, first ? w : c};
    ARROW_ASSIGN_OR_RAISE(uint8_t* const out, allocate_(shape));
    if (chain_.to_float) {
      transform::Deliver(picture_, chain_.order, decoder_.tables_,
                         reinterpret_cast<float*>(out));
    } else {
      transform::Deliver(picture_, chain_.order, out);
    }
    return Status::OK();
  }

  const ImageDecoder& decoder_;
  const schema::ImageChain& chain_;
  const SampleKey& key_;
  const codec::Allocate& allocate_;
  Scratch* scratch_;

  const ImageStep* step_ = nullptr;
  bool last_ = false;       // no step comes after this one
  bool delivered_ = false;  // written to its place already
  Scratch::Slot slot_ = Scratch::kSecond;
  Picture picture_;
  uint8_t* own_ = nullptr;  // the picture's pixels
  bool packed_ = false;     // whose rows follow each other
  bool has_alpha_ = false;
  int shrunk_ = 1;           // the picture is at 1/shrunk_ of its size, which is
  int64_t full_height_ = 0;  // this
  int64_t full_width_ = 0;
};

ImageDecoder::ImageDecoder(schema::ImageChain chain, const std::optional<Field>& field,
                           arrow::MemoryPool* pool)
    : chain_(std::move(chain)), field_(field), pool_(pool), scratches_(pool) {
  if (chain_.to_float) tables_ = FloatTables(*chain_.to_float);
  is_random_ = std::ranges::any_of(
      chain_.steps, [](const ImageStep& step) { return IsRandom(step.op); });
  if (!chain_.decode) codec_ = codec::FieldCodec::Make(*field, pool);
}

Result<std::unique_ptr<ImageDecoder>> ImageDecoder::Make(
    const ImageOps& ops, const std::optional<Field>& field, arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(auto chain, schema::BindImageOps(ops, field));
  return std::unique_ptr<ImageDecoder>(new ImageDecoder(std::move(chain), field, pool));
}

Status ImageDecoder::Decode(std::span<const uint8_t> cell, const SampleKey& key,
                            const codec::Allocate& allocate) const {
  const ScratchPool::Lease scratch(&scratches_);
  return ImageRun(*this, key, allocate, scratch.get()).Run(cell);
}

}  // namespace headrace::transform
