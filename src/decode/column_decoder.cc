#include "decode/column_decoder.h"

#include <arrow/compute/api.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "decode/list_decoder.h"
#include "decode/vector_decoder.h"
#include "schema/cast.h"
#include "schema/convert.h"
#include "schema/dtype.h"
#include "schema/elements.h"
#include "schema/text.h"

namespace headrace::decode {
namespace {

void Append(TensorBatch* batch, std::string name, BatchColumn column) {
  batch->names.push_back(std::move(name));
  batch->columns.push_back(std::move(column));
}

/// One call of Decode.
struct Decoding {
  const schema::ColumnPlan& plan;
  const schema::Locate& locate;
  arrow::MemoryPool* pool;
  TensorBatch* batch;

  // The row mask under NullPolicy::kMask, appended after the column.
  Status AppendMask(const arrow::Array& values) const {
    if (plan.nulls.kind != NullPolicy::Kind::kMask) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(Tensor mask,
                          schema::AllocateTensor(DType::kBool, {values.length()}, pool));
    for (int64_t i = 0; i < values.length(); ++i) {
      mask.buffer->mutable_data()[i] = values.IsValid(i) ? 1 : 0;
    }
    Append(batch, plan.name + "_mask", std::move(mask));
    return Status::OK();
  }

  Status CheckNulls(const arrow::Array& values) const {
    if (plan.nulls.kind != NullPolicy::Kind::kError || values.null_count() == 0) {
      return Status::OK();
    }
    for (int64_t i = 0; i < values.length(); ++i) {
      if (values.IsNull(i)) return schema::NullError(plan.name, locate(i));
    }
    return Status::OK();
  }
};

Status DecodeObject(const Decoding& d, std::shared_ptr<arrow::Array> values) {
  ARROW_ASSIGN_OR_RAISE(values, schema::PlainText(values, d.pool));
  ARROW_RETURN_NOT_OK(d.CheckNulls(*values));
  const auto original = values;
  if (values->null_count() > 0) {
    const std::string fill = d.plan.nulls.fill_text.value_or("");
    ARROW_ASSIGN_OR_RAISE(
        auto scalar, arrow::MakeScalar(values->type(), arrow::Buffer::FromString(fill)));
    arrow::compute::ExecContext exec(d.pool);
    ARROW_ASSIGN_OR_RAISE(
        auto filled, arrow::compute::CallFunction("coalesce", {values, scalar}, &exec));
    values = filled.make_array();
  }
  Append(d.batch, d.plan.name, values);
  return d.AppendMask(*original);
}

using CodesOf = std::unordered_map<std::string_view, int32_t>;

Status NotInVocabulary(const std::string& column, const std::string& what,
                       const CodesOf& codes) {
  return Error(ErrorKind::kInvalidArgument,
               "column \"" + column + "\": " + what + " is not among the " +
                   std::to_string(codes.size()) +
                   " values of its vocabulary: add it, or filter such rows out");
}

// Calls `put(sample, code)` for each value, nothing for null.
template <typename Put>
Status VisitCodes(const Decoding& d, const arrow::Array& values, const CodesOf& codes,
                  Put&& put) {
  return schema::VisitText(
      values, [&](int64_t i, std::optional<std::string_view> text) -> Status {
        if (!text) {
          put(i, std::nullopt);
          return Status::OK();
        }
        auto found = codes.find(*text);
        if (found == codes.end()) {
          return NotInVocabulary(d.plan.name,
                                 "'" + std::string(*text) + "'" + d.locate(i), codes);
        }
        put(i, std::optional(found->second));
        return Status::OK();
      });
}

Status DecodeCodes(const Decoding& d, std::shared_ptr<arrow::Array> values,
                   const CodesOf& codes) {
  ARROW_ASSIGN_OR_RAISE(values, schema::PlainText(values, d.pool));
  ARROW_RETURN_NOT_OK(d.CheckNulls(*values));
  int32_t fill = 0;
  if (d.plan.nulls.kind == NullPolicy::Kind::kFill) {
    ARROW_RETURN_NOT_OK(schema::StoreNumber(d.plan.nulls.fill, DType::kInt32,
                                            reinterpret_cast<uint8_t*>(&fill)));
  }
  ARROW_ASSIGN_OR_RAISE(
      Tensor tensor, schema::AllocateTensor(DType::kInt32, {values->length()}, d.pool));
  auto* out = reinterpret_cast<int32_t*>(tensor.buffer->mutable_data());
  ARROW_RETURN_NOT_OK(VisitCodes(
      d, *values, codes,
      [&](int64_t i, std::optional<int32_t> code) { out[i] = code.value_or(fill); }));
  Append(d.batch, d.plan.name, std::move(tensor));
  return d.AppendMask(*values);
}

Status DecodeOneHot(const Decoding& d, std::shared_ptr<arrow::Array> values,
                    const CodesOf& codes) {
  ARROW_ASSIGN_OR_RAISE(values, schema::PlainText(values, d.pool));
  ARROW_RETURN_NOT_OK(d.CheckNulls(*values));
  std::optional<int32_t> fill;  // none: all 0
  if (d.plan.nulls.kind == NullPolicy::Kind::kFill) {
    fill = codes.at(*d.plan.nulls.fill_text);
  }
  const auto width = std::ssize(*d.plan.vocabulary);
  ARROW_ASSIGN_OR_RAISE(
      Tensor tensor,
      schema::AllocateTensor(DType::kFloat32, {values->length(), width}, d.pool));
  auto* out = reinterpret_cast<float*>(tensor.buffer->mutable_data());
  std::fill_n(out, values->length() * width, 0.0F);
  ARROW_RETURN_NOT_OK(
      VisitCodes(d, *values, codes, [&](int64_t i, std::optional<int32_t> code) {
        if (!code) code = fill;
        if (code) out[i * width + *code] = 1;
      }));
  Append(d.batch, d.plan.name, std::move(tensor));
  return d.AppendMask(*values);
}

Status DecodeDecimal(const Decoding& d, const std::shared_ptr<arrow::Array>& values) {
  ARROW_RETURN_NOT_OK(d.CheckNulls(*values));
  arrow::compute::ExecContext exec(d.pool);
  // float64, or uint64: eight bytes either way.
  ARROW_ASSIGN_OR_RAISE(
      auto cast, arrow::compute::Cast(values, schema::ArrowTypeOf(d.plan.stored_dtype),
                                      arrow::compute::CastOptions::Safe(), &exec));
  const auto numbers = cast.make_array();
  std::vector<uint64_t> elements(static_cast<size_t>(numbers->length()));
  const auto* stored = numbers->data()->GetValues<uint64_t>(1);
  for (int64_t i = 0; i < numbers->length(); ++i) {
    elements[static_cast<size_t>(i)] = numbers->IsNull(i) ? 0 : stored[i];
  }
  ARROW_ASSIGN_OR_RAISE(Tensor tensor,
                        schema::AllocateTensor(d.plan.dtype, {values->length()}, d.pool));
  schema::ConvertSpan span;
  span.in = reinterpret_cast<const uint8_t*>(elements.data());
  span.out = tensor.buffer->mutable_data();
  span.count = values->length();
  if (auto bad = schema::Deliver(d.plan, span)) {
    return Error(ErrorKind::kInvalidArgument,
                 "column \"" + d.plan.name + "\": the value " +
                     schema::ElementToString(d.plan.stored_dtype, span.in + *bad * 8) +
                     d.locate(*bad) + " is no " + std::string(DTypeName(d.plan.dtype)) +
                     ": cast to a wider dtype");
  }
  uint8_t element[8] = {};  // of a null
  if (d.plan.nulls.kind == NullPolicy::Kind::kFill) {
    ARROW_RETURN_NOT_OK(schema::DeliverNumber(d.plan, d.plan.nulls.fill, element));
  }
  const int64_t width = ByteWidth(d.plan.dtype);
  for (int64_t i = 0; i < values->length(); ++i) {
    if (values->IsValid(i)) continue;
    std::memcpy(span.out + i * width, element, static_cast<size_t>(width));
  }
  Append(d.batch, d.plan.name, std::move(tensor));
  return d.AppendMask(*values);
}

}  // namespace

Result<std::unique_ptr<ColumnDecoder>> ColumnDecoder::Make(
    const schema::ColumnPlan& plan) {
  std::unique_ptr<ColumnDecoder> decoder(new ColumnDecoder(plan));
  if (!plan.has_vocabulary()) return decoder;
  const auto& vocabulary = *decoder->plan_.vocabulary;
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    decoder->codes_.emplace(vocabulary[i], static_cast<int32_t>(i));
  }
  const auto& fill = plan.nulls.fill_text;
  if (plan.form == schema::Form::kOneHot && fill && !decoder->codes_.contains(*fill)) {
    return NotInVocabulary(plan.name, "fill('" + *fill + "')", decoder->codes_);
  }
  return decoder;
}

