#include <arrow/array.h>
#include <arrow/chunked_array.h>
#include <arrow/util/bit_util.h>
#include <headrace/schema.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "codec/field_codec.h"
#include "pipeline/thread_executor.h"

namespace headrace {
namespace {

using Cells = std::vector<std::shared_ptr<arrow::Buffer>>;  // null: a null

// Values that one call of a thread encodes.
constexpr int64_t kRun = 64;

Status EncodeRun(const Field& field, const codec::FieldCodec& codec,
                 std::span<const TensorView> values, int64_t first_row, Cells* cells,
                 int64_t begin) {
  const int64_t end = std::min<int64_t>(begin + kRun, std::ssize(values));
  for (int64_t i = begin; i < end; ++i) {
    const TensorView& value = values[static_cast<size_t>(i)];
    auto bad = [&](const Status& status) {
      return Error(KindOf(status), "field " + field.name + " " + MessageOf(status) +
                                       " in row " + std::to_string(first_row + i));
    };
    if (value.is_null) {
      if (field.nullable) continue;
      return bad(Error(ErrorKind::kInvalidArgument, "must have a value, found null"));
    }
    if (Status right = codec.Check(value); !right.ok()) return bad(right);
    auto encoded = codec.Encode(value);
    if (!encoded.ok()) return bad(encoded.status());
    (*cells)[static_cast<size_t>(i)] = std::move(*encoded);
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::Array>> Join(
    std::span<const std::shared_ptr<arrow::Buffer>> cells) {
  const int64_t rows = std::ssize(cells);
  int64_t bytes = 0;
  int64_t nulls = 0;
  for (const auto& cell : cells) {
    bytes += cell == nullptr ? 0 : cell->size();
    nulls += cell == nullptr ? 1 : 0;
  }
  ARROW_ASSIGN_OR_RAISE(auto offsets, arrow::AllocateBuffer((rows + 1) * 4));
  ARROW_ASSIGN_OR_RAISE(auto data, arrow::AllocateBuffer(bytes));
  std::shared_ptr<arrow::Buffer> valid;
  if (nulls > 0) {
    ARROW_ASSIGN_OR_RAISE(valid, arrow::AllocateEmptyBitmap(rows));
  }
  auto* offset = reinterpret_cast<int32_t*>(offsets->mutable_data());
  *offset = 0;
  for (int64_t i = 0; i < rows; ++i, ++offset) {
    const auto& cell = cells[static_cast<size_t>(i)];
    offset[1] = offset[0];
    if (cell == nullptr) continue;
    if (valid != nullptr) arrow::bit_util::SetBit(valid->mutable_data(), i);
    if (cell->size() > 0) {
      std::memcpy(data->mutable_data() + offset[0], cell->data(),
                  static_cast<size_t>(cell->size()));
    }
    offset[1] += static_cast<int32_t>(cell->size());
  }
  return std::make_shared<arrow::BinaryArray>(rows, std::move(offsets), std::move(data),
                                              std::move(valid), nulls);
}

}  // namespace

Result<std::shared_ptr<arrow::ChunkedArray>> Encode(const Field& field,
                                                    std::span<const TensorView> values,
                                                    int64_t first_row, int num_threads) {
  const auto codec = codec::FieldCodec::Make(field, arrow::default_memory_pool());
  Cells cells(values.size());
  pipeline::ThreadExecutor executor(num_threads);
  ARROW_RETURN_NOT_OK(
      executor.ForEach((std::ssize(values) + kRun - 1) / kRun, [&](int64_t run) {
        return EncodeRun(field, *codec, values, first_row, &cells, run * kRun);
      }));
  arrow::ArrayVector chunks;
  const std::span<const std::shared_ptr<arrow::Buffer>> all(cells);
  size_t begin = 0;
  int64_t bytes = 0;
  for (size_t i = 0; i <= all.size(); ++i) {
    const int64_t size = i == all.size() || all[i] == nullptr ? 0 : all[i]->size();
    if (size > std::numeric_limits<int32_t>::max()) {
      return Error(ErrorKind::kUnsupported,
                   "field " + field.name + " takes " + std::to_string(size) +
                       " bytes, expected less than 2 GiB in row " +
                       std::to_string(first_row + static_cast<int64_t>(i)));
    }
    if (i == all.size() || bytes + size > std::numeric_limits<int32_t>::max()) {
      ARROW_ASSIGN_OR_RAISE(auto chunk, Join(all.subspan(begin, i - begin)));
      chunks.push_back(std::move(chunk));
      begin = i;
      bytes = 0;
    }
    bytes += size;
  }
  return std::make_shared<arrow::ChunkedArray>(std::move(chunks), arrow::binary());
}

}  // namespace headrace
