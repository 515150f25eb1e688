// Any bytes as a checkpoint: refused with words, or read.
#include <arrow/buffer.h>
#include <arrow/io/memory.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "refusal.h"
#include "table/delta/checkpoint_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  auto file = std::make_shared<arrow::io::BufferReader>(
      std::make_shared<arrow::Buffer>(bytes, static_cast<int64_t>(size)));
  headrace::fuzz::CheckRefusal(
      headrace::table::delta::ReadCheckpointFile(std::move(file), "checkpoint").status());
  return 0;
}
