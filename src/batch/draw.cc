#include "batch/draw.h"

#include <arrow/array/builder_primitive.h>
#include <arrow/array/concatenate.h>
#include <arrow/compute/api.h>
#include <arrow/device.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "batch/interleave.h"
#include "schema/convert.h"
#include "schema/elements.h"

namespace headrace::batch {
namespace {

bool IsMissing(const Drawing& drawing, int64_t sample) {
  return !drawing.missing.empty() && drawing.missing[static_cast<size_t>(sample)] != 0;
}

bool SharesMemory(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::DICTIONARY:
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW:
      return true;
    case arrow::Type::EXTENSION:
      return SharesMemory(*static_cast<const arrow::ExtensionType&>(type).storage_type());
    default:
      for (const auto& field : type.fields()) {
        if (SharesMemory(*field->type())) return true;
      }
      return false;
  }
}

// Rows of each lane of a pack that are drawn at a time: their samples stay in a core's
// caches.
constexpr int64_t kPackRows = 128;
// The same of a column, in lines of the caches.
constexpr int64_t kColumnLines = 4;
constexpr int64_t kLineBytes = 64;  // of the caches

// Casts or standardizes rows [at, at + rows) of a segment.
Status ConvertRows(const Drawing& drawing, const Target& target, const Segment& segment,
                   int64_t at, int64_t rows) {
  const schema::ColumnPlan& plan = *target.plan;
  const int64_t in_width = ByteWidth(plan.stored_dtype);
  const uint8_t* values =
      segment.window->values(target.column) + (segment.from + at) * in_width;
  schema::ConvertSpan span;
  span.in = values;
  span.out = target.out + (segment.out + at * segment.out_stride) * target.out_stride *
                              ByteWidth(plan.dtype);
  span.out_stride = segment.out_stride * target.out_stride;
  span.count = rows;
  const auto bad = schema::Deliver(plan, span);
  if (!bad) return Status::OK();
  return Error(ErrorKind::kInvalidArgument,
               "column \"" + plan.name + "\": the value " +
                   schema::ElementToString(plan.stored_dtype, values + *bad * in_width) +
                   drawing.locate(segment.out + (at + *bad) * segment.out_stride) +
                   " is no " + std::string(DTypeName(plan.dtype)) +
                   ": cast to a wider dtype");
}

const uint8_t* ValuesOf(const Round::Lane& lane, const Target& target, int64_t row) {
  return lane.window->values(target.column) +
         (lane.from + row) * ByteWidth(target.plan->dtype);
}

// Draws a column that is delivered as it is stored, a few lines of each lane at a time.
// The lines that the next step will draw are asked for meanwhile: a column's lanes are
// too many and too short for the processor to foresee. What is beyond the window is never
// touched.
void DrawRound(const Round& round, const Target& target) {
  const int64_t width = ByteWidth(target.plan->dtype);
  const auto turn = static_cast<int64_t>(round.lanes.size());
  const int64_t tile = turn == 1 ? round.rows : kColumnLines * kLineBytes / width;
  std::vector<const uint8_t*> lanes(round.lanes.size());
  for (int64_t k = 0; k < round.rows; k += tile) {
    for (size_t l = 0; l < lanes.size(); ++l) {
      lanes[l] = ValuesOf(round.lanes[l], target, k);
      const uint8_t* const next = lanes[l] + round.rows * width;
      for (int64_t line = 0; line < kColumnLines; ++line) {
        __builtin_prefetch(next + line * kLineBytes, 0, 2);
      }
    }
    Interleave(width, lanes, std::min(tile, round.rows - k),
               target.out + (round.out + k * turn) * target.out_stride * width,
               target.out_stride);
  }
}

// Asks for the rows of a pack that are drawn after these: they are in runs too many and
// too short for the processor to foresee. They go to the second-level cache, as more can
// be under way to it than to the first. What is beyond the window is never touched.
void PrefetchPackRows(const Round::Lane& lane, std::span<const Target> targets,
                      int64_t row) {
  for (const Target& target : targets) {
    const uint8_t* const values = ValuesOf(lane, target, row);
    for (int64_t at = 0; at < kPackRows * ByteWidth(target.plan->dtype);
         at += kLineBytes) {
      __builtin_prefetch(values + at, 0, 2);
    }
  }
}

// Draws all columns of a pack that are delivered as they are stored, a tile at a time.
void DrawRoundOfPack(const Round& round, std::span<const Target> targets) {
  const auto turn = static_cast<int64_t>(round.lanes.size());
  const int64_t width = ByteWidth(targets[0].plan->dtype);
  const int64_t pack = targets[0].out_stride;
  std::vector<const uint8_t*> columns(targets.size());
  for (int64_t k = 0; k < round.rows; k += kPackRows) {
    const int64_t rows = std::min(kPackRows, round.rows - k);
    for (int64_t l = 0; l < turn; ++l) {
      for (size_t c = 0; c < columns.size(); ++c) {
        columns[c] = ValuesOf(round.lanes[static_cast<size_t>(l)], targets[c], k);
      }
      const bool last = l + 1 == turn;
      PrefetchPackRows(round.lanes[last ? 0 : static_cast<size_t>(l + 1)], targets,
                       last ? k + kPackRows : k);
      uint8_t* const out = targets[0].out + (round.out + k * turn + l) * pack * width;
      Transpose(width, columns, rows, out, turn * pack);
    }
  }
}

/// One call of DrawNulls.
struct NullDraw {
  const Drawing& drawing;
  const Target& target;
  uint8_t* mask = nullptr;
  uint8_t fill[8] = {};