Status ColumnDecoder::Decode(const std::shared_ptr<arrow::Array>& values,
                             const schema::Locate& locate, arrow::MemoryPool* pool,
                             TensorBatch* batch) const {
  const Decoding d{plan_, locate, pool, batch};
  switch (plan_.form) {
    case schema::Form::kObject:
      return DecodeObject(d, values);
    case schema::Form::kCodes:
      return DecodeCodes(d, values, codes_);
    case schema::Form::kOneHot:
      return DecodeOneHot(d, values, codes_);
    case schema::Form::kScalar:
      return DecodeDecimal(d, values);
    case schema::Form::kArrow: {
      auto cast = schema::CastArray(values, plan_.cast_type, pool);
      if (!cast.ok()) return WithContext(cast.status(), "column \"" + plan_.name + "\"");
      Append(batch, plan_.name, std::move(*cast));
      return Status::OK();
    }
    case schema::Form::kVector:
      return DecodeVectors(plan_, *values, locate, pool, batch);
    case schema::Form::kList:
    case schema::Form::kFixedShape:
    case schema::Form::kVariableShape:
      ARROW_RETURN_NOT_OK(d.CheckNulls(*values));
      ARROW_RETURN_NOT_OK(DecodeLists(plan_, values, locate, pool, batch));
      return d.AppendMask(*values);
  }
  return Error(ErrorKind::kInternal, "column \"" + plan_.name + "\" has no form");
}

Status VocabularyBuilder::Add(const arrow::Array& values) {
  ARROW_ASSIGN_OR_RAISE(auto text, schema::PlainText(arrow::MakeArray(values.data()),
                                                     arrow::default_memory_pool()));
  return schema::VisitText(*text, [&](int64_t, std::optional<std::string_view> value) {
    if (value) seen_.emplace(*value);
    return Status::OK();
  });
}

std::vector<std::string> VocabularyBuilder::Finish() && {
  std::vector<std::string> values(seen_.begin(), seen_.end());
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace headrace::decode
