/// \file
/// Arrow's tensors and lists to the cells of a field codec.
#pragma once

#include <arrow/array.h>
#include <headrace/result.h>
#include <headrace/schema.h>

#include <memory>

#include "codec/field_codec.h"

namespace headrace::writer {

/// Whether a column holds numbers, lists of them, or tensors: what a codec can encode.
bool HoldsTensors(const arrow::DataType& type);

/// The cells of a column's values. InvalidArgument for a value that is not of the field's
/// dtype or shape, and for a null inside of a tensor, naming field and row: `first_row`
/// and on. REQUIRES: `HoldsTensors`.
Result<std::shared_ptr<arrow::Array>> EncodeTensors(const Field& field,
                                                    const codec::FieldCodec& codec,
                                                    const arrow::Array& values,
                                                    int64_t first_row,
                                                    arrow::MemoryPool* pool);

}  // namespace headrace::writer
