// Any bytes as the JSON of image operations: refused with words, or written and read back
// the same. What can be bound is done to a small image, at several random keys.
#include <arrow/memory_pool.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "refusal.h"
#include "transform/image_decoder.h"

namespace {

using headrace::ErrorKind;
using headrace::Field;
using headrace::ImageOps;
using headrace::Result;
using headrace::fuzz::CheckRefusal;

// Larger images are refused: they would only take time.
constexpr int64_t kBytesMax = 4 << 20;
constexpr int64_t kHeight = 7;
constexpr int64_t kWidth = 5;

void DoTo(const Field& field, const ImageOps& ops) {
  namespace transform = headrace::transform;
  headrace::base::MemoryBudget scratch(arrow::default_memory_pool(), kBytesMax);
  const auto decoder = transform::ImageDecoder::Make(ops, field, &scratch);
  CheckRefusal(decoder.status());
  if (!decoder.ok()) return;
  std::vector<uint8_t> cell(static_cast<size_t>(kHeight * kWidth * field.shape[2]));
  for (size_t i = 0; i < cell.size(); ++i) cell[i] = static_cast<uint8_t>(37 * i);
  std::vector<uint8_t> out;
  const auto place = [&](std::span<const int64_t> shape) -> Result<uint8_t*> {
    const auto& declared = (*decoder)->shape();
    if (shape.size() != declared.size()) std::abort();
    int64_t bytes = headrace::ByteWidth((*decoder)->dtype());
    for (size_t d = 0; d < shape.size(); ++d) {
      if (declared[d] != Field::kVaries && declared[d] != shape[d]) std::abort();
      if (shape[d] > kBytesMax || bytes > kBytesMax) {
        return headrace::Error(ErrorKind::kResourceExhausted, "large");
      }
      bytes *= shape[d];
    }
    // Exactly as long as it has to be, so that writing past it is seen.
    out = std::vector<uint8_t>(static_cast<size_t>(bytes));
    return out.data();
  };
  for (const int64_t row_id : {0, 1, 2}) {
    CheckRefusal((*decoder)->Decode(cell, {.row_id = row_id}, place));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string json(reinterpret_cast<const char*>(bytes), size);
  const auto ops = headrace::ImageOpsFromJson(json);
  CheckRefusal(ops.status());
  if (!ops.ok()) return 0;
  const auto again = headrace::ImageOpsFromJson(headrace::ImageOpsToJson(*ops));
  if (!again.ok() || *again != *ops || headrace::ToString(*ops).empty() != ops->empty()) {
    std::abort();
  }
  for (const int64_t channels : {1, 3, 4}) {
    DoTo({.name = "x",
          .dtype = "uint8",
          .shape = {kHeight, kWidth, channels},
          .codec = "raw"},
         *ops);
  }
  return 0;
}
