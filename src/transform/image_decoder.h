/// \file
/// ImageDecoder: a cell to an image, changed by a chain of operations on its way.
#pragma once

#include <arrow/memory_pool.h>
#include <headrace/image.h>
#include <headrace/schema.h>

#include <memory>
#include <optional>
#include <vector>

#include "codec/cell_decoder.h"
#include "codec/field_codec.h"
#include "schema/image_chain.h"
#include "transform/pixels.h"
#include "transform/scratch.h"

namespace headrace::transform {

/// Makes images of cells: of encoded images whose format their first bytes tell, or of a
/// field's values. What the last operation makes is written to where `Allocate` says.
/// Immutable but for its scratch; thread-safe.
class ImageDecoder : public codec::CellDecoder {
 public:
  /// Scratch comes from the pool, which outlives the decoder, and is kept by it: for each
  /// thread that decodes, what its largest image took. Errors as BindImageOps.
  static Result<std::unique_ptr<ImageDecoder>> Make(const ImageOps& ops,
                                                    const std::optional<Field>& field,
                                                    arrow::MemoryPool* pool);

  DType dtype() const override { return chain_.dtype; }
  const std::vector<int64_t>& shape() const override { return chain_.shape; }
  bool is_random() const override { return is_random_; }
  /// InvalidArgument, naming the operation, also for images that an operation cannot work
  /// on, as they are too small or too large.
  Status Decode(std::span<const uint8_t> cell, const codec::SampleKey& key,
                const codec::Allocate& allocate) const override;

 private:
  friend class ImageRun;
  ImageDecoder(schema::ImageChain chain, const std::optional<Field>& field,
               arrow::MemoryPool* pool);

  schema::ImageChain chain_;
  std::optional<Field> field_;
  FloatTables tables_;
  bool is_random_ = false;
  arrow::MemoryPool* pool_;
  /// Where the cells are no encoded images.
  std::unique_ptr<codec::FieldCodec> codec_;
  mutable ScratchPool scratches_;
};

}  // namespace headrace::transform