  Status Put(int64_t sample) const {
    const schema::ColumnPlan& plan = *target.plan;
    const auto width = static_cast<size_t>(ByteWidth(plan.dtype));
    switch (plan.nulls.kind) {
      case NullPolicy::Kind::kError:
        return schema::NullError(plan.name, drawing.locate(sample));
      case NullPolicy::Kind::kMask:
        mask[sample] = 0;
        [[fallthrough]];
      case NullPolicy::Kind::kFill:
        std::memcpy(target.out + sample * target.out_stride * static_cast<int64_t>(width),
                    fill, width);
        return Status::OK();
    }
    return Status::OK();
  }

  Status Draw(const Segment& segment) const {
    const uint8_t* valid = segment.window->valid(target.column);
    if (valid == nullptr && drawing.missing.empty()) return Status::OK();
    for (int64_t i = 0; i < segment.rows; ++i) {
      const int64_t sample = segment.out + i * segment.out_stride;
      if ((valid != nullptr && valid[segment.from + i] == 0) ||
          IsMissing(drawing, sample)) {
        ARROW_RETURN_NOT_OK(Put(sample));
      }
    }
    return Status::OK();
  }
};

// The values with nulls for those that are missing.
Result<std::shared_ptr<arrow::Array>> WithoutMissing(
    const Drawing& drawing, const std::shared_ptr<arrow::Array>& values) {
  arrow::Int64Builder builder(drawing.pool);
  ARROW_RETURN_NOT_OK(builder.Reserve(values->length()));
  for (int64_t i = 0; i < values->length(); ++i) {
    if (drawing.missing[static_cast<size_t>(i)] != 0) {
      builder.UnsafeAppendNull();
    } else {
      builder.UnsafeAppend(i);
    }
  }
  ARROW_ASSIGN_OR_RAISE(auto order, builder.Finish());
  arrow::compute::ExecContext exec(drawing.pool);
  ARROW_ASSIGN_OR_RAISE(
      auto taken,
      arrow::compute::Take(arrow::Datum(values), arrow::Datum(order),
                           arrow::compute::TakeOptions::NoBoundsCheck(), &exec));
  return taken.make_array();
}

}  // namespace

std::vector<Round> RoundsOf(std::span<const Segment> segments, int64_t rows) {
  if (segments.empty()) return {};
  const int64_t turn = segments[0].out_stride;
  std::vector<std::vector<Segment>> lanes(static_cast<size_t>(turn));
  for (const Segment& segment : segments) {
    if (segment.out_stride != turn) return {};
    lanes[static_cast<size_t>(segment.out % turn)].push_back(segment);
  }
  std::vector<Round> rounds;
  std::vector<size_t> next(lanes.size(), 0);  // the segment that each lane is in
  for (int64_t k = 0; k * turn < rows;) {
    Round round;
    round.out = k * turn;
    round.rows = std::numeric_limits<int64_t>::max();
    for (size_t l = 0; l < lanes.size(); ++l) {
      // The last turn may be shorter: it is a round of one row and fewer lanes.
      if (next[l] == lanes[l].size()) break;
      const Segment& segment = lanes[l][next[l]];
      const int64_t at = k - segment.out / turn;
      round.lanes.push_back({segment.window, segment.from + at});
      round.rows = std::min(round.rows, segment.rows - at);
    }
    for (size_t l = 0; l < round.lanes.size(); ++l) {
      const Segment& segment = lanes[l][next[l]];
      if (k + round.rows == segment.out / turn + segment.rows) ++next[l];
    }
    k += round.rows;
    rounds.push_back(std::move(round));
  }
  return rounds;
}

