/// \file
/// What the tests of decoding share: columns decoded by a plan bound as loaders bind it.
#pragma once

#include <arrow/array.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "decode/column_decoder.h"
#include "tests/cpp/lake.h"

namespace headrace::decode {

inline std::shared_ptr<arrow::Array> FromJson(
    const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
  return testing::Check(arrow::json::ArrayFromJSONString(type, json));
}

/// What is chosen for the column "x".
struct How {
  std::optional<std::string> cast = {};
  std::optional<NullPolicy> nulls = {};
  std::optional<RaggedPolicy> ragged = {};
  std::optional<CodesPolicy> codes = {};
  std::optional<CodesPolicy> one_hot = {};
  std::optional<StandardizePolicy> standardize = {};
  bool arrow = false;
};

/// Decodes a column "x"; a row's place is told as " (row N)".
inline Result<TensorBatch> Decode(const std::shared_ptr<arrow::Array>& values,
                                  const How& how = {}) {
  schema::ColumnChoices choices;
  if (how.cast) choices.casts["x"] = *how.cast;
  if (how.nulls) choices.nulls["x"] = *how.nulls;
  if (how.ragged) choices.ragged["x"] = *how.ragged;
  if (how.codes) choices.codes["x"] = *how.codes;
  if (how.one_hot) choices.one_hot["x"] = *how.one_hot;
  if (how.standardize) choices.standardize["x"] = *how.standardize;
  const auto schema = arrow::schema({arrow::field("x", values->type())});
  ARROW_ASSIGN_OR_RAISE(auto plans, schema::BindColumns(*schema, choices, how.arrow));
  ARROW_ASSIGN_OR_RAISE(auto decoder, ColumnDecoder::Make(plans[0]));
  TensorBatch batch;
  batch.rows = values->length();
  ARROW_RETURN_NOT_OK(decoder->Decode(
      values, [](int64_t row) { return " (row " + std::to_string(row) + ")"; },
      arrow::default_memory_pool(), &batch));
  return batch;
}

inline const Tensor& TensorOf(const TensorBatch& batch, const std::string& name = "x") {
  return std::get<Tensor>(batch.columns.at(static_cast<size_t>(batch.Find(name))));
}

inline const std::shared_ptr<arrow::Array>& ArrayOf(const TensorBatch& batch) {
  return std::get<std::shared_ptr<arrow::Array>>(batch.columns.at(0));
}

template <typename T>
std::vector<T> Values(const TensorBatch& batch, const std::string& name = "x") {
  const Tensor& tensor = TensorOf(batch, name);
  const auto* values = reinterpret_cast<const T*>(tensor.data());
  return std::vector<T>(values, values + tensor.size());
}

}  // namespace headrace::decode