Status DrawValues(const Drawing& drawing, std::span<const Target> targets) {
  const bool as_stored = std::ranges::all_of(
      targets, [](const Target& target) { return target.plan->as_stored(); });
  if (as_stored && drawing.missing.empty() && !drawing.rounds.empty()) {
    for (const Round& round : drawing.rounds) {
      if (targets.size() > 1) {
        DrawRoundOfPack(round, targets);
      } else {
        DrawRound(round, targets[0]);
      }
    }
    return Status::OK();
  }
  for (const Target& target : targets) {
    for (const Segment& segment : drawing.segments) {
      if (drawing.missing.empty()) {
        ARROW_RETURN_NOT_OK(ConvertRows(drawing, target, segment, 0, segment.rows));
        continue;
      }
      const uint8_t* valid = segment.window->valid(target.column);
      for (int64_t i = 0; i < segment.rows; ++i) {
        if (IsMissing(drawing, segment.out + i * segment.out_stride)) continue;
        if (valid != nullptr && valid[segment.from + i] == 0) continue;
        ARROW_RETURN_NOT_OK(ConvertRows(drawing, target, segment, i, 1));
      }
    }
  }
  return Status::OK();
}

Status DrawNulls(const Drawing& drawing, const Target& target, Tensor* mask) {
  NullDraw draw{drawing, target};
  const NullPolicy& policy = target.plan->nulls;
  if (policy.kind == NullPolicy::Kind::kMask) {
    ARROW_ASSIGN_OR_RAISE(
        *mask, schema::AllocateTensor(DType::kBool, {drawing.rows}, drawing.pool));
    draw.mask = mask->buffer->mutable_data();
    std::memset(draw.mask, 1, static_cast<size_t>(drawing.rows));
  }
  if (policy.kind == NullPolicy::Kind::kFill) {
    ARROW_RETURN_NOT_OK(schema::DeliverNumber(*target.plan, policy.fill, draw.fill));
  }
  for (const Segment& segment : drawing.segments) {
    ARROW_RETURN_NOT_OK(draw.Draw(segment));
  }
  return Status::OK();
}

std::vector<Cell> CellsOf(const Drawing& drawing, size_t column) {
  std::vector<Cell> cells(static_cast<size_t>(drawing.rows));
  for (const Segment& segment : drawing.segments) {
    for (int64_t i = 0; i < segment.rows; ++i) {
      const int64_t sample = segment.out + i * segment.out_stride;
      if (!drawing.missing.empty() && IsMissing(drawing, sample)) continue;
      cells[static_cast<size_t>(sample)] =
          segment.window->CellAt(column, segment.from + i);
    }
  }
  return cells;
}

std::vector<int64_t> Int64sOf(const Drawing& drawing, size_t column) {
  std::vector<int64_t> values(static_cast<size_t>(drawing.rows));
  for (const Segment& segment : drawing.segments) {
    const auto* in = reinterpret_cast<const int64_t*>(segment.window->values(column));
    for (int64_t i = 0; i < segment.rows; ++i) {
      values[static_cast<size_t>(segment.out + i * segment.out_stride)] =
          in[segment.from + i];
    }
  }
  return values;
}

Result<std::shared_ptr<arrow::Array>> Gather(const Drawing& drawing, size_t column) {
  arrow::ArrayVector parts;
  for (const Segment& segment : drawing.segments) {
    ARROW_ASSIGN_OR_RAISE(auto part, segment.window->Gather(column, segment.from,
                                                            segment.rows, drawing.pool));
    parts.push_back(std::move(part));
  }
  std::shared_ptr<arrow::Array> values = parts[0];
  const bool in_order = parts.size() == 1 && drawing.segments[0].out_stride == 1;
  if (!in_order) {
    ARROW_ASSIGN_OR_RAISE(auto joined, arrow::Concatenate(parts, drawing.pool));
    ARROW_ASSIGN_OR_RAISE(auto indices,
                          arrow::AllocateBuffer(drawing.rows * 8, drawing.pool));
    auto* index = reinterpret_cast<int64_t*>(indices->mutable_data());
    int64_t next = 0;
    for (const Segment& segment : drawing.segments) {
      for (int64_t i = 0; i < segment.rows; ++i) {
        index[segment.out + i * segment.out_stride] = next++;
      }
    }
    arrow::compute::ExecContext exec(drawing.pool);
    auto order = arrow::ArrayData::Make(arrow::int64(), drawing.rows,
                                        {nullptr, std::move(indices)}, 0);
    ARROW_ASSIGN_OR_RAISE(
        auto taken,
        arrow::compute::Take(arrow::Datum(joined), arrow::Datum(std::move(order)),
                             arrow::compute::TakeOptions::NoBoundsCheck(), &exec));
    values = taken.make_array();
  }
  if (!drawing.missing.empty()) {
    ARROW_ASSIGN_OR_RAISE(values, WithoutMissing(drawing, values));
  }
  if (!SharesMemory(*values->type())) return values;
  // Dictionaries and views still point into the window, which goes away before the batch.
  return values->CopyTo(arrow::CPUDevice::memory_manager(drawing.pool));
}

}  // namespace headrace::batch
